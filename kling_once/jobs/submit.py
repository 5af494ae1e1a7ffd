"""Send the one create of an attempt, and never a second one while the first may have counted."""

from __future__ import annotations

import asyncio
import base64
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ..api.elements import ElementRequest
from ..api.models import CreateRequest
from ..api.service_codes import PARALLEL_LIMIT
from ..api.transport import backoff_seconds, read_again
from ..concurrency import first_of
from ..errors import (
    AnswerLost,
    ApiError,
    Busy,
    ExternalIdTaken,
    InputRefused,
    InvalidValue,
    LedgerError,
    NeverSent,
    OutcomeUnknown,
    ServerFault,
    TransportError,
    UnreadableAnswer,
)
from ..hosting.media_host import MARGIN as LIFETIME_MARGIN
from ..hosting.media_host import ClipNotThere, no_host_error
from ..ledger.attempts import AttemptState
from ..ledger.slots import Room
from ..order import VideoUrl, realm_of
from .element_staging import StagedElement
from .progress import Stage
from .services import has_host
from .tasks import found_columns, is_ours, look_up
from .violations import order_violations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from ..api.client import Request
    from ..api.models import Answer, Task
    from ..clock import Clock
    from ..hosting.media_host import HostedFile, MediaHost
    from .element_staging import AnyStaged
    from .run import Run


logger = logging.getLogger(__name__)

CONNECT_ATTEMPTS: Final = 3
LONGEST_PAUSE_SECONDS: Final = 20.0
"""After a refusal because the account is full."""
LOOK_SECONDS: Final = 1.0
"""How often one who waits asks for a slot, at least."""


async def submit(run: Run) -> None:
    """Bring an intent to submitted, unknown or rejected; or to kept, where the result turns up meanwhile.

    Raises:
        NobodyWaits: everybody let go; nothing was sent.
        SubmissionsHeld: live submissions are on hold; nothing was sent.
        LedgerTooNew: a newer version wrote the ledger; nothing was sent.
        NeverSent, HostingError, CredentialsError: nothing was sent; the intent stays for another time.
        ApiError: the vendor refused; where an earlier create may have made a task, the attempt is unknown.
        LeaseLost: another process took over before the create.
    """
    refused_connections = 0
    room, services = _room(run), run.services
    most = services.settings.account_parallel
    ticket = Ticket(
        lambda: services.take_slot(run.attempt, room, most),
        services.moved,
        services.clock,
        run.pace.poll_seconds,
    )
    while run.attempt.state is AttemptState.INTENT:
        run.say(Stage.QUEUE, "waiting for a place")
        await ticket.turn()
        services.tell_moved()
        run.require_wanted()
        if await _take_kept(run):
            return
        try:
            if await _adopt_existing(run):
                return
        except Busy as error:
            await _full(run, ticket, error)
            continue
        try:
            await _post(run)
        except Busy as error:
            if error.code == PARALLEL_LIMIT:
                await services.ledger.refuse_slot(run.attempt, room)
            await _full(run, ticket, error)
        except NeverSent:
            refused_connections += 1
            if refused_connections >= CONNECT_ATTEMPTS:
                raise
            await services.clock.sleep(run.pace.poll_seconds)


def _room(run: Run) -> Room:
    """Return what a run's task counts towards; elements have a room of their own."""
    origin, fingerprint, staged = run.account.origin, run.account.fingerprint, run.staged
    if isinstance(staged, StagedElement):
        return Room(origin, fingerprint, model="", pack="element")
    return Room(origin, fingerprint, staged.order.motion.model if staged is not None else "")


async def _full(run: Run, ticket: Ticket, error: Busy) -> None:
    run.say(Stage.QUEUE, f"the account is full ({error.code}); waiting for a place")
    await ticket.refused()


async def _take_kept(run: Run) -> bool:
    """Look for a result that another ledger has kept in the same folder while this one waited."""
    found = await run.services.results.find(run.label.key)
    if found is None:
        return False
    await run.change(**found_columns(*found), units_reserved=None)
    return True


