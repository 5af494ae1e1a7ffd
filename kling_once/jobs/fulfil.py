"""Bring one job from its staged inputs to a kept file: the order in which a run takes its steps."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

import anyio

from ..errors import (
    Busy,
    InputRefused,
    KlingOnceError,
    LeaseLost,
    LedgerError,
    NeverSent,
)
from ..ledger.attempts import AttemptState
from ..ledger.budgets import Reservation, budget_of
from ..ledger.decision import (
    CarryOn,
    Open,
    Refuse,
    Serve,
    failure,
    gone,
    of_newer_version,
)
from ..ledger.leases import HeldLease, renewed
from ..order import ElementOrder, Kind, VideoUrl, services_off
from ..results.pictures import keep_picture, picture_path
from .collect import collect, collect_element
from .outcome import MadeElement, Outcome
from .progress import Stage
from .recovery import (
    find_result,
    find_tasks,
    kept_attempt,
    servable,
)
from .settle import settle
from .submit import fit, submit
from .wait import wait

if TYPE_CHECKING:
    from ..ledger.attempts import Attempt
    from ..ledger.decision import Step
    from ..ledger.job import Job
    from .element_staging import AnyStaged
    from .run import Run

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
STEPS_AT_KLING = {
    AttemptState.INTENT: submit,
    AttemptState.UNKNOWN: settle,
    AttemptState.SUBMITTED: wait,
}


async def fulfil(run: Run) -> Outcome:
    """Return the video of a run's order: the kept one, the one under way, or a new one.

    Raises:
        KlingOnceError: as `carry`, or before anything was submitted.
    """
    services, spender = run.services, _staged(run).order.spender
    try:
        await _place(run)
        try:
            await carry(run)
        finally:
            await services.sweep(run.label.service)
        made = run.staged if run.posted else None
        did, notes = (made.report, made.notes) if made else ((), ())
        if run.label.kind is Kind.ELEMENT:
            return _element(run, reused=not run.posted, did=did, notes=notes)
        path = services.results.path(run.attempt.result_path or "")
        if not run.posted and path.parent != services.results.folder_of(run.label):
            notes = (f"It was kept earlier, in {path.parent}, and stays there whatever project says now.",)
        return Outcome(run.label, run.attempt, path, reused=not run.posted, did=did, notes=notes)
    except NeverSent as error:
        if run.is_unsent:
            error.hint = f"{error.hint} Nothing was sent."
        raise
    finally:
        services.coming_frames.forget(spender, run.label.key)
        with anyio.CancelScope(shield=True):
            await run.leave()


async def _place(run: Run) -> None:
    """Set the attempt that the order is about; where its task exists, the staged inputs are let go of."""
    services, staged = run.services, _staged(run)
    run.attempt = await _begin(run, staged)
    if staged.order.image is not None:
        await asyncio.to_thread(keep_picture, staged.order.image, run.label.key, services.settings.home)
    await services.ledger.show_again(run.label.key)
    if run.attempt.task_id is not None:
        await run.leave()


async def collect_only(run: Run) -> Outcome:
    """Return the video of an attempt that exists; nothing is submitted.

    Raises:
        KlingOnceError: as `carry`.
    """
    services = run.services
    run.attempt = await servable(services, run.attempt)
    was_kept = run.attempt.state is AttemptState.KEPT
    try:
        await carry(run)
    finally:
        await services.sweep(run.label.service)
    reused = was_kept or run.is_unsent
    if run.label.kind is Kind.ELEMENT:
        return _element(run, reused=reused)
    path = services.results.path(run.attempt.result_path or "")
    return Outcome(run.label, run.attempt, path, reused=reused)


def _element(
    run: Run, *, reused: bool, did: tuple[str, ...] = (), notes: tuple[str, ...] = ()
) -> MadeElement:
    path = picture_path(run.services.settings.home, run.label.key)
    return MadeElement(run.label, run.attempt, path, reused=reused, did=did, notes=notes)


async def carry(run: Run) -> None:
    """Bring a run's attempt to its kept file.

    Raises:
        TaskFailed, ResultGone: it ended without one.
        KlingOnceError: it has not ended; queueing again goes on with it.
    """
    ledger = run.services.ledger
    while not await _has_ended(run):
        if run.attempt.state is AttemptState.NEWER:
            raise of_newer_version(run.attempt)
        run.lease = HeldLease(run.services.clock)
        claimed = await ledger.claim(run.attempt)
        run.is_held_elsewhere = claimed is None
        if claimed is None:
            await _watch(run)
            continue
        run.attempt = claimed
        try:
            async with renewed(partial(ledger.renew, claimed), run.lease):
                await _connect(run)
                await _take_steps(run)
        except LeaseLost:
            run.posted = False
            run.attempt = await ledger.attempt(run.attempt.attempt_id)
        except KlingOnceError as error:
            error.task_id = error.task_id or run.attempt.task_id
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await _release(run, claimed)
    if run.attempt.state is not AttemptState.KEPT:
        raise gone(run.attempt) if run.attempt.state is AttemptState.EXPIRED else failure(run.attempt)


async def _watch(run: Run) -> None:
    """Return when another process has let go of a run's attempt, or may have died; it is only looked at."""
    services, is_held = run.services, True
    run.end_if_unwanted()
    run.say(Stage.WAIT, "another process works on it")
    while is_held and not run.attempt.has_ended:
        await services.clock.sleep(min(WATCH_SECONDS, services.settings.poll_seconds))
        run.attempt, is_held = await services.ledger.look(run.attempt)


