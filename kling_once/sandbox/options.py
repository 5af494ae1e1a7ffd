"""Configuration of a sandbox: options at its start, and settings that can change while it runs."""

from __future__ import annotations

import contextlib
import json
import time
from base64 import b64decode
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Literal, Self

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

DEFAULT_ACCESS_KEY: Final = "sandbox-access-key-0123456789abcdef"
"""Access key of a sandbox without one of its own. Public on purpose: it gives access to a sandbox alone."""

DEFAULT_SECRET_KEY: Final = "sandbox-secret-key-0123456789abcdef"  # noqa: S105 - public on purpose
"""Secret key of a sandbox without one of its own."""

DEFAULT_API_KEY: Final = "sandbox-api-key-0123456789abcdefghij"
"""Static API key of a sandbox without one of its own."""

TRIAL_PARALLEL_LIMIT: Final = 5
"""Tasks at a time that a trial pack allows (a user's report; the page names no number)."""

CHARGES: Final = ("units", "cash", "cash-cny", "test-balance", "none")
"""How a deduction is shown: units of a pack, US dollars, yuan, dollars of a test balance, or not at all."""

MOST_PARALLEL: Final = 1_000_000
MOST_POLLS: Final = 1_000_000
MOST_SECONDS: Final = 10_000_000.0


class Stage(StrEnum):
    """Progress of a task; ENDED is `succeed` or `failed` on the wire."""

    SUBMITTED = "submitted"
    PROCESSING = "processing"
    ENDED = "ended"


@dataclass(frozen=True)
class Transitions:
    """The policy by which tasks change their status, one for all tasks of a state.

    Attributes:
        policy: `at once`: the first query finds the task ended. `polls`: N polls answer an unfinished
            status (the first half of them `submitted`, the rest `processing`), the next poll the end.
            `seconds`: the task ends T seconds after it was accepted, `submitted` for the first half.
        polls: N of the policy `polls`.
        seconds: T of the policy `seconds`.
    """

    policy: str
    polls: int = 0
    seconds: float = 0.0

    @classmethod
    def at_once(cls) -> Self:
        """End every task at the first query."""
        return cls("at once")

    @classmethod
    def after_polls(cls, polls: int) -> Self:
        """Answer an unfinished status `polls` times, then the end."""
        return cls("polls", polls=polls)

    @classmethod
    def after_seconds(cls, seconds: float) -> Self:
        """End every task `seconds` seconds after it was accepted."""
        return cls("seconds", seconds=seconds)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read a policy as the controls take it: `{"policy": "polls", "polls": 2}`.

        Raises:
            ValueError: it is none; the message lists the three forms.
        """
        match value:
            case {"policy": "at once", **rest} if not rest:
                return cls.at_once()
            case {"policy": "polls", "polls": polls, **rest} if not rest and type(polls) is int:
                if 0 <= polls <= MOST_POLLS:
                    return cls.after_polls(polls)
            case {"policy": "seconds", "seconds": seconds, **rest} if not rest:
                if type(seconds) in (int, float) and 0 <= seconds <= MOST_SECONDS:
                    return cls.after_seconds(float(seconds))
        raise ValueError(
            'transitions are {"policy": "at once"}, {"policy": "polls", "polls": N} '
            'or {"policy": "seconds", "seconds": T}, with N and T not negative'
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a policy as the command line takes it: `at once`, `polls:2` or `seconds:5`.

        Raises:
            ValueError: it is none of them.
        """
        kind, _, number = text.partition(":")
        kind = kind.strip().replace("-", " ")
        with contextlib.suppress(ValueError):
            match kind:
                case "at once" if not number:
                    return cls.at_once()
                case "polls":
                    return cls.from_json({"policy": kind, "polls": int(number)})
                case "seconds":
                    return cls.from_json({"policy": kind, "seconds": float(number)})
        raise ValueError(f"{text!r} is not 'at once', 'polls:N' or 'seconds:T'")

    def to_json(self) -> dict[str, Any]:
        """Return the policy as the controls answer it."""
        numbers = {"polls": {"polls": self.polls}, "seconds": {"seconds": self.seconds}}
        return {"policy": self.policy} | numbers.get(self.policy, {})

    def stage(self, polls: int, age_seconds: float) -> Stage:
        """Return the stage of a task of that age that was polled `polls` times, this poll included."""
        if self.policy == "at once":
            return Stage.ENDED
        reached, end, half = age_seconds, self.seconds, self.seconds / 2
        if self.policy == "polls":
            reached, end, half = polls - 1, self.polls, self.polls // 2
        if reached >= end:
            return Stage.ENDED
        return Stage.SUBMITTED if reached < half else Stage.PROCESSING


