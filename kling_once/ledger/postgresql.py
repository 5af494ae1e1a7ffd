"""PostgreSQL: one ledger for many machines, also behind a transaction pooler."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa
import tenacity
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from ..errors import LedgerUnreachable, SettingsError
from .database import Database, exclusive, make_engine, sqlstate_of
from .tables import HEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import SecretStr

    from ..clock import Clock

DRIVER: Final = "postgresql+psycopg"
DRIVERS: Final = frozenset({DRIVER, "postgresql", "postgres"})
BUSY_SECONDS: Final = 30
PATIENCE_SECONDS: Final = 10.0
"""How long a server that does not answer is tried again, such as one that is being restarted."""
CONNECTIONS: Final = 2
"""Of one process, kept open; as many more for a moment. A server allows 100 by default, for all."""
CONNECT_OPTIONS: Final = {
    "application_name": "kling-once",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""Of libpq; what the URL says itself wins."""
BOUNDS: Final = sa.text(
    f"SELECT set_config('lock_timeout', '{BUSY_SECONDS}s', true),"
    f" set_config('idle_in_transaction_session_timeout', '{BUSY_SECONDS}s', true),"
    " set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    " WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)"
)
"""Of one transaction: nobody waits for ever, nor for a worker that was suspended in its middle; and what is
written is on disk."""

LOCK_TIMEOUTS: Final = frozenset({"55P03", "25P03"})
DAMAGED: Final = frozenset({"42P01", "42703", "42P07", "42804"})
"""Undefined table, undefined column, duplicate table, datatype mismatch."""
GONE: Final = frozenset({"57P01", "57P02", "57P03", "53300"})
"""Shut down, crashed, starting up, too many connections; and all of class 08."""
READ_ONLY: Final = "25006"
TAKES_NOTHING: Final = "its server is a replica, or is set to read-only"
REFUSED: Final = re.compile(r"authentication|pg_hba|does not exist|certificate|invalid")
"""What a server says that will say the same in a second; its failures to connect have no codes."""

Value = TypeVar("Value")


class ServerClock:
    """The wall clock of the database's server, carried on by this machine's monotonic one between looks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen = clock.now(), clock.monotonic()

    def set(self, moment: datetime) -> None:
        """Go on from what the server says."""
        self._seen = moment, self._clock.monotonic()

    def now(self) -> datetime:
        """Return the server's time, in UTC."""
        moment, at = self._seen
        return moment + timedelta(seconds=self._clock.monotonic() - at)

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for measuring durations."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` without blocking the loop."""
        await self._clock.sleep(seconds)


