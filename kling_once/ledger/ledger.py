"""The ledger: every job and every attempt, on disk before money moves."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from ..errors import LeaseLost, LedgerError
from ..order import Service
from . import (
    adoption,
    budgets,
    graphs,
    intents,
    leases,
    news,
    notes,
    queries,
    slots,
    transfer,
    uploads,
)
from .attempts import attempt_row, attempt_rows
from .database import open_database
from .decision import next_step
from .leases import Owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    import sqlalchemy as sa
    from pydantic import SecretStr

    from ..clock import Clock
    from ..order import Graph, Sender, Spender
    from .attempts import Attempt
    from .budgets import Reservation, Spent, TotalsRow
    from .decision import Step
    from .job import Job, JobLabel
    from .news import Glance
    from .queries import Expectation, Page
    from .slots import Line, Room
    from .transfer import Copy, Transferred

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


class Ledger:
    """Jobs and attempts of one home, or of all homes that share a server, for callers on any event loop.

    Every method runs in one transaction of a worker thread, and raises `LedgerError` where the ledger cannot
    be used, `LedgerNotWritable` where it cannot be written. Only the process that holds an attempt's lease
    changes the attempt.
    """

    def __init__(self, home: Path, clock: Clock, url: SecretStr | None = None) -> None:
        """Open or make the ledger of a home, or the one of a PostgreSQL server; blocking.

        Args:
            home: holds the file of the ledger, and the locks that say which of its processes live.
            clock: tells the time, unless the ledger's server does.
            url: of the server's database.

        Raises:
            LedgerError: it cannot be used.
            SettingsError: the URL cannot be used.
        """
        self.database = open_database(home, url, clock)
        with self.database.translated():
            self.owner = Owner(home / "owners", files_are_all=not self.database.is_shared)
        self.clock = self.database.clock

    @classmethod
    async def open(cls, home: Path, clock: Clock) -> Ledger:
        """Open or make the ledger of a home; raises as the constructor."""
        return await asyncio.to_thread(cls, home, clock)

    def close(self) -> None:
        """Close the database and give up this process's name; blocking."""
        self.owner.close()
        self.database.close()

    @property
    def place(self) -> str:
        """Return where the ledger lies, for messages."""
        return self.database.place

    @property
    def newer_version(self) -> str | None:
        """Return the version of this package that wrote the ledger, when it is newer than this one."""
        return self.database.newer_version

    @property
    def is_shared(self) -> bool:
        """Tell whether several homes may use it."""
        return self.database.is_shared

    async def require_writable(self) -> None:
        """Pass unless this ledger may only be read.

        Raises:
            LedgerTooNew: a newer version wrote it.
            LedgerNotWritable: its server takes nothing.
        """
        await self._read(self.database.require_writable)

    async def describe(self) -> str:
        """Return what reports say of the database."""
        return await asyncio.to_thread(self.database.describe)

    # Attempts

    async def attempts_of(self, job_key: str) -> list[Attempt]:
        """Return a job's attempts in the order of their numbers."""
        return await self._read(attempt_rows, job_key)

    async def attempt(self, attempt_id: int) -> Attempt:
        """Return one attempt."""
        return await self._read(attempt_row, attempt_id)

    async def step(self, job: Job) -> Step:
        """Return what ordering this job means now, without changing anything."""
        return next_step(await self.attempts_of(job.key), again=job.order.again)

    async def begin(self, job: Job, sender: Sender, reservation: Reservation) -> Attempt:
        """Return the attempt that an order is about, inserting one where the rules allow it.

        A new or reopened attempt is leased to this process, and its units are reserved in the same
        transaction.

        Raises:
            TaskFailed, ResultGone: the rules after a failure forbid another attempt.
            BudgetReached: a limit would be passed.
            SubmissionsHeld: live submissions are on hold.
            ExternalIdTaken: the user's own id belongs to something else.
            LedgerTooNew: a newer version wrote this ledger; it may only be read.
        """
        return await self._write_at(
            intents.begin,
            job,
            sender,
            reservation,
            owner=self.owner.name,
            require_writable=self.database.require_writable,
        )

    async def reserve(self, attempt: Attempt, job: Job, sender: Sender, reservation: Reservation) -> Attempt:
        """Reserve units again for an intent that had given them back; the present order pays.

        An intent of which nothing was ever sent becomes the present order's altogether: also its account
        and its external id.

        Raises:
            BudgetReached: a limit would be passed.
            ExternalIdTaken: the user's own id belongs to something else.
            LeaseLost: another process holds the attempt.
        """
        return await self._write_at(
            intents.reserve,
            attempt,
            job,
            sender,
            reservation,
            owner=self.owner.name,
        )

    async def require_free_id(self, job: Job, profile: str, number: int) -> None:
        """Pass unless the user's own task id cannot name attempt `number` of a job.

        Raises:
            ExternalIdTaken: it cannot.
        """
        await self._read(intents.external_id_for, job, profile, number)

    async def adopt(self, job: Job, found: Iterable[tuple[int, Sender, dict[str, Any]]]) -> None:
        """Insert attempts that a lost ledger forgot; a number that is there already stays as it is.

        Args:
            job: whose attempts they are.
            found: number, account and columns of each.

        Raises:
            LedgerTooNew: a newer version wrote this ledger; it may only be read.
        """
        await self.require_writable()
        await self._write_at(adoption.adopt, job, found)

    async def adopt_task(
        self,
        task_key: str,
        realm: str,
        origin: str,
        service: Service,
        project: str,
        sender: Sender,
        columns: dict[str, Any],
    ) -> Attempt:
        """Insert a task of the account as a job of its own, unless it is there; return its attempt.

        Args:
            task_key: the key of the job, see `job.adopted_key`.
            realm: where the task lives.
            origin: where its account is asked.
            service: `kling` or `sandbox`.
            project: folder and label of its result.
            sender: the account.
            columns: what the vendor says of the task, its `task_id` among them.

        Raises:
            LedgerTooNew: a newer version wrote this ledger; it may only be read.
        """
        await self.require_writable()
        return await self._write_at(
            adoption.adopt_task,
            task_key,
            realm,
            origin,
            service,
            project,
            sender=sender,
            columns=columns,
        )

    async def adopt_kept(self, job: Job, sender: Sender, external_id: str, columns: dict[str, Any]) -> None:
        """Note a result that lies in the results folder; the job is served from here on.

        It goes to the row of its task, whoever works on that; else it is one more attempt of the job.

        Raises:
            LedgerTooNew: a newer version wrote this ledger, and the task has no row.
        """
        await self._write_at(
            adoption.adopt_kept,
            job,
            sender,
            external_id,
            columns,
            require_writable=self.database.require_writable,
        )

    async def keep_again(self, attempt: Attempt, columns: dict[str, Any]) -> Attempt:
        """Note that an attempt's video is here; whoever works on it loses the lease, and serves the file."""
        return await self._write(adoption.keep_again, attempt, columns)

    # Leases

    async def claim(self, attempt: Attempt) -> Attempt | None:
        """Take the lease if it is free, expired, or held by a process that is gone; None when it is held.

        An intent whose holder stopped in mid-create may have become a task: it is unknown from here on.
        One that was not sent gives its reservation back: the order that goes on with it pays.
        """
        return await self._write_at(leases.claim, attempt, self.owner)

    async def look(self, attempt: Attempt) -> tuple[Attempt, bool]:
        """Return an attempt as it is now, and whether `claim` would find it held; changes nothing."""
        return await self._read_at(leases.look, attempt, self.owner)

    async def renew(self, attempt: Attempt) -> bool:
        """Extend this process's lease; False when another process holds it."""
        try:
            await self.change(attempt)
        except LeaseLost:
            return False
        return True

    async def release(self, attempt: Attempt) -> None:
        """Give the lease up; an intent that was never posted gives its reservation back too."""
        await self._write(leases.release, attempt, self.owner.name)

    async def change(self, attempt: Attempt, **changes: Any) -> Attempt:
        """Update an attempt that this process holds, and extend the lease; return it as it is now.

        Raises:
            LeaseLost: another process holds it.
        """
        return await self._write_at(leases.change_and_extend, attempt, self.owner.name, changes)

    async def post(self, attempt: Attempt) -> Attempt:
        """Note, right before a create, that it is sent; its units must be reserved.

        Raises:
            LeaseLost: another process holds the attempt, or its lease ran out and its units were given back.
        """
        return await self._write_at(leases.post, attempt, self.owner.name)

    async def reopen_collection(self, attempt: Attempt) -> None:
        """Let a kept attempt whose file is gone be fetched again."""
        await self._write(leases.reopen_collection, attempt)

    # Slots

    async def line(self, room: Room, most: int | None) -> Line:
        """Return who waits in a room, and who of them may go; `most` as in `take_slot`."""
        return await self._read_at(slots.line, room, most)

    async def take_slot(self, attempt: Attempt, room: Room, most: int | None) -> bool:
        """Take a slot of an account for an attempt, or a place in the line; tell whether it has one.

        Args:
            attempt: to be sent; this process holds its lease.
            room: what Kling counts it with.
            most: how many the operator allows; None for as many as Kling does.
        """
        return await self._write_at(slots.take, attempt, room, most)

    async def refuse_slot(self, attempt: Attempt, room: Room) -> None:
        """Note that Kling refused one task more; the attempt goes back to its place in the line."""
        await self._write_at(slots.refuse, attempt, room)

    # Budgets and the hold switch

    async def spent(self, service: Service, spender: Spender) -> Spent:
        """Return the units of a service that count against the limits of a spender, and of the day."""
        return await self._read_at(budgets.spent_so_far, service, spender)

    async def totals(self) -> list[TotalsRow]:
        """Return the sums of the day and the month, the live service first."""
        return await self._read_at(budgets.totals)

    async def held_since(self) -> datetime | None:
        """Return since when live submissions are on hold, None where they are not."""
        return await self._read(notes.held_since)

    async def hold(self) -> datetime:
        """Put live submissions on hold, across prompts, processes and restarts; return since when."""
        return await self._write_at(notes.hold)

    async def release_hold(self) -> None:
        """Allow live submissions again."""
        await self._write(notes.release_hold)

    async def require_released(self, service: Service) -> None:
        """Pass unless a submission to this service would be on hold.

        Raises:
            SubmissionsHeld: nothing may be submitted now.
        """
        if service is Service.KLING:
            await self._read(notes.require_released, service)

    # Notes

    async def fingerprint_key(self, first: bytes | None = None) -> bytes:
        """Return the key under which this ledger fingerprints credentials; made on first use.

        Args:
            first: becomes the key where there is none yet.
        """
        text = await self._read(notes.read_note, notes.FINGERPRINT_NOTE)
        made = first.hex() if first else None
        return bytes.fromhex(text or await self._write(notes.make_fingerprint_key, made))

    async def allow_once(self) -> str:
        """Return a new pairing code, in place of an earlier one."""
        return await self._write_at(notes.allow_once)

    async def redeem(self, code: str) -> bool:
        """Tell whether a pairing code is valid, and use it up."""
        return await self._write_at(notes.redeem, code)

    # Queries

    async def find_attempt(self, text: str) -> Attempt | None:
        """Return the newest attempt named by a task id, an external id or the beginning of a job key."""
        return await self._read(queries.find_attempt, text)

    async def find_task(
        self, realm: str, name: str, profile: str, by_external_id: bool | None
    ) -> Attempt | None:
        """Return the newest attempt whose task a person names.

        Args:
            realm: where the task lives.
            name: an id of the task.
            profile: whose external ids are meant.
            by_external_id: what `name` is: the external task id, the task id; None takes either.
        """
        return await self._read(queries.find_task, realm, name, profile, by_external_id)

    async def known_tasks(self, task_ids: list[str]) -> dict[str, str]:
        """Return the job keys of those tasks that the ledger knows."""
        return await self._read(queries.known_tasks, task_ids)

    async def known_elements(self, realm: str, element_ids: list[str]) -> dict[str, str]:
        """Return the job keys of those elements that the ledger knows."""
        return await self._read(queries.known_elements, realm, element_ids)

    async def elements_gone(self, realm: str, element_ids: list[str]) -> None:
        """Note that elements were deleted: ordering them again makes them again."""
        if await self.known_elements(realm, element_ids):
            await self._write(adoption.elements_gone, realm, element_ids, self.clock.now())

    async def label(self, job_key: str) -> JobLabel:
        """Return what a job is called."""
        return await self._read(queries.label, job_key)

    async def history(
        self, *, since: datetime | None = None, project: str | None = None
    ) -> list[dict[str, Any]]:
        """Return every attempt with its job beside it, newest first."""
        return await self._read(queries.history, since=since, project=project)

    async def list_jobs(self, page: Page) -> tuple[int, list[dict[str, Any]]]:
        """Return how many jobs there are, and a page of them with their newest attempt."""
        return await self._read(queries.list_jobs, page)

    async def unfinished_tasks(self) -> dict[str, int]:
        """Return how many live tasks are not collected yet, by profile: only the key that made them can."""
        return await self._read(queries.unfinished_tasks)

    async def tasks_of_keys(self, origin: str, profile: str) -> dict[tuple[str, str], list[str]]:
        """Return up to 10 task ids of every key that made videos, by the key's fingerprint and generation."""
        return await self._read(queries.tasks_of_keys, origin, profile)

    async def use_key(self, origin: str, profile: str, old: str, new: str) -> int:
        """Let another key of the same account go on with what a key has made; return how many attempts."""
        return await self._write(adoption.use_key, origin, profile, old, new)

    async def earlier_origin(self, profile: str) -> str | None:
        """Return where the newest live task of a profile went, which may no longer be configured."""
        return await self._read(queries.earlier_origin, profile)

    async def collectable(self) -> list[Attempt]:
        """Return the attempts that exist at the vendor, or may, and that no other process holds."""
        return await self._read_at(queries.collectable, self.owner.name)

    async def expectation(self, job_key: str) -> Expectation:
        """Return what to expect of a job's newest attempt."""
        return await self._read(queries.expectation, job_key)

    async def pace_of(self, service: str, model: str, mode: str) -> float | None:
        """Return how many seconds past jobs took for a second of their clips; None without a past job."""
        return await self._read(queries.pace_of, service, model, mode)

    # Graphs

    async def remember_graph(self, job_key: str, graph: Graph) -> None:
        """Note that a graph ordered a job; a ledger that cannot be written is logged, not raised."""
        try:
            await self._write_at(graphs.remember_graph, job_key, graph)
        except LedgerError as error:
            logger.warning("The graph of job %s is not written down: %s", job_key[:10], error)

    async def workflow_of(self, job_key: str) -> Any:
        """Return the newest workflow that ordered a job, None when none is known."""
        return await self._read(graphs.workflow_of, job_key)

    async def times_failed(self, signature: str) -> int:
        """Return how many attempts of a graph's jobs have ended without a video."""
        return await self._read(graphs.times_failed, signature)

    async def kept_files(self, signature: str) -> list[tuple[str, int]]:
        """Return path and size of every result that a graph's jobs have kept."""
        return await self._read(graphs.kept_files, signature)

    async def ordered_jobs(self, signature: str) -> dict[str, str | None]:
        """Return every job that a graph has ordered, with its realm; None where none was ever begun."""
        return await self._read(graphs.ordered_jobs, signature)

    # Forgetting

    async def hide(self, job_key: str) -> list[Attempt]:
        """Hide a job from lists and delete its workflow; return the job's attempts.

        An intent that was never posted, and that nobody works on, may be hidden as well: it holds no task,
        and what it had reserved is free again. A later attempt of the same job shows it again.

        Raises:
            ResultGone: the ledger knows no such job.
            JobError: the job is under way.
        """
        return await self._write_at(graphs.hide, job_key)

    async def show_again(self, job_key: str) -> None:
        """Show a hidden job again."""
        if await self._read(graphs.is_hidden, job_key):
            await self._write(graphs.show_again, job_key)

    # Uploads

    async def note_upload(self, location: str, kind: str, signed_until: datetime) -> None:
        """Note that a clip is at a host of this kind and that a link to it is valid until `signed_until`."""
        await self._write_at(uploads.note_upload, location, kind, signed_until)

    async def removable(self, kind: str | None = None) -> list[str]:
        """Return the locations that no unfinished attempt needs and no valid link leads to.

        Without a kind, those of every host that was ever used.
        """
        return await self._read_at(uploads.removable, kind)

    async def is_removable(self, location: str) -> bool:
        """Tell whether `removable` would list this location."""
        return await self._read_at(uploads.is_removable, location)

    async def needed(self, moment: datetime) -> set[str]:
        """Return the locations that unfinished attempts need, or needed at `moment` or later."""
        return await self._read(uploads.needed, moment)

    async def forget_upload(self, location: str) -> None:
        """Strike a clip that is gone from its host."""
        await self._write(uploads.forget_upload, location)

    async def next_expiry(self) -> datetime | None:
        """Return when the next of the links that are still valid expires."""
        return await self._read_at(uploads.next_expiry)

    # News

    async def glance(self, before: Glance | None) -> Glance:
        """Look at what moves in the ledger, whoever moves it; `before` is the look before, if any."""
        return await self._read(news.glance, before)

    # Transfer

    async def read_all(self) -> Copy:
        """Return everything that the ledger knows of jobs, to write it into another one.

        Raises:
            JobError: a process works on one of them.
            LedgerTooNew: a newer version wrote this ledger.
        """
        await self.require_writable()
        return await self._read_at(transfer.read_all, self.owner.is_dead)

    async def write_all(self, copy: Copy, fingerprints: Mapping[str, str]) -> Transferred:
        """Insert what another ledger knows and this one does not.

        Args:
            copy: of the other ledger.
            fingerprints: those of accounts in this ledger, by those in the other one.

        Raises:
            LedgerTooNew: a newer version wrote this ledger.
        """
        await self.require_writable()
        return await self._write(transfer.write_all, copy, fingerprints)

    async def _read(
        self,
        function: Callable[Concatenate[sa.Connection, Arguments], Value],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Value:
        return await self._transact(lambda connection: function(connection, *args, **kwargs), writes=False)

    async def _write(
        self,
        function: Callable[Concatenate[sa.Connection, Arguments], Value],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Value:
        return await self._transact(lambda connection: function(connection, *args, **kwargs), writes=True)

    async def _read_at(
        self,
        function: Callable[Concatenate[sa.Connection, datetime, Arguments], Value],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Value:
        return await self._transact(self._timed(function, *args, **kwargs), writes=False)

    async def _write_at(
        self,
        function: Callable[Concatenate[sa.Connection, datetime, Arguments], Value],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Value:
        return await self._transact(self._timed(function, *args, **kwargs), writes=True)

    def _timed(
        self,
        function: Callable[Concatenate[sa.Connection, datetime, Arguments], Value],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Callable[[sa.Connection], Value]:
        """Bind all but the connection; the time is read in the transaction, from the ledger's clock."""
        now = self.database.now
        return lambda connection: function(connection, now(connection), *args, **kwargs)

    async def _transact(self, work: Callable[[sa.Connection], Value], *, writes: bool) -> Value:
        return await asyncio.to_thread(self.database.transact, work, writes=writes)
