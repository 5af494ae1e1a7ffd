"""When a task moves on, as data: at once, after N polls, or after T seconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

MOST_POLLS: Final = 1_000_000
MOST_SECONDS: Final = 10_000_000.0


class Stage(StrEnum):
    """How far a task is; the end is spelled `succeed` or `failed` on the wire."""

    SUBMITTED = "submitted"
    PROCESSING = "processing"
    ENDED = "ended"


@dataclass(frozen=True)
class Transitions:
    """One policy for all tasks of a state.

    `at once`: the first look finds the task ended.
    `polls`: N polls answer an unfinished status (the first half of them `submitted`, the rest `processing`),
    the next one the end.
    `seconds`: the task ends T seconds after it was accepted, `submitted` for the first half of that time.
    """

    policy: str
    polls: int = 0
    seconds: float = 0.0

    @classmethod
    def at_once(cls) -> Self:
        """End every task at the first look."""
        return cls("at once")

    @classmethod
    def after_polls(cls, polls: int) -> Self:
        """Answer `polls` unfinished polls first."""
        return cls("polls", polls=polls)

    @classmethod
    def after_seconds(cls, seconds: float) -> Self:
        """End every task `seconds` after it was accepted."""
        return cls("seconds", seconds=seconds)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read `{"policy": ...}` as the controls take it; ValueError says what is wrong."""
        match value:
            case {"policy": "at once", **rest} if not rest:
                return cls.at_once()
            case {"policy": "polls", "polls": int(polls), **rest} if not rest and not isinstance(polls, bool):
                if 0 <= polls <= MOST_POLLS:
                    return cls.after_polls(polls)
            case {"policy": "seconds", "seconds": int() | float() as seconds, **rest} if not rest:
                if not isinstance(seconds, bool) and 0 <= seconds <= MOST_SECONDS:
                    return cls.after_seconds(float(seconds))
        raise ValueError(
            'transitions are {"policy": "at once"}, {"policy": "polls", "polls": N} '
            'or {"policy": "seconds", "seconds": T}, with N and T not negative'
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `at once`, `polls:2` or `seconds:5`, as the command line takes it."""
        kind, _, number = text.partition(":")
        kind = kind.strip().replace("-", " ")
        try:
            if kind == "at once" and not number:
                return cls.at_once()
            if kind == "polls":
                return cls.from_json({"policy": "polls", "polls": int(number)})
            if kind == "seconds":
                return cls.from_json({"policy": "seconds", "seconds": float(number)})
        except ValueError:
            pass
        raise ValueError(f"{text!r} is not 'at once', 'polls:N' or 'seconds:T'")

    def to_json(self) -> dict[str, Any]:
        """Give the policy as the controls answer it."""
        if self.policy == "polls":
            return {"policy": "polls", "polls": self.polls}
        if self.policy == "seconds":
            return {"policy": "seconds", "seconds": self.seconds}
        return {"policy": "at once"}

    def stage(self, polls: int, age_seconds: float) -> Stage:
        """Tell the stage of a task polled `polls` times (this one included) at that age."""
        if self.policy == "polls":
            if polls > self.polls:
                return Stage.ENDED
            return Stage.SUBMITTED if polls <= self.polls // 2 else Stage.PROCESSING
        if self.policy == "seconds":
            if age_seconds >= self.seconds:
                return Stage.ENDED
            return Stage.SUBMITTED if age_seconds < self.seconds / 2 else Stage.PROCESSING
        return Stage.ENDED

    def moves_by_itself(self) -> bool:
        """Tell whether a task moves on although nobody polls it."""
        return self.policy != "polls"
