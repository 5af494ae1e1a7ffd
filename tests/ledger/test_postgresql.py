"""A ledger on a server: one for many homes, by the server's clock; its password is nowhere to be seen."""

from __future__ import annotations

import asyncio
import io
import logging
import signal
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from rich.console import Console
from rich.traceback import Traceback

from kling_once.clock import SystemClock
from kling_once.errors import (
    BudgetReached,
    LedgerDamaged,
    LedgerLocked,
    LedgerNotWritable,
    LedgerTooNew,
    LedgerUnreachable,
    SettingsError,
)
from kling_once.ledger import postgresql as module
from kling_once.ledger.budgets import Budget, Cap, Reservation
from kling_once.ledger.job import Job, job_key
from kling_once.ledger.ledger import Ledger
from kling_once.ledger.queries import Page
from kling_once.order import MotionControl, Order, Sender, Service, Spender, VideoUrl
from kling_once.settings import load_settings
from tests.ledger.stores import PostgresqlStore
from tests.ports import free_port
from tests.postgresql import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postgresql import Postgresql
    from tests.process import Process

OPENS = (
    "import sys; from pathlib import Path; from pydantic import SecretStr;"
    "from kling_once.clock import SystemClock; from kling_once.ledger.ledger import Ledger;"
    "Ledger(Path(sys.argv[1]), SystemClock(), SecretStr(sys.argv[2])).close()"
)
DIES_IN_MID_MIGRATION = (
    "import os, signal; from alembic import op; made = op.create_index;"
    "op.create_index = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL);" + OPENS
)
SENDER = Sender("", "f", "legacy")
UNITS = Decimal(2)


class WrongClock(SystemClock):
    """The clock of a worker that nobody has set."""

    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.fixture
def shared(postgresql: Postgresql) -> Iterator[PostgresqlStore]:
    store = PostgresqlStore(postgresql)
    yield store
    store.close()


@pytest.fixture
def opened(shared: PostgresqlStore) -> Iterator[Callable[..., Ledger]]:
    """Open the ledger from one more home."""
    ledgers: list[Ledger] = []

    def start(ahead: timedelta = timedelta()) -> Ledger:
        ledgers.append(shared.open(WrongClock(ahead)))
        return ledgers[-1]

    yield start
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.3)


def job_of(number: int, service: Service = Service.KLING) -> Job:
    motion, realm = MotionControl(take=number), "sandbox" if service is Service.SANDBOX else "global"
    order = Order(b"", VideoUrl("https://x/y"), motion, service, spender=Spender(f"p{number}", "n"))
    return Job(job_key(realm, motion, "i", "v"), realm, "https://kling", "i", "v", order)


def reservation(day: int) -> Reservation:
    return Reservation(Decimal(4), UNITS, Budget(None, None, Cap(Decimal(day), "CAP", "today")))


fleet = pytest.mark.fleet


@fleet
def test_workers_that_meet_at_an_empty_database_all_open_it(
    postgresql: Postgresql, python: Callable[..., Process], tmp_path: Path
) -> None:
    url = postgresql.url(postgresql.new_database())

    started = [python("-c", OPENS, str(tmp_path / f"home-{number}"), url) for number in range(5)]

    assert [process.end().code for process in started] == [0] * 5


@fleet
def test_a_kill_in_mid_migration_leaves_a_database_that_opens(
    postgresql: Postgresql, python: Callable[..., Process], home: Path
) -> None:
    name = postgresql.new_database()
    url = postgresql.url(name)

    assert python("-c", DIES_IN_MID_MIGRATION, str(home), url).popen.wait(60) == -signal.SIGKILL
    tables = postgresql.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name)
    assert tables == []

    assert python("-c", OPENS, str(home), url).end().code == 0
    assert postgresql.execute("SELECT version_num FROM alembic_version", name)


@fleet
def test_many_workers_at_once_stay_within_the_day_to_the_unit(opened: Callable[..., Ledger]) -> None:
    ledgers = [opened() for _ in range(4)]

    def begin(number: int) -> bool:
        try:
            asyncio.run(ledgers[number % 4].begin(job_of(number), SENDER, reservation(day=9)))
        except BudgetReached:
            return False
        return True

    with ThreadPoolExecutor(12) as threads:
        begun = list(threads.map(begin, range(24)))

    assert sum(begun) == 4
    spent = asyncio.run(ledgers[0].spent(Service.KLING, Spender("", "")))
    assert spent.by_day == 4 * UNITS


@fleet
def test_workers_that_begin_the_same_job_at_once_share_one_attempt(opened: Callable[..., Ledger]) -> None:
    ledgers = [opened() for _ in range(4)]

    def begin(number: int) -> int:
        return asyncio.run(ledgers[number % 4].begin(job_of(1), SENDER, reservation(day=100))).attempt_id

    with ThreadPoolExecutor(12) as threads:
        assert len(set(threads.map(begin, range(12)))) == 1


