"""The log of vendor calls: every one in order, without keys, with pictures shortened."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3

    from .wire import Reply

KEPT_CALLS: Final = 10_000
LONGEST_TEXT: Final = 5_000
DEEPEST: Final = 12


def begin_call(connection: sqlite3.Connection, method: str, path: str, body: Any) -> int:
    """Note a call before it is answered; return its number."""
    number = connection.execute(
        "INSERT INTO calls (method, path, body) VALUES (?, ?, ?)", (method, path, json.dumps(body))
    ).lastrowid
    if number is None:
        raise RuntimeError("SQLite gave no row number")
    if number % 500 == 0:
        connection.execute("DELETE FROM calls WHERE n <= ?", (number - KEPT_CALLS,))
    return number


def finish_call(connection: sqlite3.Connection, number: int, reply: Reply) -> None:
    """Note what a call was answered; a reset keeps status null."""
    body = reply.body if isinstance(reply.body, dict) else reply.body.decode("utf-8", "replace")
    connection.execute(
        "UPDATE calls SET status = ?, answer = ? WHERE n = ?",
        (reply.status, json.dumps(None if reply.status is None else shorten(body)), number),
    )


def list_calls(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Give every kept call, oldest first."""
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
    """Copy a JSON value with long texts and base64 pictures replaced by their length and digest."""
    if depth > DEEPEST:
        return "<nested deeper>"
    if isinstance(value, dict):
        return {
            str(shorten(name)): _picture(item) if name == "image_url" else shorten(item, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [shorten(item, depth + 1) for item in value]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return _digest("text", value)
    return value


def _picture(value: Any) -> Any:
    if isinstance(value, str) and value and "://" not in value[:64]:
        return _digest("base64", value)
    return shorten(value)


def _digest(kind: str, text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"<{kind} {len(text)} characters, sha256 {digest}>"