@dataclass(frozen=True)
class SandboxOptions:
    """How a sandbox behaves; the defaults touch nothing beyond this machine.

    `parallel_limit`, `transitions`, `quick_results`, `charge`, `duplicates_allowed` and `unknown_fields` are
    starting values: what `PUT /sandbox/settings` and `PUT /sandbox/transitions` stored in the state wins.

    Attributes:
        state_dir: folder of tasks, uploads and results; None means a temporary one, removed at stop.
        embedded: part of another program: every control needs `token`, callbacks go to
            `callback_origins` only.
        token: value of the header `X-Sandbox-Token`; None means a random one where one is needed.
        access_key: issuer (`iss`) of the account's signed tokens.
        secret_key: HS256 secret of the account's signed tokens.
        api_key: the account's static API key.
        fetch: "own" fetches uploads of this state only, "any" fetches http(s) URLs as Kling does, "guarded"
            fetches https from public addresses, and what this machine serves when the URL names it.
        callbacks: "loopback" calls this machine only, "any" calls every http(s) URL.
        callback_origins: origins that an embedded sandbox may call, such as "http://127.0.0.1:8188".
        callback_secret: `whsec_<base64>`; callbacks are signed when it is set.
        parallel_limit: unfinished tasks at a time; a create above it is answered with 1303.
        transitions: the policy by which tasks change their status.
        quick_results: make small results with 10 frames a second, for tests.
        charge: how a deduction is shown: one of `CHARGES`.
        duplicates_allowed: a repeated external id makes a second task.
        unknown_fields: whether a create with a field that the page does not have is refused.
        now: clock, in Unix seconds.

    Raises:
        ValueError: an option cannot work; the message names it.
    """

    state_dir: Path | None = None
    embedded: bool = False
    token: str | None = field(default=None, repr=False)
    access_key: str = field(default=DEFAULT_ACCESS_KEY, repr=False)
    secret_key: str = field(default=DEFAULT_SECRET_KEY, repr=False)
    api_key: str = field(default=DEFAULT_API_KEY, repr=False)
    fetch: Literal["own", "any", "guarded"] = "own"
    callbacks: Literal["loopback", "any"] = "loopback"
    callback_origins: tuple[str, ...] = ()
    callback_secret: str | None = field(default=None, repr=False)
    parallel_limit: int = TRIAL_PARALLEL_LIMIT
    transitions: Transitions = field(default_factory=lambda: Transitions.after_polls(2))
    quick_results: bool = False
    charge: Literal["units", "cash", "cash-cny", "test-balance", "none"] = "units"
    duplicates_allowed: bool = False
    unknown_fields: Literal["refuse", "ignore"] = "refuse"
    now: Callable[[], float] = field(default=time.time, repr=False)

    def __post_init__(self) -> None:
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


def load_settings(connection: sqlite3.Connection, options: SandboxOptions) -> SandboxOptions:
    """Return the options with the settings that the state stores in their place."""
    rows = connection.execute("SELECT name, value FROM settings WHERE name != 'secret'")
    stored = {name.replace("-", "_"): json.loads(value) for name, value in rows}
    if "transitions" in stored:
        stored["transitions"] = Transitions.from_json(stored["transitions"])
    return replace(options, **stored)


def save_settings(connection: sqlite3.Connection, changes: dict[str, Any]) -> None:
    """Store settings that `read_changes` has checked."""
    connection.executemany(
        "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [(name, json.dumps(value)) for name, value in changes.items()],
    )


def read_changes(body: Any) -> dict[str, Any]:
    """Check a body of `PUT /sandbox/settings` and return it.

    Raises:
        ValueError: A name or a value is wrong; the message names it.
    """
    if not isinstance(body, dict):
        raise ValueError('settings are an object such as {"duplicates-allowed": true}')  # noqa: TRY004 - a wrong body is one kind of error
    for name, value in body.items():
        if name not in SETTINGS:
            raise ValueError(
                f"{name!r} is not a setting; there are duplicates-allowed (boolean), parallel-limit "
                "(integer from 1), quick-results (boolean), charge (one of " + ", ".join(CHARGES) + "), "
                "unknown-fields (refuse or ignore) and transitions"
            )
        if name == "transitions":
            Transitions.from_json(value)
        elif not SETTINGS[name](value):
            raise ValueError(f"{value!r} is not a value of {name}")
    return body


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


SETTINGS: Final[dict[str, Callable[[Any], bool]]] = {
    "duplicates-allowed": _is_boolean,
    "parallel-limit": lambda value: type(value) is int and 1 <= value <= MOST_PARALLEL,
    "quick-results": _is_boolean,
    "charge": lambda value: value in CHARGES,
    "unknown-fields": lambda value: value in ("refuse", "ignore"),
    "transitions": lambda _: True,
}
"""The options that can change while a sandbox runs, and the check of each."""
