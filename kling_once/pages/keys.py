"""What the page learns about keys: that there is one, where it comes from, and whether it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..jobs.keyring import ENVIRONMENT_NAMES
from .payloads import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.models import ResourcePack
    from ..jobs.keyring import KeyState

STATES: Final = {
    "environment": "configured, from environment",
    "file": "configured, from file",
    "missing": "missing",
}


def key_payload(state: KeyState, unfinished: Mapping[str, int]) -> dict[str, Any]:
    """Return one profile, never a part of its key; `unfinished` is how many tasks wait for which key."""
    return {
        "profile": state.profile,
        "state": STATES[state.source],
        "source": state.source,
        "region": state.region or None,
        "problem": state.problem or None,
        "unfinished": unfinished.get(state.profile, 0),
    }


def keys_payload(
    states: list[KeyState], unfinished: Mapping[str, int], *, may_change: bool
) -> dict[str, Any]:
    """Return every profile."""
    return {
        "profiles": [key_payload(state, unfinished) for state in states],
        "may_change": may_change,
        "variables": ENVIRONMENT_NAMES,
    }


def tried_payload(packs: tuple[ResourcePack, ...]) -> dict[str, Any]:
    """Return what an account said, which proves that its key is good."""
    online = [pack for pack in packs if pack.status == "online"]
    return {
        "ok": True,
        "packs": [
            {
                "name": pack.resource_pack_name,
                "left": number_of(pack.remaining_quantity),
                "of": number_of(pack.total_quantity),
                "until": pack.invalid_time.date().isoformat() if pack.invalid_time else None,
            }
            for pack in online
        ],
    }
