"""Turn an order's inputs into what is sent: within the limits, priced, and at an address."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.limits import VIDEO_MAX_SECONDS, Mode, Model, Orientation
from ..api.prices import Price, price
from ..errors import HostingError, MediaError, MediaStopped, Violation
from ..hosting.media_host import HostedFile
from ..media.bounds import clip_violations, picture_violations
from ..media.probe import probe_clip, probe_picture
from .check import clip_bounds, order_notes, picture_bounds
from .job import Order, VideoFile, VideoUrl
from .store import file_digest

if TYPE_CHECKING:
    from ..media.types import Stop


@dataclass(frozen=True, slots=True)
class Prepared:
    """What would be sent, or why it cannot be."""

    image: bytes = field(repr=False)
    """The reference image's file."""
    clip: HostedFile | None
    """The reference video's file; None for a URL."""
    price: Price | None
    """None when the length is not known."""
    report: tuple[str, ...]
    """One sentence for each thing that was done to an input."""
    notes: tuple[str, ...]
    violations: tuple[Violation, ...]


def prepare(order: Order, folder: Path, *, china: bool = False, stop: Stop | None = None) -> Prepared:
    """Read, measure and price an order's media; blocking.

    `folder` takes what has to be written. An unknown orientation is measured as `video`; its own
    violation is found by `order_violations`.

    Raises:
        MediaStopped: `stop` said so.
    """
    orientation = _known(Orientation, order.motion.character_orientation) or Orientation.VIDEO
    image, image_broken = _image(order)
    clip, seconds, video_broken = _video(order, orientation, stop)
    model, mode = _known(Model, order.motion.model), _known(Mode, order.motion.mode)
    cost = price(model, mode, seconds, china=china) if model and mode and seconds is not None else None
    return Prepared(
        image=image,
        clip=clip,
        price=cost,
        report=(),
        notes=order_notes(order),
        violations=(*image_broken, *video_broken),
    )


def _image(order: Order) -> tuple[bytes, tuple[Violation, ...]]:
    try:
        data = order.image if isinstance(order.image, bytes) else Path(order.image).read_bytes()
        return data, picture_violations(probe_picture(order.image), picture_bounds())
    except MediaStopped:
        raise
    except (MediaError, OSError) as error:
        return b"", (Violation("image", "image.readable", str(error)),)


def _video(
    order: Order, orientation: Orientation, stop: Stop | None
) -> tuple[HostedFile | None, Any, tuple[Violation, ...]]:
    video = order.video
    if isinstance(video, VideoUrl):
        return None, VIDEO_MAX_SECONDS[orientation], ()
    if not isinstance(video, VideoFile):
        raise HostingError("Frames cannot be sent yet.")
    try:
        facts = probe_clip(video.path, stop=stop)
    except MediaStopped:
        raise
    except MediaError as error:
        return None, None, (Violation("video", "video.readable", str(error)),)
    clip = HostedFile(video.path, file_digest(video.path), facts.size_bytes, _content_type(facts.container))
    return clip, facts.duration_seconds, clip_violations(facts, clip_bounds(orientation))


def _content_type(container: str) -> str:
    return "video/quicktime" if container == "mov" else "video/mp4"


def _known(kind: Any, text: str) -> Any:
    return kind(text) if text in {item.value for item in kind} else None