async def _has_ended(run: Run) -> bool:
    """Tell whether nothing is left to do; a video that lies on the disk of another home is fetched here."""
    if run.attempt.state is AttemptState.KEPT:
        run.attempt = await servable(run.services, run.attempt)
    return run.attempt.has_ended


async def _release(run: Run, attempt: Attempt) -> None:
    """Give a lease up; where that cannot be written it runs out, and what happened before counts."""
    try:
        await run.services.ledger.release(attempt)
    except LedgerError as error:
        logger.info("A lease could not be given up: %s", error.message)


async def _take_steps(run: Run) -> None:
    if run.attempt.state in STEPS_AT_KLING:
        run.say(Stage.QUEUE, "waiting for one of this server's places")
        async with run.services.slots:
            while (step := STEPS_AT_KLING.get(run.attempt.state)) is not None:
                await step(run)
    if run.attempt.state is AttemptState.SUCCEEDED:
        await (collect_element(run) if run.label.kind is Kind.ELEMENT else collect(run))


async def _connect(run: Run) -> None:
    """Use the attempt's own account; an intent that gave its units back reserves them again."""
    staged, services = run.staged, run.services
    if staged is not None and run.attempt.state is AttemptState.INTENT and run.attempt.units_reserved is None:
        reservation, job = await _reservation(run, staged), _job(staged)
        account = await services.account(job.order.service, job.order.profile)
        run.attempt = await services.ledger.reserve(run.attempt, job, account.sender, reservation)
    await run.connect(await services.account_of(run.attempt))


async def _begin(run: Run, staged: AnyStaged) -> Attempt:
    """Return the attempt that the order is about; a new one is in the ledger and leased to us."""
    services, job = run.services, _job(staged)
    ledger, order = services.ledger, job.order
    step = await ledger.step(job)
    if not isinstance(step, Serve) and await find_result(services, job):
        step = await ledger.step(job)
    if order.kept_only:
        return await _kept(run, step)
    if isinstance(step, Open):
        await _find_tasks(run, staged)
        step = await ledger.step(job)
    if isinstance(step, Refuse):
        raise step.error
    if isinstance(step, (Serve, CarryOn)):
        return await servable(services, step.attempt)
    reservation = await _reservation(run, staged)
    account = await services.account(order.service, order.profile)
    return await ledger.begin(_job(staged), account.sender, reservation)


async def _kept(run: Run, step: Step) -> Attempt:
    """Return a job's kept attempt without asking anybody outside."""
    if isinstance(step, (Serve, CarryOn)):
        found = await kept_attempt(run.services, step.attempt)
        if found is not None:
            return found
    raise services_off()


async def _find_tasks(run: Run, staged: AnyStaged) -> None:
    """Find what a lost ledger forgot; inputs that break a limit are refused before anybody is asked."""
    services = run.services
    await _reservation(run, staged)
    job = _job(staged)
    account = await services.account(job.order.service, job.order.profile)
    while True:
        try:
            await find_tasks(services, job, account)
        except Busy as error:
            run.say(Stage.QUEUE, f"the account is full ({error.code}); waiting to ask for the job's tasks")
            await services.clock.sleep(services.settings.pace(account.origin).poll_seconds)
        else:
            return


async def _reservation(run: Run, staged: AnyStaged) -> Reservation:
    """Return what a new attempt would cost, once everything that can be checked holds.

    Raises:
        InputRefused: with every violation.
        DiskFull, NotEnoughMemory: the result would not fit.
    """
    services = run.services
    await fit(run, staged)
    order, price = staged.order, staged.price
    if price is None:
        raise InputRefused(list(staged.violations))
    if isinstance(order, ElementOrder):
        return Reservation(None, price.units, budget_of(services.settings, order.service, order.max_units))
    await asyncio.to_thread(services.results.require_space, run.label, price.seconds)
    if order.decoded_items:
        mode, seconds = order.motion.mode, price.seconds * order.decoded_items
        services.coming_frames.count(order.spender, run.label.key, mode, seconds)
        await asyncio.to_thread(services.coming_frames.require_memory, order.spender.prompt_id)
    return Reservation(
        seconds=None if isinstance(order.video, VideoUrl) else price.seconds,
        units=price.units,
        budget=budget_of(services.settings, order.service, order.max_units),
    )


def _staged(run: Run) -> AnyStaged:
    if run.staged is None:
        raise RuntimeError("a run that fulfils an order has staged inputs")
    return run.staged


def _job(staged: AnyStaged) -> Job:
    if staged.job is None:
        raise RuntimeError("inputs that cannot be read make no job")
    return staged.job
