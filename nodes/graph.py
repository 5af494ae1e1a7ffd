"""Read an API prompt: what is wired to a node, what leads to it, and what all that is called. Pure."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ApiPrompt = dict[str, dict[str, Any]]
"""`{node id: {"class_type": ..., "inputs": {...}}}`; what somebody queued in another form has no inputs."""

LINK_PARTS = 2
FILE_INPUTS = ("image", "file", "video", "audio")
"""What core's loaders call the file that they load."""


def link_of(value: Any) -> tuple[str, int] | None:
    """Return the node and the slot that an input is linked to, None for a constant."""
    if isinstance(value, list) and len(value) == LINK_PARTS and isinstance(value[1], int):
        return str(value[0]), value[1]
    return None


def takers_of(prompt: ApiPrompt, node_id: str, slot: int) -> list[str]:
    """Return the nodes with an input that takes this output."""
    wanted = (node_id, slot)
    return [
        name for name in prompt if any(link_of(value) == wanted for value in _inputs(prompt, name).values())
    ]


def is_wired(prompt: ApiPrompt, node_id: str, slot: int) -> bool:
    """Tell whether an input takes this output; True also when the prompt does not know the node."""
    return node_id not in prompt or bool(takers_of(prompt, node_id, slot))


def class_of(prompt: ApiPrompt, node_id: str) -> Any:
    """Return a node's class as the prompt names it."""
    node = prompt.get(node_id)
    return node.get("class_type") if isinstance(node, dict) else None


def source_of(prompt: ApiPrompt, node_id: str, input_id: str) -> str | None:
    """Return the node that an input is linked to."""
    link = link_of(_inputs(prompt, node_id).get(input_id))
    return link[0] if link else None


def file_name_of(prompt: ApiPrompt, node_id: str, input_id: str) -> str:
    """Return what to call the picture or clip that comes in: the file's name without folder and ending."""
    inputs = _inputs(prompt, source_of(prompt, node_id, input_id) or "")
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
    waiting = [node_id]
    while waiting:  # no recursion: a chain may be longer than Python's stack
        current = waiting[-1]
        if current not in known:
            known[current] = ""  # a loop ends here
            links = map(link_of, _sorted_inputs(prompt, current).values())
            waiting += reversed([link[0] for link in links if link and link[0] not in known])
            continue
        waiting.pop()
        known[current] = known[current] or _node_hash(prompt, current, known, moment_of)
    return known[node_id]


def _node_hash(
    prompt: ApiPrompt, node_id: str, known: dict[str, str], moment_of: Callable[[str], float | None]
) -> str:
    def described(value: Any) -> Any:
        link = link_of(value)
        if link is not None:
            return ["link", known[link[0]], link[1]]
        if isinstance(value, float) and value.is_integer():
            return int(value)  # ComfyUI makes 0.0 of a page's 0 before it runs
        if isinstance(value, str) and (moment := moment_of(value)) is not None:
            return ["file", value, moment]
        return value

    inputs = {name: described(value) for name, value in _sorted_inputs(prompt, node_id).items()}
    text = json.dumps([class_of(prompt, node_id), inputs], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _inputs(prompt: ApiPrompt, node_id: str) -> dict[str, Any]:
    node = prompt.get(node_id)
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _sorted_inputs(prompt: ApiPrompt, node_id: str) -> dict[str, Any]:
    return dict(sorted(_inputs(prompt, node_id).items()))
