"""Form the create of a run: its clip at the media host, its presigned URL proven just before it is sent."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ..api.models import CreateRequest
from ..errors import InputRefused, OutcomeUnknown
from ..hosting.media_host import MARGIN as LIFETIME_MARGIN
from ..hosting.media_host import ClipNotThere, no_host_error
from ..order import VideoUrl, realm_of
from .progress import Stage
from .services import has_host
from .violations import order_violations

if TYPE_CHECKING:
    from datetime import datetime

    from ..hosting.media_host import HostedFile, MediaHost
    from .run import Run
    from .staging import StagedInputs

SHORTEST_MINUTES: Final = 60.0
"""How long a link lives at least: the task goes on at Kling when nobody waits for it here."""


async def create_request(run: Run) -> CreateRequest:
    """Return the body of a run's create.

    Raises:
        OutcomeUnknown: nothing was staged: the run only collects.
        HostingError: Kling could not fetch the reference video.
    """
    staged, services = run.staged, run.services
    if staged is None or staged.job is None:
        raise OutcomeUnknown(
            "This job was written down, but nothing was ever submitted for it.",
            hint="Run it again with its picture and clip.",
        )
    await fit(run, staged)
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


async def _video_url(run: Run, staged: StagedInputs, origin: str) -> str:
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


async def fit(run: Run, staged: StagedInputs) -> None:
    """Make staged inputs fit, and pass when nothing about the order breaks a limit.

    Raises:
        InputRefused: with every violation.
    """
    services, origin = run.services, staged.origin
    if not staged.is_fitted:
        run.say(Stage.CONFORM, "measuring the picture and the clip")

        def tell_frames(done: int, total: int) -> None:
            run.say(Stage.CONFORM, "conforming the clip", done=done, total=total)

        await staged.fit(
            services.media, china=realm_of(staged.order.service, origin) == "china", on_progress=tell_frames
        )
    hosted = has_host(services.settings, staged.order.service)
    broken = order_violations(staged.order, origin, services.settings, has_host=hosted)
    if violations := [*broken, *staged.violations]:
        raise InputRefused(violations)
