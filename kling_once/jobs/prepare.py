"""Turn an order's inputs into what is sent: within the limits, in one shot, and priced."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from ..api.limits import (
    VIDEO_MAX_SECONDS,
    Mode,
    Model,
    Orientation,
)
from ..api.prices import Price, price
from ..errors import MediaError, MediaStopped, Violation
from ..hosting.media_host import HostedFile
from ..media.bounds import unreadable_violation
from ..media.conform import conform_clip, conform_picture
from ..media.cuts import find_cuts
from ..media.source import check_stop
from ..order import (
    Cuts,
    Order,
    VideoFile,
    VideoUrl,
    billed_seconds,
)
from .violations import clip_bounds, order_notes, picture_bounds
from .work_places import MadeClip, WorkPlace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..media.types import ConformedClip, Stop

CHUNK_BYTES: Final = 1 << 20
SHOWN_CUTS: Final = 5
REMEMBERED_CLIPS: Final = 64


@dataclass(frozen=True, slots=True)
class Prepared:
    """What would be sent, or why it cannot be."""

    image: bytes = field(repr=False)
    """The reference image's file."""
    clip: HostedFile | None
    """The reference video's file; None for a URL, or when there are violations."""
    price: Price | None
    """None when the length is not known."""
    report: tuple[str, ...]
    """One sentence for each thing that was done to an input."""
    notes: tuple[str, ...]
    violations: tuple[Violation, ...]


def prepare(
    order: Order,
    place: WorkPlace,
    *,
    china: bool = False,
    stop: Stop | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Read, measure, conform and price an order's media; blocking.

    `place` takes what has to be written, and what was made there is used again. An unknown orientation is
    measured as `video`; its own violation is found by `order_violations`.

    Raises:
        MediaStopped: `stop` said so.
        DiskFull: `place` cannot take what has to be written.
    """
    orientation = _known(Orientation, order.motion.character_orientation) or Orientation.VIDEO
    image, image_report, image_broken = _image(order, stop)
    seconds: Any = VIDEO_MAX_SECONDS[orientation]
    clip, video_report, video_broken = None, (), ()
    if not isinstance(order.video, VideoUrl):
        made = place.clip(lambda: _video(order, orientation, place.folder, stop, on_progress), stop)
        clip, conformed, video_broken = made.hosted, made.conformed, made.violations
        seconds = billed_seconds(conformed.facts.duration_seconds) if conformed else None
        if conformed and clip:
            video_report = conformed.report
            if conformed.is_original and isinstance(order.video, VideoFile):
                clip = replace(clip, path=order.video.path)  # of equal files each order has its own
    model, mode = _known(Model, order.motion.model), _known(Mode, order.motion.mode)
    return Prepared(
        image=image,
        clip=clip,
        price=price(model, mode, seconds, china=china) if model and mode and seconds is not None else None,
        report=(*image_report, *video_report),
        notes=order_notes(order),
        violations=(*image_broken, *video_broken),
    )


def _image(order: Order, stop: Stop | None) -> tuple[bytes, tuple[str, ...], tuple[Violation, ...]]:
    try:
        conformed = conform_picture(order.image, picture_bounds(), mode=order.conform, stop=stop)
    except MediaStopped:
        raise
    except MediaError as error:
        return b"", (), (unreadable_violation("image", error),)
    return conformed.data, conformed.report, conformed.violations


def _video(
    order: Order,
    orientation: Orientation,
    folder: Path,
    stop: Stop | None,
    on_progress: Callable[[int, int], None] | None,
) -> MadeClip:
    video = order.video
    is_file = isinstance(video, VideoFile)
    try:
        conformed = conform_clip(
            video.path if is_file else video.frames,  # type: ignore[union-attr]
            folder,
            clip_bounds(orientation),
            mode=order.conform,
            window=video.window if is_file else None,
            stop=stop,
            on_progress=on_progress,
        )
        if conformed.violations:
            return MadeClip(conformed, conformed.violations)
        hosted = _hosted(conformed, stop)
        violations = () if order.cuts is Cuts.SEND else _cuts(_found_cuts(hosted, stop))
        return MadeClip(conformed, violations, None if violations else hosted)
    except MediaStopped:
        raise
    except MediaError as error:
        return MadeClip(None, (unreadable_violation("video", error),))


_known_cuts: OrderedDict[str, tuple[float, ...]] = OrderedDict()
"""By the clip's digest: a list of pictures and one motion, or a check before the run, looks once."""


def _found_cuts(clip: HostedFile, stop: Stop | None) -> tuple[float, ...]:
    cuts = _known_cuts.get(clip.digest)
    if cuts is None:
        cuts = _known_cuts[clip.digest] = find_cuts(clip.path, stop=stop)
        while len(_known_cuts) > REMEMBERED_CLIPS:
            _known_cuts.popitem(last=False)
    return cuts


def _cuts(moments: tuple[float, ...]) -> tuple[Violation, ...]:
    if not moments:
        return ()
    shown = ", ".join(f"{int(moment // 60)}:{moment % 60:04.1f}" for moment in moments[:SHOWN_CUTS])
    more = f" and {len(moments) - SHOWN_CUTS} more" if len(moments) > SHOWN_CUTS else ""
    message = (
        f"Reference video changes its shot at {shown}{more}. Kling takes one continuous shot: it stops there"
        " and does not refund the rest. Trim the clip to one shot, or set cuts to 'send'."
    )
    return (Violation("video", "video.cuts", message),)


def _hosted(conformed: ConformedClip, stop: Stop | None) -> HostedFile:
    facts = conformed.facts
    content_type = "video/quicktime" if facts.container == "mov" else "video/mp4"
    digest = contents_digest(conformed.path, stop)
    return HostedFile(conformed.path, digest, facts.size_bytes, content_type)


def contents_digest(path: Path, stop: Stop | None) -> str:
    """Return the digest of a file's bytes; blocking.

    Raises:
        MediaStopped: `stop` said so.
    """
    hasher = blake3()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):  # not mapped: a map counts as memory
            check_stop(stop)
            hasher.update(chunk)
    return hasher.hexdigest()


def _known(kind: Any, text: str) -> Any:
    return kind(text) if text in {item.value for item in kind} else None
