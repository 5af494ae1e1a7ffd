"""Stage the pictures or the clip of an element: read once, digested, made to fit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.limits import ELEMENT_VIDEO_SIDES_PX, Price, cash_of
from ..errors import InputChanged, MediaError, MediaStopped, Violation
from ..ledger.job import Job, element_key
from ..media.bounds import unreadable_violation
from ..media.conform import conform_clip
from ..media.conform_picture import conform_picture
from ..media.digest import picture_digest
from ..media.picture import read_picture
from ..order import ElementOrder, VideoFile, realm_of
from .staging import Staged, StagedInputs, hosted_file, read_inputs, stage, staged_clip
from .violations import element_clip_bounds, element_picture_bounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..media.types import Stop
    from ..order import AnyOrder
    from .services import MediaThreads
    from .staging_area import StagedClip, StagingArea

FRONTAL = "frontal"


@dataclass(eq=False, kw_only=True)
class StagedElement(Staged):
    """The pictures or the clip of an element as they will be sent, with digests and violations."""

    order: ElementOrder = field(repr=False)
    """With what was read in place of the user's files."""
    pictures: tuple[bytes, ...] = field(default=(), repr=False)
    """The files as they are sent, the frontal one first."""

    async def fit(
        self,
        media: MediaThreads,
        *,
        generation: str,  # noqa: ARG002 - the library is one for both
        china: bool,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Make the pictures or the clip fit the documented limits; once.

        Raises:
            DiskFull: the folder cannot take what has to be written.
        """
        if self.is_fitted:
            return
        violations = [*self.unreadable]
        if not violations:
            order = self.order
            violations += _repeated(order)
            for name, picture in _pictures(order):
                data, report, found = await media.run(_fitted_picture, name, picture, order)
                self.pictures += (data,)
                self.report += report
                violations += found
            if self.clip is not None:
                violations += await media.run(self._fit_clip, self.clip, on_progress)
        units, (cash, currency) = Decimal(0), cash_of(Decimal(0), china=china)
        self.price = Price(Decimal(0), units, cash, currency)
        self.violations = tuple(violations)
        self.is_fitted = True

    def _fit_clip(
        self, clip: StagedClip, on_progress: Callable[[int, int], None] | None, *, stop: Stop | None
    ) -> tuple[Violation, ...]:
        """Make the clip fit; return what cannot be made so."""
        order, video = self.order, self.order.video
        source: Any = video.path if isinstance(video, VideoFile) else getattr(video, "frames", None)
        window = video.window if isinstance(video, VideoFile) else None
        try:
            conformed = conform_clip(
                source,
                clip.folder,
                element_clip_bounds(),
                mode=order.conform,
                window=window,
                stop=stop,
                on_progress=on_progress,
            )
        except MediaStopped:
            raise
        except MediaError as error:
            return (unreadable_violation("video", error),)
        if conformed.violations:
            return conformed.violations
        facts = conformed.facts
        if tuple(sorted((facts.width_px, facts.height_px))) != ELEMENT_VIDEO_SIDES_PX:
            message = (
                f"The clip is {facts.width_px} x {facts.height_px} px; an element takes 1080p in 16:9 or"
                " 9:16: 1920 x 1080 or 1080 x 1920 px. Export it so."
            )
            return (Violation("video", "video.shape", message),)
        self.hosted = hosted_file(conformed, clip.copied, stop)
        self.report += conformed.report
        return ()


AnyStaged = StagedInputs | StagedElement


async def stage_order(order: AnyOrder, origin: str, area: StagingArea, media: MediaThreads) -> AnyStaged:
    """Read an order's inputs once; the result needs its `leave`.

    Raises:
        InputChanged: a file was written while it was read.
        DiskFull: the private folder cannot take the copies.
    """
    if not isinstance(order, ElementOrder):
        return await stage(order, origin, area, media)
    return await read_inputs(media, lambda stop: _read(order, origin, area, stop))


def _read(order: ElementOrder, origin: str, area: StagingArea, stop: Stop | None) -> StagedElement:
    unreadable: list[Violation] = []
    pictures, digests = [], []
    for name, given in _pictures(order):
        try:
            picture = read_picture(given, stop=stop) if isinstance(given, Path) else given
            digests.append(picture_digest(picture, stop=stop))
            pictures.append(picture)
        except (MediaStopped, InputChanged):
            raise
        except MediaError as error:
            unreadable.append(unreadable_violation(name, error))
    video, clip, video_digest = order.video, None, ""
    if video is not None:
        try:
            video, clip, video_digest = staged_clip(video, area, lambda _digest: None, stop)
        except (MediaStopped, InputChanged):
            raise
        except MediaError as error:
            unreadable.append(unreadable_violation("video", error))
    job = None
    if not unreadable:
        realm = realm_of(order.service, origin)
        key = element_key(realm, order.name, order.description, digests, video_digest)
        frontal, *views = pictures if order.image is not None else [None, *pictures]
        image_digest = digests[0] if order.image is not None else ""
        names = {"image_name": order.shown_image_name, "video_name": order.shown_video_name}
        order = replace(order, image=frontal, views=tuple(views), video=video, **names)
        job = Job(key, realm, origin, image_digest, video_digest or ",".join(digests[1:]), order)
    return StagedElement(
        order=order, origin=origin, job=job, unreadable=tuple(unreadable), clip=clip, area=area
    )


def _pictures(order: ElementOrder) -> list[tuple[str, Any]]:
    """Return an element's pictures with the name of each, the frontal one first."""
    frontal = [(FRONTAL, order.image)] if order.image is not None else []
    return frontal + [(f"views[{number}]", view) for number, view in enumerate(order.views, 1)]


def _repeated(order: ElementOrder) -> list[Violation]:
    """Return the violation of every view that shows the very picture that is the frontal one."""
    if order.image is None:
        return []
    frontal = picture_digest(order.image)
    return [
        Violation(
            name, "views.repeated", f"{name} is the frontal picture again; Kling takes other views alone."
        )
        for name, view in _pictures(order)[1:]
        if picture_digest(view) == frontal
    ]


def _fitted_picture(
    name: str, picture: Any, order: ElementOrder, *, stop: Stop | None
) -> tuple[bytes, tuple[str, ...], tuple[Violation, ...]]:
    try:
        conformed = conform_picture(picture, element_picture_bounds(), mode=order.conform, stop=stop)
    except MediaStopped:
        raise
    except MediaError as error:
        return b"", (), (unreadable_violation(name, error),)
    report = tuple(f"{name}: {sentence}" for sentence in conformed.report)
    broken = tuple(replace(one, field=name, message=f"{name}: {one.message}") for one in conformed.violations)
    return conformed.data, report, broken
