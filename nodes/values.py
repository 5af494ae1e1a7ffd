"""Texts, numbers and choices as they come over a node's inputs: nothing wired counts as the default."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..kling_once.errors import InputRefused, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import StrEnum

    Choice = TypeVar("Choice", bound=StrEnum)

SHOWN_CHARACTERS = 40


def text(inputs: Mapping[str, Any], name: str, usual: str = "") -> str:
    """Return an input as text."""
    value = inputs.get(name)
    return usual if value is None else str(value)


def number(inputs: Mapping[str, Any], name: str, usual: float) -> float:
    """Return an input as a number.

    Raises:
        InputRefused: it is none.
    """
    value = inputs.get(name)
    try:
        found = float(usual if value is None else value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        refuse(name, f"{name} is {_shown(value)}; it must be a number.")
    return found


def whole_number(inputs: Mapping[str, Any], name: str, usual: int) -> int:
    """Return an input as a whole number.

    Raises:
        InputRefused: it is none.
    """
    found = number(inputs, name, usual)
    if not found.is_integer():
        refuse(name, f"{name} is {_shown(inputs[name])}; it must be a whole number.")
    return int(found)


def choice(inputs: Mapping[str, Any], name: str, usual: Choice) -> Choice:
    """Return an input as one of the values of `usual`'s kind.

    Raises:
        InputRefused: it is none of them.
    """
    kind, found = type(usual), text(inputs, name, usual)
    if found not in set(kind):
        refuse(name, f"{name} is {_shown(found)}; it may be: {'; '.join(kind)}.")
    return kind(found)


def refuse(name: str, message: str) -> NoReturn:
    """Refuse an input.

    Raises:
        InputRefused: always.
    """
    raise InputRefused([Violation(name, f"{name}.value", message)])


def _shown(value: Any) -> str:
    return repr(str(value)[:SHOWN_CHARACTERS])