async def _adopt_existing(run: Run) -> bool:
    """Look for the task before making it: that is free, and a second one is not."""
    attempt = run.attempt
    found = await read_again(
        lambda: look_up(run.client, attempt.external_id),
        run.services.clock,
        pause_seconds=run.pace.poll_seconds,
    )
    if found is None:
        return False
    if not is_ours(found.value, attempt):
        raise OutcomeUnknown(
            f"Kling answered for {attempt.external_id} with a task of another name.",
            hint=f"Nothing {'more ' if attempt.posts else ''}was submitted. Run again.",
        )
    if attempt.own_external_id and not attempt.posts:
        raise ExternalIdTaken(
            f"Your account has a task named {attempt.external_id!r} that this ledger did not make.",
            hint="Nothing was submitted. Collect that task by its id, or give another external_task_id.",
            task_id=found.value.task_id,
        )
    await run.adopt(found.value)
    return True


async def _post(run: Run) -> None:
    await run.services.ledger.require_writable()
    request = await create_request(run)
    run.require_wanted()
    await run.services.ledger.require_released(run.label.service)
    with run.sending():
        await _send(run, request)


async def _send(run: Run, request: Request) -> None:
    run.say(Stage.SUBMIT, "submitting")
    moment = run.lease.moment()
    run.attempt = await run.services.ledger.post(run.attempt)
    run.lease.extend(moment)
    run.posted = True
    try:
        answer = await run.client.create(request, run.lease.is_certain)
    except (Busy, NeverSent):
        run.posted = False
        await run.change(posted_at=None, posts=run.attempt.posts - 1)
        raise
    except (AnswerLost, UnreadableAnswer, ServerFault) as error:
        logger.warning("The answer to a create is lost: %s", error.message)
        await run.change(state=AttemptState.UNKNOWN, unknown_since=run.services.clock.now())
    except ApiError as error:
        await _refused(run, error)
    else:
        await _accepted(run, answer)


async def _accepted(run: Run, answer: Answer[Task]) -> None:
    """Name the task also where it cannot be written down: without its id it would be hard to find."""
    try:
        await run.adopt(answer.value)
    except LedgerError as error:
        error.task_id = answer.value.task_id
        logger.error("Task %s was accepted, and could not be written down.", error.task_id)  # noqa: TRY400 - raised again
        raise


async def _refused(run: Run, error: ApiError) -> None:
    """End an attempt whose create was refused, unless its id has a task all the same.

    1201 may mean that the id exists already: found means that the task is ours. And the task of an
    earlier create whose answer was lost may show late: "not found" proves nothing then, and the attempt
    stays unknown, with its units reserved.
    """
    is_first = run.attempt.posts == 1
    if is_first and not isinstance(error, InvalidValue):
        await run.reject(error)
        raise error
    try:
        found = await look_up(run.client, run.attempt.external_id)
    except (ApiError, TransportError):
        found = None
        is_clear = False
    else:
        is_clear = is_first
    if found is not None and is_ours(found.value, run.attempt):
        run.posted = not is_first  # refused, so another machine without this ledger made it
        await run.adopt(found.value)
        return
    if is_clear:
        await run.reject(error)
        raise error
    may_be_taken = isinstance(error, InvalidValue)
    await run.change(
        state=AttemptState.UNKNOWN,
        unknown_since=run.services.clock.now(),
        posts=run.attempt.posts - (not may_be_taken),
        reason=error.message,
        reason_code=error.code,
    )
    if not may_be_taken:
        raise error


SHORTEST_MINUTES: Final = 60.0
"""How long a link lives at least: the task goes on at Kling when nobody waits for it here."""


async def create_request(run: Run) -> Request:
    """Return the body of a run's create.

    Raises:
        OutcomeUnknown: nothing was staged: the run only collects.
        HostingError: Kling could not fetch the reference video.
    """
    staged, services = run.staged, run.services
    if staged is None or staged.job is None:
        raise OutcomeUnknown(
            "This job has no task at Kling, so there is nothing to collect.",
            hint="Run it again with its picture and clip.",
        )
    await fit(run, staged)
    if isinstance(staged, StagedElement):
        return await _element_request(run, staged)
    order = staged.order
    run.say(Stage.UPLOAD, "handing the clip over")
    gateway = None if isinstance(order.video, VideoUrl) else await services.gateway(order.service)
    encoded = await asyncio.to_thread(base64.b64encode, staged.image_data)
    return CreateRequest(
        motion=order.motion,
        image_url=encoded.decode(),
        video_url=await _video_url(run, staged, staged.job.origin),
        callback_url=order.callback_url or (gateway.callback_url() if gateway else ""),
        external_task_id=run.attempt.external_id,
    )