class PostgresqlDatabase(Database):
    """A database of a server, shared by every home that names it."""

    is_shared = True
    busy_text = f"is locked by another worker for more than {BUSY_SECONDS} s"
    busy_hint = "Nothing is submitted without it. Look for a transaction that does not end, and run again."
    broken_hint = "Name another database in KLING_ONCE_LEDGER_URL, or restore this one from its backup."
    unusable_hint = "Check the server, its user's rights, its disk, and KLING_ONCE_LEDGER_URL."

    def __init__(self, url: SecretStr, clock: Clock) -> None:
        """Connect, and make the tables where there are none; blocking.

        Raises:
            LedgerError: it cannot be used.
            SettingsError: the URL names no PostgreSQL database, or the driver is not installed.
        """
        parsed = parse_url(url)
        self._password = parsed.password
        self._server_clock = ServerClock(clock)
        super().__init__(place_of(parsed), self._server_clock)
        options = {name: value for name, value in CONNECT_OPTIONS.items() if name not in parsed.query}
        try:
            self._engine = make_engine(
                parsed,
                connect_args=options | {"prepare_threshold": None},
                isolation_level="READ COMMITTED",
                pool_size=CONNECTIONS,
                max_overflow=CONNECTIONS,
                pool_pre_ping=True,
                use_native_hstore=False,
            )
        except (ModuleNotFoundError, NoSuchModuleError):
            raise SettingsError(
                "KLING_ONCE_LEDGER_URL needs the PostgreSQL driver psycopg, which is not installed.",
                hint="Install it: pip install 'kling-once[postgresql]'.",
            ) from None
        self._migrate()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one snapshot of the ledger.

        It is not declared read-only: SQLAlchemy would declare the connection's next one READ WRITE, against a
        server that is set to take nothing.
        """
        with self.translated(), self._engine.connect() as plain:
            connection = plain.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction that is on disk when it ends; each of its statements sees what is committed.

        What must not change between two statements is locked: rows by FOR UPDATE, names by `exclusive`.
        """
        with self.translated(), self._engine.connect() as connection, connection.begin():
            connection.execute(BOUNDS)
            yield connection

    def transact(self, work: Callable[[sa.Connection], Value], *, writes: bool) -> Value:
        """Return what `work` returns, from a transaction of its own; again where the server went away.

        The server may have committed before it went: every transaction of the ledger looks at what it finds,
        and changes nothing when it is run a second time.
        """
        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(LedgerUnreachable),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=1),
            stop=tenacity.stop_after_delay(PATIENCE_SECONDS),
            reraise=True,
        )
        for attempt in tries:
            with attempt:
                return super().transact(work, writes=writes)
        raise AssertionError("tenacity raises what the last try has raised")

    def now(self, connection: sa.Connection) -> datetime:
        """Return the server's time in UTC, the same for every worker."""
        moment = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one().astimezone(UTC)
        self._server_clock.set(moment)
        return moment

    def require_writable(self, connection: sa.Connection) -> None:
        """Pass unless a newer version has written this ledger, or the server says that it takes nothing.

        Raises:
            LedgerTooNew: it may only be read.
            LedgerNotWritable: its server is a replica, or the database is set to read-only.
        """
        super().require_writable(connection)
        if connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on":
            raise self.not_writable(TAKES_NOTHING)

    def describe(self) -> str:
        """Return the server, the database and the server's version."""

        def version(connection: sa.Connection) -> str:
            return str(connection.exec_driver_sql("SHOW server_version").scalar_one())

        return f"{self.place} (PostgreSQL {self.transact(version, writes=False)})"

    def is_locked(self, error: Exception, cause: str) -> bool:  # noqa: ARG002 - the code says it
        """Tell whether a lock was not given in time."""
        return sqlstate_of(error) in LOCK_TIMEOUTS

    def is_damage(self, error: Exception, cause: str) -> bool:  # noqa: ARG002 - likewise
        """Tell whether the database lacks what was written into it."""
        return sqlstate_of(error) in DAMAGED

    def is_gone(self, error: Exception, cause: str) -> bool:
        """Tell whether the server did not answer, or went away."""
        if not isinstance(error, DBAPIError):
            return False
        state = sqlstate_of(error)
        if state:
            return state in GONE or state.startswith("08")
        is_lost = error.connection_invalidated or isinstance(error, OperationalError)
        return is_lost and not REFUSED.search(cause)

    def cause_of(self, error: Exception) -> str:
        """Return the first line of a failure, for people; no library is trusted with the password."""
        cause = TAKES_NOTHING if sqlstate_of(error) == READ_ONLY else super().cause_of(error)
        return cause.replace(self._password, "***") if self._password else cause

    def _migrate(self) -> None:
        def look(connection: sa.Connection) -> str | None:
            self.now(connection)
            return self._note_version(connection)

        def upgrade(connection: sa.Connection) -> None:
            exclusive(connection, "migration")
            if self._note_version(connection) != HEAD and not self.newer_version:
                self._upgrade(connection)

        if self.transact(look, writes=False) != HEAD and not self.newer_version:
            self.transact(upgrade, writes=True)


def parse_url(secret: SecretStr) -> sa.URL:
    """Return the URL of a PostgreSQL database, for the driver that we use.

    Raises:
        SettingsError: it is none; the message never shows it, since it may hold a password.
    """
    try:
        url = sa.make_url(secret.get_secret_value().strip())
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in DRIVERS or not url.database:
        raise SettingsError(
            "KLING_ONCE_LEDGER_URL is not the address of a PostgreSQL database.",
            hint=f"Example: {DRIVER}://user:password@host:5432/database?sslmode=verify-full",
        ) from None
    if password := url.query.get("password"):
        url = url.set(password=str(password)).difference_update_query(["password"])
    return url.set(drivername=DRIVER)


def place_of(url: sa.URL) -> str:
    """Return server and database of a URL, without user, password and parameters."""
    hosts: Any = url.host or url.query.get("host") or "localhost"
    host = ",".join(hosts) if isinstance(hosts, tuple) else hosts
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{host}{port}/{url.database}"