@fleet
def test_one_of_many_workers_gets_a_lease_that_has_run_out(
    opened: Callable[..., Ledger], shared: PostgresqlStore
) -> None:
    attempt = asyncio.run(opened().begin(job_of(1), SENDER, reservation(day=100)))
    shared.execute("UPDATE attempts SET lease_until = 0")
    ledgers = [opened() for _ in range(4)]

    def claim(number: int) -> bool:
        return asyncio.run(ledgers[number].claim(attempt)) is not None

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(claim, range(4))) == [False] * 3 + [True]


@fleet
@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(minutes=-10)], ids=["ahead", "behind"])
async def test_the_servers_clock_decides_leases(ahead: timedelta, opened: Callable[..., Ledger]) -> None:
    wrong, right = opened(ahead), opened()
    before = datetime.now(UTC)
    attempt = await wrong.begin(job_of(1), SENDER, reservation(day=100))

    assert await right.claim(attempt) is None
    told, after, second = wrong.clock.now(), datetime.now(UTC), timedelta(seconds=1)
    assert before - second < told < after + second
    assert attempt.lease_until is not None
    assert before - second < attempt.lease_until - timedelta(seconds=60) < after + second


@fleet
@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(minutes=-10)], ids=["ahead", "behind"])
async def test_no_clock_of_a_worker_ends_a_lease_or_a_day(
    ahead: timedelta, opened: Callable[..., Ledger], shared: PostgresqlStore
) -> None:
    shared.set_time(datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC))
    right, wrong = opened(), opened(ahead)
    attempt = await right.begin(job_of(1), SENDER, reservation(day=2))

    assert await wrong.claim(attempt) is None
    with pytest.raises(BudgetReached):
        await wrong.begin(job_of(2), SENDER, reservation(day=2))

    shared.set_time(datetime(2026, 11, 23, 0, 0, 1, tzinfo=UTC))
    await wrong.begin(job_of(2), SENDER, reservation(day=2))


@fleet
async def test_a_server_that_restarts_is_asked_again(
    opened: Callable[..., Ledger], postgresql: Postgresql
) -> None:
    ledger = opened()
    await ledger.hold()
    postgresql.stop()
    asked = asyncio.create_task(ledger.held_since())
    await asyncio.to_thread(postgresql.start)

    assert await asked is not None


@fleet
@pytest.mark.usefixtures("impatient")
async def test_a_server_that_is_gone_is_one_clear_line(
    opened: Callable[..., Ledger], postgresql: Postgresql
) -> None:
    ledger = opened()
    postgresql.stop()
    try:
        with pytest.raises(LedgerUnreachable) as caught:
            await ledger.begin(job_of(1), SENDER, reservation(day=100))
    finally:
        await asyncio.to_thread(postgresql.start)
    assert caught.value.message.startswith(f"The ledger {ledger.place} does not answer: ")
    assert "\n" not in str(caught.value)
    assert "Nothing is submitted without it" in caught.value.hint


@fleet
async def test_a_read_only_replica_shows_and_submits_nothing(
    opened: Callable[..., Ledger], shared: PostgresqlStore, postgresql: Postgresql, home: Path
) -> None:
    await opened().begin(job_of(1), SENDER, reservation(day=100))
    server = await asyncio.to_thread(postgresql.replica)
    ledger = await asyncio.to_thread(Ledger, home, SystemClock(), SecretStr(server.url(shared.name)))
    try:
        with pytest.raises(LedgerNotWritable, match=r"cannot be written: its server is a replica"):
            await ledger.begin(job_of(2), SENDER, reservation(day=100))
        assert (await ledger.list_jobs(Page()))[0] == 1
    finally:
        ledger.close()
        server.remove()


@fleet
async def test_a_database_that_is_set_to_read_only_takes_nothing_also_after_a_look(
    opened: Callable[..., Ledger], shared: PostgresqlStore
) -> None:
    """A look leaves nothing behind in its pooled connection that would let the next transaction write."""
    await opened().begin(job_of(1), SENDER, reservation(day=100))
    shared.execute(f"ALTER DATABASE {shared.name} SET default_transaction_read_only = on")
    ledger = opened()
    for _ in range(2):
        assert (await ledger.list_jobs(Page()))[0] == 1
        with pytest.raises(LedgerNotWritable, match="is set to read-only"):
            await ledger.begin(job_of(2), SENDER, reservation(day=100))
        with pytest.raises(LedgerNotWritable, match="is set to read-only"):
            await ledger.require_writable()


@fleet
async def test_a_full_disk_is_one_clear_line(opened: Callable[..., Ledger], shared: PostgresqlStore) -> None:
    ledger = opened()
    shared.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION USING ERRCODE = ''53100'',"
        " MESSAGE = ''could not extend file \"base/1\": No space left on device''; END';"
        "CREATE TRIGGER full_disk BEFORE INSERT ON attempts EXECUTE FUNCTION full_disk()"
    )
    with pytest.raises(LedgerNotWritable, match=r"cannot be written: .*No space left on device") as caught:
        await ledger.begin(job_of(1), SENDER, reservation(day=100))
    assert "its disk" in caught.value.hint


