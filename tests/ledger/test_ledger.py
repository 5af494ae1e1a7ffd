"""The ledger as a state machine: several processes, one holder, no limit passed, only drawn arrows."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from kling_once.errors import BudgetReached, JobError, LeaseLost
from kling_once.ledger.attempts import Attempt, AttemptState
from kling_once.ledger.budgets import Budget, Cap, Reservation
from kling_once.ledger.job import Job, job_key
from kling_once.order import (
    MotionControl,
    Order,
    Sender,
    Service,
    Spender,
    VideoUrl,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ledger.stores import Store

LEASE_SECONDS = 60
CAP = Decimal(5)
UNITS = Decimal(2)
OWNERS = 3

S = AttemptState
ARROWS = {
    (S.INTENT, S.SUBMITTED),
    (S.INTENT, S.UNKNOWN),
    (S.INTENT, S.REJECTED),
    (S.UNKNOWN, S.SUBMITTED),
    (S.UNKNOWN, S.REJECTED),
    (S.UNKNOWN, S.INTENT),
    (S.SUBMITTED, S.SUCCEEDED),
    (S.SUBMITTED, S.FAILED),
    (S.SUBMITTED, S.EXPIRED),
    (S.SUCCEEDED, S.KEPT),
    (S.SUCCEEDED, S.EXPIRED),
    (S.REJECTED, S.INTENT),  # the vendor made no task: the same attempt is sent again
    (S.KEPT, S.SUCCEEDED),  # the kept file is gone, and is fetched again
}
NEXT = {state: [after for before, after in sorted(ARROWS) if before is state] for state in S}


class Clock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def job_of(number: int) -> Job:
    motion = MotionControl(take=number)
    key = job_key("sandbox", motion, "i", "v")
    spender = Spender("p", "n")
    order = Order(b"", VideoUrl("https://x/y"), motion, Service.SANDBOX, spender=spender)
    return Job(key, "sandbox", "embedded", "i", "v", order)


RESERVATION = Reservation(Decimal(4), UNITS, Budget(None, Cap(CAP, "CAP", "in this prompt"), None))
SENDER = Sender("", "f")


class LedgerMachine(RuleBasedStateMachine):
    attempts = Bundle("attempts")

    def __init__(self, stores: Callable[[], Store]) -> None:
        super().__init__()
        self.stores = stores

    @initialize()
    def open(self) -> None:
        self.clock = Clock()
        self.runner = asyncio.Runner()
        self.store = self.stores()
        self.store.set_time(self.clock.now())
        self.store.note_moves()
        self.ledgers = [self.store.open(self.clock) for _ in range(OWNERS)]
        self.holder: dict[int, tuple[int, datetime]] = {}

    def teardown(self) -> None:
        if hasattr(self, "ledgers"):
            for ledger in self.ledgers:
                ledger.close()
            self.runner.close()
            self.store.close()

    def holds(self, owner: int, attempt_id: int) -> bool:
        return self.holder.get(attempt_id, (None,))[0] == owner

    def is_free(self, owner: int, attempt_id: int) -> bool:
        known = self.holder.get(attempt_id)
        return known is None or known[0] == owner or known[1] < self.clock.now()

    def until(self) -> datetime:
        return self.clock.now() + timedelta(seconds=LEASE_SECONDS)

    def current(self, attempt_id: int) -> Attempt:
        return self.runner.run(self.ledgers[0].attempt(attempt_id))

    def reserved(self) -> Decimal:
        query = "SELECT coalesce(units_charged, units_reserved) FROM attempts WHERE state <> 'rejected'"
        return sum((Decimal(row[0]) for row in self.store.execute(query) if row[0] is not None), Decimal(0))

    @rule(target=attempts, owner=st.integers(0, OWNERS - 1), number=st.integers(0, 3))
    def begin(self, owner: int, number: int) -> Any:
        job = job_of(number)
        before = {
            attempt.attempt_id: attempt for attempt in self.runner.run(self.ledgers[0].attempts_of(job.key))
        }
        reserved = self.reserved()
        try:
            attempt = self.runner.run(self.ledgers[owner].begin(job, SENDER, RESERVATION))
        except BudgetReached:
            assert reserved + UNITS > CAP
            return multiple()
        except JobError:
            assert before
            return multiple()
        old = before.get(attempt.attempt_id)
        if old is None or old.state is S.REJECTED:
            assert attempt.state is S.INTENT
            assert attempt.units_reserved == UNITS
            assert not [other for other in before.values() if not other.has_ended]
            self.holder[attempt.attempt_id] = owner, self.until()
        return attempt.attempt_id

    @rule(attempt_id=attempts, owner=st.integers(0, OWNERS - 1))
    def claim(self, attempt_id: int, owner: int) -> None:
        before = self.current(attempt_id)
        taken = self.runner.run(self.ledgers[owner].claim(before))
        assert (taken is not None) == self.is_free(owner, attempt_id)
        if taken is None:
            return
        if before.state is S.INTENT and before.posted_at:
            assert taken.state is S.UNKNOWN, "somebody may have posted it"
        else:
            assert taken.state is before.state
        self.holder[attempt_id] = owner, self.until()

    @rule(attempt_id=attempts, owner=st.integers(0, OWNERS - 1), data=st.data())
    def move(self, attempt_id: int, owner: int, data: st.DataObject) -> None:
        attempt = self.current(attempt_id)
        after = data.draw(st.sampled_from(NEXT[attempt.state] or [attempt.state]))
        changes: dict[str, Any] = {"state": after}
        if after is S.REJECTED:
            changes["units_reserved"] = None
        if after is S.SUCCEEDED and attempt.units_reserved is not None:
            changes["units_charged"] = UNITS  # a task that was found, not sent, counts against no limit
        if attempt.state in {S.REJECTED, S.KEPT}:
            return
        self.changed(attempt, owner, changes)

    @rule(attempt_id=attempts, owner=st.integers(0, OWNERS - 1))
    def post(self, attempt_id: int, owner: int) -> None:
        """Send a create: who holds the attempt reserves again what it gave back; nobody else may."""
        attempt, ledger = self.current(attempt_id), self.ledgers[owner]
        if attempt.state is not S.INTENT:
            return
        if attempt.units_reserved is None or not self.holds(owner, attempt_id):
            with pytest.raises(LeaseLost):
                self.runner.run(ledger.post(attempt))
            assert self.current(attempt_id) == attempt, "nothing is sent without units"
            if not self.holds(owner, attempt_id):
                return
            job = next(job for job in map(job_of, range(4)) if job.key == attempt.job_key)
            try:
                self.runner.run(ledger.reserve(attempt, job, SENDER, RESERVATION))
            except BudgetReached:
                return
        posted = self.runner.run(ledger.post(attempt))
        assert posted.posts == attempt.posts + 1
        self.holder[attempt_id] = owner, self.until()

    @rule(number=st.integers(0, 3))
    def abandon(self, number: int) -> None:
        """Fall silent after an intent: another order finds its units free, and no limit is passed."""
        for attempt in self.runner.run(self.ledgers[0].attempts_of(job_of(number).key)):
            if attempt.state is S.INTENT and attempt.posted_at is None:
                self.wait(LEASE_SECONDS + 1)
                self.begin(0, (number + 1) % 4)

    @rule(number=st.integers(0, 3), owner=st.integers(0, OWNERS - 1), other=st.integers(0, OWNERS - 1))
    def stop_in_mid_create(self, number: int, owner: int, other: int) -> None:
        """Begin, post and fall silent; somebody else takes over when the lease is over."""
        for attempt in self.runner.run(self.ledgers[0].attempts_of(job_of(number).key)):
            self.claim(attempt.attempt_id, owner)
            self.post(attempt.attempt_id, owner)
            self.wait(LEASE_SECONDS + 1)
            self.claim(attempt.attempt_id, other)

    def changed(self, attempt: Attempt, owner: int, changes: dict[str, Any]) -> None:
        if self.holds(owner, attempt.attempt_id):
            self.runner.run(self.ledgers[owner].change(attempt, **changes))
            self.holder[attempt.attempt_id] = owner, self.until()
            return
        with pytest.raises(LeaseLost):
            self.runner.run(self.ledgers[owner].change(attempt, **changes))
        assert self.current(attempt.attempt_id) == attempt, "who does not hold it changes nothing"

    @rule(attempt_id=attempts, owner=st.integers(0, OWNERS - 1))
    def renew(self, attempt_id: int, owner: int) -> None:
        attempt = self.current(attempt_id)
        held = self.holds(owner, attempt_id)
        assert self.runner.run(self.ledgers[owner].renew(attempt)) is held
        if held:
            self.holder[attempt_id] = owner, self.until()

    @rule(attempt_id=attempts, owner=st.integers(0, OWNERS - 1))
    def release(self, attempt_id: int, owner: int) -> None:
        before = self.current(attempt_id)
        self.runner.run(self.ledgers[owner].release(before))
        after = self.current(attempt_id)
        if not self.holds(owner, attempt_id):
            assert after == before
            return
        del self.holder[attempt_id]
        assert after.owner is None
        if before.state is S.INTENT and before.posted_at is None:
            assert after.units_reserved is None, "nothing was bought with them"

    @rule(attempt_id=attempts)
    def lose_the_kept_file(self, attempt_id: int) -> None:
        before = self.current(attempt_id)
        self.runner.run(self.ledgers[0].reopen_collection(before))
        if before.state is S.KEPT:
            self.holder.pop(attempt_id, None)

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def wait(self, seconds: int) -> None:
        self.clock.moment += timedelta(seconds=seconds)
        self.store.set_time(self.clock.now())

    @invariant()
    def the_row_names_the_holder_that_the_model_knows(self) -> None:
        if not hasattr(self, "ledgers"):
            return
        names = [ledger.owner.name for ledger in self.ledgers]
        rows = self.store.execute("SELECT attempt_id, owner FROM attempts")
        known = {attempt_id: names.index(owner) for attempt_id, owner in rows if owner}
        assert known == {attempt_id: owner for attempt_id, (owner, _) in self.holder.items()}

    @invariant()
    def no_limit_is_passed(self) -> None:
        assert not hasattr(self, "ledgers") or self.reserved() <= CAP

    @invariant()
    def every_state_moves_along_a_drawn_arrow(self) -> None:
        if hasattr(self, "ledgers"):
            moves = {(S(before), S(after)) for before, after in self.store.execute("SELECT * FROM moves")}
            assert moves <= ARROWS

    @invariant()
    def a_job_has_one_attempt_under_way(self) -> None:
        if hasattr(self, "ledgers"):
            rows = self.store.execute(
                "SELECT job_key FROM attempts WHERE state NOT IN ('kept', 'failed', 'expired', 'rejected')"
            )
            assert len(rows) == len(set(rows))


LEDGER_SETTINGS = settings(
    max_examples=12,
    stateful_step_count=25,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_several_processes_keep_the_promises_of_the_ledger(stores: Callable[[], Store]) -> None:
    class Machine(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(stores)

    run_state_machine_as_test(Machine, settings=LEDGER_SETTINGS)


def test_every_state_is_reached_from_the_intent() -> None:
    reached = {S.INTENT}
    for _ in S:
        reached |= set(itertools.chain.from_iterable(NEXT[state] for state in reached))
    assert reached == set(S) - {S.NEWER}
