"""Read an API prompt: what is wired to a node, what leads to it, and what all that is called. Pure."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ApiPrompt = dict[str, dict[str, Any]]
"""`{node id: {"class_type": ..., "inputs": {...}}}`"""

LINK_PARTS = 2
FILE_INPUTS = ("image", "file", "video", "audio")
"""What core's loaders call the file that they load."""


def link_of(value: Any) -> tuple[str, int] | None:
    """Return the node and the slot that an input is linked to, None for a constant."""
    if isinstance(value, list) and len(value) == LINK_PARTS and isinstance(value[1], int):
        return str(value[0]), value[1]
    return None


def is_wired(prompt: ApiPrompt, node_id: str, slot: int) -> bool:
    """Tell whether an input takes this output; True also when the prompt does not know the node."""
    if node_id not in prompt:
        return True
    wanted = (node_id, slot)
    return any(
        link_of(value) == wanted for node in prompt.values() for value in node.get("inputs", {}).values()
    )


def source_of(prompt: ApiPrompt, node_id: str, input_id: str) -> str | None:
    """Return the node that an input is linked to."""
    link = link_of(prompt.get(node_id, {}).get("inputs", {}).get(input_id))
    return link[0] if link else None


def file_name_of(prompt: ApiPrompt, node_id: str, input_id: str) -> str:
    """Return what to call the picture or clip that comes in: the file's name without folder and ending."""
    source = source_of(prompt, node_id, input_id)
    inputs = prompt.get(source or "", {}).get("inputs", {})
    for name in FILE_INPUTS:
        value = inputs.get(name)
        if isinstance(value, str):
            return PurePath(value.removesuffix("]").rsplit(" [", 1)[0].replace("\\", "/")).stem
    return ""


def signature(prompt: ApiPrompt, node_id: str, moment_of: Callable[[str], float | None]) -> str:
    """Return a hash of a node and everything that leads to it, whatever the nodes are numbered.

    `moment_of` tells when the input file that a text names was changed, None when it names none.
    """
    known: dict[str, str] = {}

    def of(current: str) -> str:
        if current not in known:
            known[current] = ""  # a loop ends here
            node = prompt.get(current, {})
            inputs = {name: described(value) for name, value in sorted(node.get("inputs", {}).items())}
            text = json.dumps([node.get("class_type"), inputs], sort_keys=True, default=str)
            known[current] = hashlib.sha256(text.encode()).hexdigest()
        return known[current]

    def described(value: Any) -> Any:
        link = link_of(value)
        if link is not None:
            return ["link", of(link[0]), link[1]]
        if isinstance(value, float) and value.is_integer():
            return int(value)  # ComfyUI makes 0.0 of a page's 0 before it runs
        if isinstance(value, str) and (moment := moment_of(value)) is not None:
            return ["file", value, moment]
        return value

    return of(node_id)
