"""A ledger that is damaged, locked, too new or not writable says which; strange rows stay readable."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.clock import SystemClock
from kling_once.errors import (
    LedgerDamaged,
    LedgerError,
    LedgerLocked,
    LedgerNotWritable,
    LedgerTooNew,
    SubmissionsHeld,
)
from kling_once.ledger import database, sqlite
from kling_once.ledger.attempts import AttemptState
from kling_once.ledger.ledger import Ledger
from kling_once.ledger.queries import Page
from kling_once.order import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl


@pytest.fixture
def used(engine: Any, order: Callable[..., Any], home: Path) -> Path:
    """Return a home whose ledger holds one kept job."""
    engine.run(order()).result(30)
    engine.close()
    return home / "ledger.db"


async def listed(home: Path) -> list[dict[str, Any]]:
    ledger = await asyncio.to_thread(Ledger, home, SystemClock())
    try:
        _total, rows = await ledger.list_jobs(Page())
        await ledger.totals()
        return [*rows, *await ledger.history()]
    finally:
        ledger.close()


def overwrite(path: Path, at: int, content: bytes) -> None:
    for other in path.parent.glob(f"{path.name}-*"):
        other.unlink()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def statement(*texts: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        connection = sqlite3.connect(path)
        with connection:
            for text in texts:
                connection.execute(text)
        connection.close()

    return change


DAMAGE = {
    "random bytes": lambda path: overwrite(path, 0, os.urandom(4096)),
    "a cut file": lambda path: overwrite(path, 0, path.read_bytes()[:5000]) or os.truncate(path, 5000),
    "random bytes in the middle": lambda path: overwrite(path, 4096, os.urandom(60_000)),
    "a dropped table": statement("DROP TABLE attempts"),
    "a missing column": statement("ALTER TABLE attempts RENAME COLUMN task_id TO other_name"),
    "no version row": statement("DELETE FROM alembic_version"),
    "an unknown older version": statement("UPDATE alembic_version SET version_num = '0000'"),
}


@pytest.mark.parametrize("kind", DAMAGE)
async def test_a_damaged_ledger_says_so_and_how_to_go_on(kind: str, used: Path) -> None:
    DAMAGE[kind](used)
    with pytest.raises(LedgerDamaged, match="is damaged") as caught:
        await listed(used.parent)
    assert "Move it away" in caught.value.hint


async def test_a_lock_held_by_another_program_is_called_a_lock(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    ledger = await asyncio.to_thread(Ledger, used.parent, SystemClock())
    holder = sqlite3.connect(used, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(LedgerLocked, match="is locked by another program") as caught:
            await ledger.hold()
        assert "End the program that holds it" in caught.value.hint
    finally:
        holder.close()
        ledger.close()


async def test_a_newer_ledger_that_lacks_what_we_ask_for_is_too_new(used: Path) -> None:
    statement(
        "UPDATE alembic_version SET version_num = '0009'",
        "UPDATE notes SET value = '9.0.0' WHERE name = 'version'",
        "ALTER TABLE attempts RENAME COLUMN reason TO reasons",
    )(used)
    with pytest.raises(LedgerTooNew, match=r"9\.0\.0") as caught:
        await listed(used.parent)
    assert "Install Kling Once" in caught.value.hint


async def test_a_folder_in_the_ledgers_place_is_not_writable(home: Path) -> None:
    (home / "ledger.db").mkdir(parents=True)
    with pytest.raises(LedgerNotWritable, match="cannot be written") as caught:
        await listed(home)
    assert "Check the folder" in caught.value.hint


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_the_ledger_is_the_users_alone_in_whatever_home(home: Path) -> None:
    home.mkdir(parents=True)
    home.chmod(0o755)
    (home / "ledger.db").touch()
    (home / "ledger.db").chmod(0o644)
    ledger = Ledger(home, SystemClock())
    try:
        asyncio.run(ledger.hold())
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.glob("ledger.db*")}
    finally:
        ledger.close()
    assert modes["ledger.db"] == 0o600
    assert set(modes.values()) == {0o600}


@pytest.fixture
def strange(used: Path, ledger_file: LedgerFile) -> Iterator[LedgerFile]:
    yield ledger_file
    assert used.exists()


def test_a_kept_video_is_served_whatever_its_state_is_called(
    strange: LedgerFile, engines: Callable[..., Any], order: Callable[..., Any], sandbox: SandboxControl
) -> None:
    strange.change(state="archived")
    assert engines().run(order()).result(30).reused
    assert len(sandbox.creates()) == 1


def test_a_state_that_is_not_known_is_a_newer_versions(
    strange: LedgerFile,
    home: Path,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    sandbox: SandboxControl,
    results: Path,
) -> None:
    strange.change(state="archived")
    for path in results.rglob("*walk*"):
        path.unlink()

    assert {row["state"] for row in asyncio.run(listed(home))} == {AttemptState.NEWER}
    for again in (False, True):
        with pytest.raises(LedgerTooNew, match="newer version"):
            engines().run(order(again=again)).result(30)
    with pytest.raises(LedgerTooNew, match="newer version"):
        engines().collect(strange.rows()[0]["task_id"]).result(30)
    assert len(sandbox.creates()) == 1
    assert strange.states() == ["archived"]


@pytest.mark.parametrize("amount", ["two", "NaN", "Infinity", "1e999999", "", b"\xff"])
async def test_an_amount_that_is_no_number_reads_as_none(
    strange: LedgerFile, home: Path, amount: Any
) -> None:
    strange.change(units_charged=amount, units_reserved=amount, seconds=amount, result_seconds=amount)

    assert all(row["units_charged"] is None for row in await listed(home))


@pytest.mark.parametrize("moment", [10**18, -(10**18), "soon", b"\xff"])
async def test_a_time_that_is_none_reads_as_none_or_long_ago(
    strange: LedgerFile, home: Path, moment: Any, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    strange.change(created_at=moment, submitted_at=moment, ended_at=moment, vendor_created_at=moment)

    rows = await listed(home)
    assert all(row["started_at"] == datetime(1970, 1, 1, tzinfo=UTC) for row in rows)
    assert all(row["ended_at"] is None for row in rows)
    assert engines().run(order()).result(30).reused
    assert engines().run(order(take=1)).result(30).path.is_file()


async def test_a_hold_that_cannot_be_read_holds(strange: LedgerFile, home: Path) -> None:
    strange.execute("INSERT INTO notes VALUES ('live_held_since', 'soon')")
    ledger = await asyncio.to_thread(Ledger, home, SystemClock())
    try:
        with pytest.raises(SubmissionsHeld):
            await ledger.require_released(Service.KLING)
    finally:
        ledger.close()


def test_text_that_no_database_takes_is_an_error_of_ours(home: Path) -> None:
    opened = sqlite.SqliteDatabase(home, SystemClock())
    try:
        with pytest.raises(LedgerError), opened.write() as connection:
            database.upsert(connection, database.notes, {"name": "x", "value": "\ud800"})
    finally:
        opened.close()
