"""What a sandbox is started with."""

from __future__ import annotations

import time
from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from .transitions import Transitions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSION: Final = "1"
"""Version of the sandbox's controls, as `GET /sandbox/health` answers it."""

DEFAULT_ACCESS_KEY: Final = "sandbox-access-key-0123456789abcdef"
"""Access key of a sandbox that was given none. Public on purpose: it opens nothing but a sandbox."""

DEFAULT_SECRET_KEY: Final = "sandbox-secret-key-0123456789abcdef"  # noqa: S105 - public on purpose
"""Secret key of a sandbox that was given none."""

DEFAULT_API_KEY: Final = "sandbox-api-key-0123456789abcdefghij"
"""Static API key of a sandbox that was given none."""

TRIAL_PARALLEL_LIMIT: Final = 5
"""Tasks at a time that a trial pack allows (a user's report; the page names no number)."""


@dataclass(frozen=True)
class SandboxOptions:
    """Say how a sandbox behaves; every field has a default that touches nothing beyond this machine.

    `state_dir`: where tasks, uploads and results are kept; None means a temporary folder removed at stop.
    `embedded`: part of another program: every control needs `token`, callbacks go to `callback_origins` only.
    `token`: value of `X-Sandbox-Token`; None means a random one where one is needed.
    `fetch`: "own" fetches uploads of this state only, "any" fetches http(s) URLs as Kling would.
    `callbacks`: "loopback" calls this machine only, "any" calls every http(s) URL.
    `callback_secret`: `whsec_<base64>`; callbacks are signed when it is set.
    `parallel_limit`, `transitions`, `quick_results`, `charge` and `duplicates_allowed` are starting values;
    what `PUT /sandbox/settings` and `PUT /sandbox/transitions` store in the state wins.
    `now` gives the time in Unix seconds.
    """

    state_dir: Path | None = None
    embedded: bool = False
    token: str | None = field(default=None, repr=False)
    access_key: str = field(default=DEFAULT_ACCESS_KEY, repr=False)
    secret_key: str = field(default=DEFAULT_SECRET_KEY, repr=False)
    api_key: str = field(default=DEFAULT_API_KEY, repr=False)
    fetch: Literal["own", "any"] = "own"
    callbacks: Literal["loopback", "any"] = "loopback"
    callback_origins: tuple[str, ...] = ()
    callback_secret: str | None = field(default=None, repr=False)
    parallel_limit: int = TRIAL_PARALLEL_LIMIT
    transitions: Transitions = field(default_factory=lambda: Transitions.after_polls(2))
    quick_results: bool = False
    charge: Literal["units", "cash"] = "units"
    duplicates_allowed: bool = False
    now: Callable[[], float] = field(default=time.time, repr=False)

    def __post_init__(self) -> None:
        """Refuse what no sandbox can work with; ValueError says what."""
        if self.parallel_limit < 1:
            raise ValueError("the parallel limit must be at least 1")
        if not (self.access_key and self.secret_key and self.api_key):
            raise ValueError("access key, secret key and API key must not be empty")
        if self.token is not None and not self.token:
            raise ValueError("the token must not be empty")
        if self.callback_secret is not None and not _is_webhook_secret(self.callback_secret):
            raise ValueError("the callback secret must be whsec_ and base64")


def _is_webhook_secret(text: str) -> bool:
    try:
        return text.startswith("whsec_") and len(b64decode(text[6:], validate=True)) > 0
    except ValueError:
        return False