@fleet
async def test_a_worker_that_is_older_than_the_tables_shows_and_submits_nothing(
    opened: Callable[..., Ledger], shared: PostgresqlStore
) -> None:
    running = opened()
    await running.begin(job_of(1), SENDER, reservation(day=100))
    shared.execute(
        "UPDATE alembic_version SET version_num = '0009';"
        "UPDATE notes SET value = '9.0.0' WHERE name = 'version';"
        "ALTER TABLE jobs ADD COLUMN later text"
    )

    for ledger in (running, opened()):
        with pytest.raises(LedgerTooNew, match=r"written by Kling Once 9\.0\.0"):
            await ledger.begin(job_of(2), SENDER, reservation(day=100))
        with pytest.raises(LedgerTooNew):
            await ledger.require_writable()
        assert (await ledger.list_jobs(Page()))[0] == 1


@fleet
async def test_a_database_that_lacks_a_table_is_damaged(
    opened: Callable[..., Ledger], shared: PostgresqlStore
) -> None:
    ledger = opened()
    shared.execute("DROP TABLE notes")
    with pytest.raises(LedgerDamaged, match="is damaged") as caught:
        await ledger.held_since()
    assert "backup" in caught.value.hint


@fleet
async def test_a_lock_that_another_worker_keeps_is_called_a_lock(
    opened: Callable[..., Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BOUNDS", module.sa.text("SELECT set_config('lock_timeout', '100ms', true)"))
    holder, other = opened(), opened()
    with holder.database.write() as connection:
        module.exclusive(connection, "job", job_of(1).key)
        with pytest.raises(LedgerLocked, match="locked by another worker"):
            await other.begin(job_of(1), SENDER, reservation(day=100))


# The password


def everything_of(error: BaseException) -> str:
    shown = io.StringIO()
    Console(file=shown, width=200).print(Traceback.from_exception(type(error), error, None, show_locals=True))
    text = "".join(traceback.format_exception(error))
    return "\n".join([shown.getvalue(), text, repr(error), str(error), repr(vars(error))])


@fleet
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("trouble", ["wrong password", "nobody listens", "no such database"])
def test_no_failure_shows_the_password(
    trouble: str, postgresql: Postgresql, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    right = postgresql.url("postgres")
    secret = "geheim-0123456789" if trouble == "wrong password" else PASSWORD
    url = {
        "wrong password": right.replace(PASSWORD, secret),
        "nobody listens": postgresql.url("postgres", free_port()),
        "no such database": postgresql.url("elsewhere"),
    }[trouble]

    with pytest.raises(LedgerNotWritable) as caught:
        Ledger(home, SystemClock(), SecretStr(url))

    assert secret not in everything_of(caught.value)
    assert secret not in caplog.text
    assert "postgresql://127.0.0.1:" in caught.value.message


@fleet
def test_a_working_ledger_shows_its_server_and_no_password(
    opened: Callable[..., Ledger], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ledger = opened()
    told = asyncio.run(ledger.describe())
    assert told.startswith("postgresql://127.0.0.1:")
    assert "PostgreSQL" in told
    shown = [told, ledger.place, repr(ledger.database._engine), caplog.text]
    assert [text for text in shown if PASSWORD in text] == []


@pytest.mark.parametrize(
    "url",
    [
        "geheim",
        "mysql://u:geheim@h/d",
        "postgresql+psycopg2://u:geheim@h/d",
        "postgresql+psycopg://u:geheim@h",
        "postgresql+psycopg://u:geheim@h:port/d",
        "sqlite:///geheim.db",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str, home: Path) -> None:
    with pytest.raises(SettingsError, match="KLING_ONCE_LEDGER_URL") as caught:
        Ledger(home, SystemClock(), SecretStr(url))
    assert "geheim" not in everything_of(caught.value)
    assert "postgresql+psycopg://user:password@host" in caught.value.hint


def test_settings_do_not_show_the_address(monkeypatch: pytest.MonkeyPatch, hermetic: None) -> None:
    monkeypatch.setenv("KLING_ONCE_LEDGER_URL", "postgresql+psycopg://u:geheim@h/d")
    assert "geheim" not in repr(load_settings()) + str(load_settings())


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u:p@db:5433/ledger?sslmode=require", "postgresql://db:5433/ledger"),
        ("postgresql+psycopg://u@/ledger?host=/run/pg&password=p", "postgresql:///run/pg/ledger"),
        ("postgres://u:p@db/ledger", "postgresql://db/ledger"),
    ],
)
def test_messages_name_server_and_database_alone(url: str, place: str) -> None:
    parsed = module.parse_url(SecretStr(url))
    assert module.place_of(parsed) == place
    assert parsed.password in {"p", None}
    assert "password" not in parsed.query
    assert parsed.drivername == "postgresql+psycopg"


def test_without_the_driver_the_extra_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr(module, "make_engine", missing)
    with pytest.raises(SettingsError, match="psycopg, which is not installed") as caught:
        Ledger(home, SystemClock(), SecretStr("postgresql+psycopg://u:p@h/d"))
    assert "kling-once[postgresql]" in caught.value.hint
