"""Stage an order's inputs: read once into a private folder, digested, made to fit, measured and priced.

From here on nothing reads the user's files again, so nothing can change under an order that is under way.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..api.limits import (
    MODELS,
    VIDEO_MAX_SECONDS,
    Mode,
    Orientation,
    Price,
    known,
    price,
)
from ..errors import (
    InputChanged,
    MediaError,
    MediaStopped,
    Violation,
)
from ..files import digest_of
from ..hosting.media_host import HostedFile
from ..ledger.job import Job, job_key
from ..media.bounds import unreadable_violation
from ..media.conform import conform_clip
from ..media.conform_picture import conform_picture
from ..media.digest import (
    copy_and_digest,
    frames_digest,
    picture_digest,
    url_digest,
)
from ..media.frame_folder import FrameFolder
from ..media.picture import read_picture
from ..media.source import check_stop
from ..media.types import ConformMode
from ..order import (
    Cuts,
    Order,
    VideoFile,
    VideoFrames,
    VideoUrl,
    billed_seconds,
    realm_of,
)
from .staging_area import FittedClip, StagedClip
from .violations import (
    clip_bounds,
    cut_violations,
    order_notes,
    picture_bounds,
    still_clip,
    survey_notes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..media.digest import ClipCopy
    from ..media.types import ConformedClip, Stop
    from ..order import ReferenceVideo
    from .services import MediaThreads
    from .staging_area import ClipKey, StagingArea

LONGEST_NAME_BYTES: Final = 255


@dataclass(eq=False, kw_only=True)
class Staged:
    """The inputs of an order of any kind, read once, and what became of them."""

    origin: str
    """Where the order is sent."""
    job: Job | None
    """None where an input cannot be read."""
    unreadable: tuple[Violation, ...]
    clip: StagedClip | None
    """None for a URL, and once it is let go of."""
    area: StagingArea = field(repr=False)
    is_fitted: bool = False
    hosted: HostedFile | None = None
    """The clip's file as it is sent; None for a URL, without a clip, or when there are violations."""
    price: Price | None = None
    """None while the length is not known."""
    report: tuple[str, ...] = ()
    """One sentence for each thing that was done to an input."""
    notes: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()

    async def leave(self) -> None:
        """Let go of the staged files; safe to call more than once."""
        clip, self.clip = self.clip, None
        if clip is not None:
            await self.area.let_go(clip)


StagedKind = TypeVar("StagedKind", bound=Staged)


async def read_inputs(media: MediaThreads, read: Callable[[Stop], StagedKind]) -> StagedKind:
    """Return what `read` stages in a media thread; it is let go of when nobody waits for it any more."""

    def staged_inputs(*, stop: Stop) -> StagedKind:
        staged = read(stop)
        if stop() and staged.clip is not None:
            staged.area.leave(staged.clip)
        return staged

    return await media.run(staged_inputs)


