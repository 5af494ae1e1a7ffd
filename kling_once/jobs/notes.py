"""Short facts that every process of one home shares, such as the hold switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from .tables import notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from .database import Database


def note_in(connection: sa.Connection, name: str) -> str | None:
    """Return a note within a transaction."""
    return connection.execute(sa.select(notes.c.value).where(notes.c.name == name)).scalar_one_or_none()


def read_note(database: Database, name: str) -> str | None:
    """Return a note; blocking."""
    with database.read() as connection:
        return note_in(connection, name)


def kept_note(database: Database, name: str, make: Callable[[], str]) -> str:
    """Return a note that the first caller of all processes makes, and that stays; blocking."""
    value = read_note(database, name)
    if value is None:
        with database.write() as connection:
            value = note_in(connection, name)
            if value is None:
                value = make()
                put_note(connection, name, value)
    return value


def write_note(database: Database, name: str, value: str | None) -> None:
    """Write a note, or remove it with None; blocking."""
    with database.write() as connection:
        put_note(connection, name, value)


def put_note(connection: sa.Connection, name: str, value: str | None) -> None:
    """Write or remove a note within a transaction."""
    connection.execute(sa.delete(notes).where(notes.c.name == name))
    if value is not None:
        connection.execute(sa.insert(notes).values(name=name, value=value))
