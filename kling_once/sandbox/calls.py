"""Vendor calls: a call as it arrived, and the log of all calls in the state."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .rules import looks_like_url
from .wire import (
    INVALID_PARAMETERS,
    INVALID_VALUE,
    Refusal,
    parse_body,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from .wire import Reply

BODY_MAX_BYTES: Final = 64_000_000
KEPT_CALLS: Final = 10_000
CLEARED_EVERY: Final = 500
LONGEST_TEXT: Final = 5_000
DEEPEST: Final = 12
PICTURE_FIELDS: Final = frozenset({"image_url", "url", "frontal_image"})


@dataclass(frozen=True)
class Call:
    """One vendor call as it arrived.

    Attributes:
        method: HTTP method.
        raw_path: path as it stands in the request line, percent-encoded.
        raw_query: query without the question mark.
        query: names and values, decoded, in order.
        authorization: the Authorization header.
        content_type: the Content-Type header.
        body: the body; None where it is longer than `BODY_MAX_BYTES`.
        origin: the origin that the client addressed; result URLs begin with it.
        is_gone: returns whether the client has hung up.
    """

    method: str
    raw_path: str
    raw_query: str
    query: Sequence[tuple[str, str]]
    authorization: str | None
    content_type: str | None
    body: bytes | None
    origin: str
    is_gone: Callable[[], bool]

    @property
    def shown_path(self) -> str:
        """Path and query for the log: shortened, undecodable bytes escaped."""
        path = self.raw_path + (f"?{self.raw_query}" if self.raw_query else "")
        return shorten(path.encode("utf-8", "backslashreplace").decode())

    def parse(self) -> tuple[Any, Refusal | None]:
        """Parse the body; blocking.

        Returns:
            What the log shows of the body, and the refusal of a body that cannot be read.
        """
        if self.body is None:
            refusal = Refusal(INVALID_VALUE, f"the request body is larger than {BODY_MAX_BYTES} bytes")
            return "<too large>", refusal
        if not self.body:
            return None, Refusal(INVALID_PARAMETERS, "the request body is empty")
        try:
            return parse_body(self.body), None
        except Refusal as refusal:
            digest = hashlib.sha256(self.body).hexdigest()
            return f"<unreadable, {len(self.body)} bytes, sha256 {digest}>", refusal


def begin_call(connection: sqlite3.Connection, method: str, path: str, body: Any) -> int:
    """Log a call before it is answered; return its number."""
    number = connection.execute(
        "INSERT INTO calls (method, path, body) VALUES (?, ?, ?)", (method, path, json.dumps(body))
    ).lastrowid
    if number is None:
        raise RuntimeError("SQLite gave no row number")
    if number % CLEARED_EVERY == 0:
        connection.execute("DELETE FROM calls WHERE n <= ?", (number - KEPT_CALLS,))
    return number


def finish_call(connection: sqlite3.Connection, number: int, reply: Reply) -> None:
    """Log the answer to a call; after a reset its status stays null."""
    body = reply.body if isinstance(reply.body, dict) else reply.body.decode("utf-8", "replace")
    connection.execute(
        "UPDATE calls SET status = ?, answer = ? WHERE n = ?",
        (reply.status, json.dumps(None if reply.status is None else shorten(body)), number),
    )


def list_calls(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return every kept call, oldest first."""
    return [
        {
            "method": row["method"],
            "path": row["path"],
            "body": json.loads(row["body"]),
            "status": row["status"],
            "answer": json.loads(row["answer"]),
        }
        for row in connection.execute("SELECT * FROM calls ORDER BY n")
    ]


def shorten(value: Any, depth: int = 0) -> Any:
    """Copy a JSON value; long texts and base64 pictures become their length and digest."""
    if depth > DEEPEST:
        return "<nested deeper>"
    if isinstance(value, dict):
        return {
            str(shorten(name)): _picture(item) if name in PICTURE_FIELDS else shorten(item, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [shorten(item, depth + 1) for item in value]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return _digest("text", value)
    return value


def _picture(value: Any) -> Any:
    if isinstance(value, str) and value and not looks_like_url(value):
        return _digest("base64", value)
    return shorten(value)


def _digest(kind: str, text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"<{kind} {len(text)} characters, sha256 {digest}>"