async def _element_request(run: Run, staged: StagedElement) -> ElementRequest:
    order = staged.order
    frontal, *views = [base64.b64encode(data).decode() for data in staged.pictures] or [""]
    url = ""
    if order.video is not None:
        run.say(Stage.UPLOAD, "handing the clip over")
        url = await _video_url(run, staged, staged.origin)
    return ElementRequest(
        name=order.name,
        description=order.description,
        frontal_image=frontal,
        views=tuple(views),
        video_url=url,
        external_task_id=run.attempt.external_id,
    )


async def _video_url(run: Run, staged: AnyStaged, origin: str) -> str:
    video, clip = staged.order.video, staged.hosted
    if isinstance(video, VideoUrl):
        return video.url
    host = await run.services.host(staged.order.service, origin)
    if host is None or clip is None:
        raise no_host_error()
    lifetime = timedelta(minutes=max(staged.order.wait_minutes, SHORTEST_MINUTES))
    url = await _published(run, host, clip, lifetime)
    try:
        await host.verify(url, clip)
    except ClipNotThere:
        # swept by another process just now, or written over: a host trusts an object of equal size
        await host.withdraw(run.location or "")
        run.location = None
        url = await _published(run, host, clip, lifetime)
        await host.verify(url, clip)
    await _note(run, host, clip, signed_until=run.services.clock.now() + lifetime + LIFETIME_MARGIN)
    return url


async def _published(run: Run, host: MediaHost, clip: HostedFile, lifetime: timedelta) -> str:
    if run.location is None:
        await _note(run, host, clip, signed_until=run.services.clock.now())
        run.location = await host.publish(clip)
    return await host.sign(run.location, lifetime.total_seconds())


async def _note(run: Run, host: MediaHost, clip: HostedFile, *, signed_until: datetime) -> None:
    """Write down where the clip lies before it lies there, and how long a link that is sent will live."""
    if location := host.location(clip):
        await run.change(location=location)  # first: from then on no other process sweeps it
        await run.services.ledger.note_upload(location, host.kind, signed_until)


async def fit(run: Run, staged: AnyStaged) -> None:
    """Make staged inputs fit, and pass when nothing about the order breaks a limit.

    Raises:
        InputRefused: with every violation.
    """
    services, origin = run.services, staged.origin
    if not staged.is_fitted:
        run.say(Stage.CONFORM, "measuring the picture and the clip")

        def tell_frames(done: int, total: int) -> None:
            run.say(Stage.CONFORM, "conforming the clip", done=done, total=total)

        order = staged.order
        await staged.fit(
            services.media,
            generation=await asyncio.to_thread(services.accounts.generation, order.service, order.profile),
            china=realm_of(order.service, origin) == "china",
            on_progress=tell_frames,
        )
    hosted = has_host(services.settings, staged.order.service)
    broken = order_violations(staged.order, origin, services.settings, has_host=hosted)
    if violations := [*broken, *staged.violations]:
        raise InputRefused(violations)


class Ticket:
    """A submit's turn at an account that is full: a slot of the ledger, and pauses after refusals."""

    def __init__(
        self,
        take: Callable[[], Awaitable[bool]],
        moved: Callable[[], Awaitable[object]],
        clock: Clock,
        poll_seconds: float,
    ) -> None:
        """Hold a place in the line.

        Args:
            take: takes a slot, and tells whether there was one.
            moved: returns when a job of this process has moved on, so that a slot may be free.
            clock: waits between looks.
            poll_seconds: the first pause after a refusal, and between looks where that is shorter.
        """
        self._take = take
        self._moved = moved
        self._clock = clock
        self._seconds = min(LOOK_SECONDS, poll_seconds)
        self._refusals = 0

    async def turn(self) -> None:
        """Return when this submit may be sent: first come, first served, over all processes.

        All tickets of a process wake at the same ticks of the clock, so that one look serves them all.
        """
        while not await self._take():
            to_next_tick = self._seconds - self._clock.monotonic() % self._seconds
            await first_of(self._clock.sleep(to_next_tick), self._moved())

    async def refused(self) -> None:
        """Back off before the next try: twice as long each time, up to `LONGEST_PAUSE_SECONDS`."""
        self._refusals += 1
        pause = backoff_seconds(self._seconds, self._refusals, longest_seconds=LONGEST_PAUSE_SECONDS)
        await self._clock.sleep(pause)