@dataclass(eq=False, kw_only=True)
class StagedInputs(Staged):
    """An order's picture and clip as they will be sent, with digests, price and violations."""

    order: Order = field(repr=False)
    """With the staged copies in place of the user's files."""
    original: Path | None
    """The user's own clip file, for those who want to show it; never read again."""
    image_data: bytes = field(default=b"", repr=False)
    """The reference image's file as it is sent."""

    @property
    def is_sent_as_it_is(self) -> bool:
        """Tell whether the reference video is the user's file, byte for byte."""
        copied = self.clip.copied if self.clip is not None else None
        return copied is not None and self.hosted is not None and self.hosted.path == copied.path

    async def fit(
        self,
        media: MediaThreads,
        *,
        generation: str,
        china: bool,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Make the inputs fit the documented limits, look for cuts, and price the order; once.

        An unknown orientation is measured as `video`; its own violation is found by `order_violations`.

        Raises:
            DiskFull: the folder cannot take what has to be written.
        """
        if self.is_fitted:
            return
        order, motion = self.order, self.order.motion
        broken = {violation.field for violation in self.unreadable}
        orientation = known(Orientation, motion.character_orientation) or Orientation.VIDEO
        image_report: tuple[str, ...] = ()
        violations: list[Violation] = list(self.unreadable)
        if "image" not in broken:
            self.image_data, image_report, found = await media.run(_fitted_image, order, generation)
            violations += found
        seconds: Any = VIDEO_MAX_SECONDS[orientation]
        video_report: tuple[str, ...] = ()
        video_notes: tuple[str, ...] = ()
        if not isinstance(order.video, VideoUrl):
            seconds = None
            if "video" not in broken and self.clip is not None:
                fitted = await self._fitted_clip(self.clip, media, orientation, on_progress)
                violations += fitted.violations
                self.hosted, video_notes = fitted.hosted, fitted.notes
                if fitted.conformed is not None:
                    if not _needs_a_trim(fitted.conformed, order.conform):
                        seconds = billed_seconds(fitted.conformed.sent_seconds)
                    video_report = fitted.conformed.report if fitted.hosted else ()
        model, mode = MODELS.get(motion.model), known(Mode, motion.mode)
        if model and mode and seconds is not None:
            self.price = price(model, mode, seconds, china=china)
        self.report, self.violations = (*image_report, *video_report), tuple(violations)
        self.notes = (*order_notes(order), *video_notes)
        self.is_fitted = True
        self._let_go_of_frames()

    def _let_go_of_frames(self) -> None:
        """Name the file in place of the frames that lie in it: they are large, and a task takes minutes."""
        if self.hosted is None or self.job is None or not isinstance(self.order.video, VideoFrames):
            return
        video_name = self.order.shown_video_name
        self.order = replace(self.order, video=VideoFile(self.hosted.path), video_name=video_name)
        self.job = replace(self.job, order=self.order)

    async def _fitted_clip(
        self,
        clip: StagedClip,
        media: MediaThreads,
        orientation: Orientation,
        on_progress: Callable[[int, int], None] | None,
    ) -> FittedClip:
        async def make() -> None:
            clip.fitted = await media.run(_fitted_clip, self.order, clip, orientation, self.area, on_progress)

        while clip.fitted is None:
            await self.area.fitting.run(clip.folder.name, make)
        return clip.fitted


async def stage(order: Order, origin: str, area: StagingArea, media: MediaThreads) -> StagedInputs:
    """Read an order's inputs once; the result needs its `leave`.

    Raises:
        InputChanged: a file was written while it was read.
        DiskFull: the private folder cannot take the copies.
    """
    return await read_inputs(media, lambda stop: _read(order, origin, area, stop))


def _read(order: Order, origin: str, area: StagingArea, stop: Stop | None) -> StagedInputs:
    unreadable: list[Violation] = []
    image, image_digest, video_digest = order.image, "", ""
    try:
        image = read_picture(image, stop=stop) if isinstance(image, Path) else image
        image_digest = picture_digest(image, stop=stop)
    except (MediaStopped, InputChanged):
        raise
    except MediaError as error:
        unreadable.append(unreadable_violation("image", error))
    video, clip = order.video, None
    try:
        video, clip, video_digest = staged_clip(video, area, lambda digest: _clip_key(order, digest), stop)
    except (MediaStopped, InputChanged):
        raise
    except MediaError as error:
        unreadable.append(unreadable_violation("video", error))
    names = {"image_name": order.shown_image_name, "video_name": order.shown_video_name}
    original = order.video.path if isinstance(order.video, VideoFile) else None
    order = replace(order, image=image, video=video, **names)
    job = None
    if not unreadable:
        realm = realm_of(order.service, origin)
        key = job_key(realm, order.motion, image_digest, video_digest)
        job = Job(key, realm, origin, image_digest, video_digest, order)
    return StagedInputs(
        order=order,
        origin=origin,
        job=job,
        unreadable=tuple(unreadable),
        original=original,
        clip=clip,
        area=area,
    )


def staged_clip(
    video: ReferenceVideo, area: StagingArea, key_of: Callable[[str], ClipKey | None], stop: Stop | None
) -> tuple[ReferenceVideo, StagedClip | None, str]:
    """Read a reference video into a private folder; blocking.

    Args:
        video: What the user gave.
        area: Where the folder lies.
        key_of: Returns what orders of the same digest share it under; None is not shared.
        stop: Asked while it is read.

    Returns:
        What stands for the video from here on; its clip, which needs its `leave`, None for a URL; its digest.
    """
    if isinstance(video, VideoUrl):
        return video, None, url_digest(video.url)
    folder = area.new_folder()
    kept: VideoFile | VideoFrames | None = None
    copied = None
    try:
        if isinstance(video, VideoFile):
            copied = copy_and_digest(video.path, folder / _file_name(video.path), video.window, stop=stop)
            kept, digest = VideoFile(copied.path, video.window), copied.clip_digest
        elif isinstance(video.frames.frames, FrameFolder):
            kept = VideoFrames(replace(video.frames, frames=video.frames.frames.copy_to(folder, stop=stop)))
            digest = frames_digest(kept.frames, stop=stop)
        else:
            digest = frames_digest(video.frames, stop=stop)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    clip = area.share(StagedClip(folder, key_of(digest), kept, copied))
    return clip.video or video, clip, digest


def _file_name(path: Path) -> str:
    """Return what a copy is called: as its source, which messages name; no system has a longer name."""
    return path.name if len(os.fsencode(path.name)) <= LONGEST_NAME_BYTES else f"clip{path.suffix[:8]}"


def _clip_key(order: Order, video_digest: str) -> ClipKey:
    """Return all that decides what a clip is made into."""
    return (video_digest, order.motion.character_orientation, order.conform.value, order.cuts.value)


def _fitted_image(
    order: Order, generation: str, *, stop: Stop | None
) -> tuple[bytes, tuple[str, ...], tuple[Violation, ...]]:
    try:
        conformed = conform_picture(order.image, picture_bounds(generation), mode=order.conform, stop=stop)
    except MediaStopped:
        raise
    except MediaError as error:
        return b"", (), (unreadable_violation("image", error),)
    return conformed.data, conformed.report, conformed.violations


def _fitted_clip(
    order: Order,
    clip: StagedClip,
    orientation: Orientation,
    area: StagingArea,
    on_progress: Callable[[int, int], None] | None,
    *,
    stop: Stop | None,
) -> FittedClip:
    video, copied = order.video, clip.copied
    is_file = isinstance(video, VideoFile)
    try:
        conformed = conform_clip(
            video.path if is_file else video.frames,  # type: ignore[union-attr]
            clip.folder,
            clip_bounds(orientation),
            mode=order.conform,
            window=video.window if is_file else None,
            stop=stop,
            on_progress=on_progress,
        )
        if conformed.violations:
            return FittedClip(conformed, conformed.violations)
        hosted = hosted_file(conformed, copied, stop)
        survey = area.survey_of(hosted, stop)
        name = video.path.name if isinstance(video, VideoFile) else order.shown_video_name
        violations = survey.damage.violations(name) or still_clip(survey)
        if order.cuts is not Cuts.SEND:
            violations += cut_violations(survey.cuts)
        if copied is not None and hosted.path != copied.path:
            copied.path.unlink(missing_ok=True)  # last: a cancelled fit is begun again from it
        return FittedClip(conformed, violations, None if violations else hosted, survey_notes(survey, name))
    except MediaStopped:
        raise
    except MediaError as error:
        return FittedClip(None, (unreadable_violation("video", error),))


def _needs_a_trim(conformed: ConformedClip, mode: ConformMode) -> bool:
    """Tell whether a clip is refused until it is trimmed, so that no length of it has a price."""
    rules = {violation.rule for violation in conformed.violations}
    return mode is not ConformMode.OFF and "video.duration.max" in rules


def hosted_file(conformed: ConformedClip, copied: ClipCopy | None, stop: Stop | None) -> HostedFile:
    """Return a clip that was made to fit as the file that a media host gets; blocking."""
    facts = conformed.facts
    content_type = "video/quicktime" if facts.container == "mov" else "video/mp4"
    if copied is not None and conformed.path == copied.path:
        return HostedFile(copied.path, copied.file_digest, copied.size_bytes, content_type)
    with conformed.path.open("rb") as file:
        digest = digest_of(file, lambda _chunk: check_stop(stop))
    return HostedFile(conformed.path, digest, facts.size_bytes, content_type)
