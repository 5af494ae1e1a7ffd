"""Every documented limit, checked before money moves."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..api import limits
from ..api.limits import MODELS, Generation, Orientation
from ..api.motion_control import MOTION_SETTINGS
from ..errors import Violation
from ..hosting.media_host import (
    is_written_out,
    looks_signed,
    no_host_error,
    url_violations,
)
from ..media.types import ClipBounds, PictureBounds
from ..order import (
    EMBEDDED_ORIGIN,
    ElementOrder,
    Order,
    Service,
    VideoUrl,
)
from ..origins import is_loopback, url_parts

if TYPE_CHECKING:
    from ..api.motion_control import Setting
    from ..media.survey import Survey
    from ..order import AnyOrder, ReferenceVideo
    from ..settings import Settings

WAIT_MINUTES_MAX = 7 * 24 * 60
"""No object store signs a URL for longer than 7 days."""

TAKE_MAX = 2**31 - 1
"""What the node's widget and the ledger can hold."""

SHOWN_MOMENTS = 5
"""Times that one sentence lists."""


def picture_bounds(generation: str) -> PictureBounds:
    """Return the documented limits of a reference image in one of the vendor's two APIs."""
    return PictureBounds(
        min_side_px=limits.IMAGE_SIDE_MIN_PX,
        max_side_px=limits.IMAGE_SIDE_MAX_PX,
        max_ratio=limits.IMAGE_RATIO_MAX,
        max_encoded_bytes=limits.IMAGE_MAX_BYTES[Generation(generation)],
        formats=frozenset(limits.IMAGE_FORMATS),
    )


def clip_bounds(orientation: Orientation) -> ClipBounds:
    """Return the documented limits of a reference video."""
    return ClipBounds(
        min_duration_seconds=limits.VIDEO_MIN_SECONDS,
        max_duration_seconds=limits.VIDEO_MAX_SECONDS[orientation],
        min_side_px=limits.VIDEO_SIDE_MIN_PX,
        max_side_px=limits.VIDEO_SIDE_MAX_PX,
        max_size_bytes=limits.VIDEO_MAX_BYTES,
        orientation=orientation.value,
        containers=frozenset(limits.VIDEO_CONTAINERS),
    )


def element_picture_bounds() -> PictureBounds:
    """Return the documented limits of an element's pictures, the same in both of the vendor's APIs."""
    return replace(picture_bounds(Generation.LEGACY), max_encoded_bytes=limits.ELEMENT_IMAGE_MAX_BYTES)


def element_clip_bounds() -> ClipBounds:
    """Return the documented limits of an element's clip, less its exact sides."""
    shortest, longest = limits.ELEMENT_VIDEO_SECONDS
    lower, upper = limits.ELEMENT_VIDEO_SIDES_PX
    return ClipBounds(
        min_duration_seconds=shortest,
        max_duration_seconds=longest,
        min_side_px=lower,
        max_side_px=upper,
        max_size_bytes=limits.ELEMENT_VIDEO_MAX_BYTES,
        orientation="",
        containers=frozenset(limits.VIDEO_CONTAINERS),
    )


def order_violations(
    order: AnyOrder, origin: str, settings: Settings, *, has_host: bool
) -> tuple[Violation, ...]:
    """Return everything wrong with an order's settings; the media are looked at elsewhere."""
    if isinstance(order, ElementOrder):
        return _element_violations(order, origin, has_host=has_host)
    motion = order.motion
    found = [
        *(found for item in MOTION_SETTINGS for found in _choice(item, getattr(motion, item.name))),
        *_texts(order),
    ]

    def broken(field: str, rule: str, message: str) -> None:
        found.append(Violation(field, rule, message))

    if not 0 <= motion.take <= TAKE_MAX:
        broken("take", "take.range", f"take is {motion.take}; it may be 0 to {TAKE_MAX}.")
    if motion.element_id and not limits.is_element_id(motion.element_id):
        broken(
            "element_id",
            "element_id.form",
            f"element_id {motion.element_id[:40]!r} is not an element's number (1 to 19 digits).",
        )
    if order.external_task_id and not limits.EXTERNAL_TASK_ID.fullmatch(order.external_task_id):
        broken(
            "external_task_id",
            "external_task_id.form",
            f"external_task_id {order.external_task_id[:70]!r} may have 1 to 64 letters, digits, _ and -.",
        )
    if limits.OUR_TASK_ID.match(order.external_task_id):
        broken(
            "external_task_id",
            "external_task_id.ours",
            f"external_task_id {order.external_task_id[:70]!r} has the form of the ids that"
            " Kling Once makes. Give another.",
        )
    if order.external_task_id and order.is_one_of_several:
        broken(
            "external_task_id",
            "external_task_id.several",
            "external_task_id names one task, and this is a list of several. Leave it empty.",
        )
    found += _wait_and_money(order)
    found += _callback(order, settings)
    found += _reachable(order.video, origin, has_host=has_host)
    return tuple(found)


def _reachable(video: ReferenceVideo, origin: str, *, has_host: bool) -> tuple[Violation, ...]:
    """Return why Kling could not fetch a clip, as far as that is known before it is asked."""
    if isinstance(video, VideoUrl):
        local = origin == EMBEDDED_ORIGIN or is_loopback(origin)
        return tuple(url_violations(video.url, loopback_allowed=local))
    return () if has_host else (Violation("video", "video.hosting", str(no_host_error())),)


def _element_violations(order: ElementOrder, origin: str, *, has_host: bool) -> tuple[Violation, ...]:
    """Return everything wrong with what is said of an element."""
    found = [*_element_texts(order), *_wait_and_money(order)]

    def broken(field: str, rule: str, message: str) -> None:
        found.append(Violation(field, f"{field}.{rule}", message))

    count, most = len(order.views), limits.ELEMENT_VIEWS_MAX
    if order.video is not None:
        if order.image is not None or count:
            broken("video", "both", "An element is made of pictures or of one clip. Leave one of both out.")
        return (*found, *_reachable(order.video, origin, has_host=has_host))
    if order.image is None:
        broken("frontal", "missing", "There is no frontal picture, and no clip either: give one of both.")
    if not 1 <= count <= most:
        broken("views", "count", f"There are {count} other views; Kling takes 1 to {most}.")
    return tuple(found)


def _element_texts(order: ElementOrder) -> list[Violation]:
    found = []
    texts = (
        ("name", order.name, limits.ELEMENT_NAME_MAX_CHARACTERS),
        ("description", order.description, limits.ELEMENT_DESCRIPTION_MAX_CHARACTERS),
    )
    for field, text, most in texts:
        if not text:
            message = f"{field} is empty; an element needs one, of {most} characters at most."
            found.append(Violation(field, f"{field}.empty", message))
        if len(text) > most:
            message = f"{field} has {len(text)} characters; Kling takes {most}."
            found.append(Violation(field, f"{field}.length", message))
    for field, text in (("name", order.name), ("description", order.description), ("project", order.project)):
        found += _half_characters(field, text)
    return found


def order_notes(order: Order) -> tuple[str, ...]:
    """Return what a person should know although nothing is broken."""
    notes = []
    motion = order.motion
    if motion.element_id and motion.character_orientation == Orientation.IMAGE.value:
        notes.append(
            "With an element Kling follows the orientation of the video, whatever character_orientation says."
        )
    model = MODELS.get(motion.model)
    if model and motion.element_id and not model.takes_element:
        others = " and ".join(one.name for one in MODELS.values() if one.takes_element)
        notes.append(f"Kling documents elements for {others}; {model.name} may refuse this one.")
    if model and (retired := model.retirement(datetime.now(UTC).date())):
        notes.append(retired)
    if isinstance(order.video, VideoUrl):
        notes.append(
            "The reference video is a URL, which only Kling fetches: its format, length, size and cuts"
            " could not be checked."
        )
        if looks_signed(order.video.url):
            notes.append("The URL seems to carry a secret: it is saved in every workflow that holds it.")
    return tuple(notes)


def cut_violations(moments: tuple[float, ...]) -> tuple[Violation, ...]:
    """Return the violation of a reference video that changes its shot at these seconds, or none."""
    if not moments:
        return ()
    message = (
        f"Reference video changes its shot at {_listed([_moment(moment) for moment in moments])}. Kling takes"
        " one continuous shot: it stops there and does not refund the rest. Trim the clip to one shot, or set"
        " cuts to 'send'."
    )
    return (Violation("video", "video.cuts", message),)


def still_clip(survey: Survey) -> tuple[Violation, ...]:
    """Return the violation of a reference video in which nothing moves, or none."""
    if not survey.is_still:
        return ()
    message = "Reference video shows one and the same picture all the time: it has no motion to take over."
    return (Violation("video", "video.still", message),)


def survey_notes(survey: Survey, name: str) -> tuple[str, ...]:
    """Return what a person should know about a reference video that is not refused for it."""
    notes = []
    if survey.damage.lost and not survey.damage.is_too_much:
        notes.append(survey.damage.sentence(name))
    if survey.moves:
        spans = [
            f"{_moment(move.start_seconds)}-{_moment(move.end_seconds)} ({move.kind})"
            for move in survey.moves
        ]
        notes.append(
            f"The camera seems to move at {_listed(spans)}. Kling asks for a camera that stands still, and"
            " may stop there as it does at a cut."
        )
    return tuple(notes)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_MOMENTS} more" if len(names) > SHOWN_MOMENTS else ""
    return ", ".join(names[:SHOWN_MOMENTS]) + more


def _moment(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 2), 60)
    return f"{int(minutes)}:{rest:05.2f}"


def _choice(item: Setting, value: Any) -> list[Violation]:
    if not item.choices or value in item.choices:
        return []
    names = ", ".join(item.choices)
    return [
        Violation(item.name, f"{item.name}.unknown", f"{item.name} is {value[:40]!r}; Kling knows: {names}.")
    ]


def _texts(order: Order) -> list[Violation]:
    found = []
    prompt = order.motion.prompt
    if len(prompt) > limits.PROMPT_MAX_CHARACTERS:
        message = f"Prompt has {len(prompt)} characters; Kling takes {limits.PROMPT_MAX_CHARACTERS}."
        found.append(Violation("prompt", "prompt.length", message))
    return [*found, *_half_characters("prompt", prompt), *_half_characters("project", order.project)]


def _half_characters(field: str, text: str) -> list[Violation]:
    """Return the violation of a text with a lone surrogate, which neither Kling nor the ledger takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        message = f"{field} holds half of a character. Type or paste it again."
        return [Violation(field, f"{field}.unicode", message)]
    return []


def _wait_and_money(order: AnyOrder) -> list[Violation]:
    found = []
    if not (math.isfinite(order.wait_minutes) and 0 <= order.wait_minutes <= WAIT_MINUTES_MAX):
        message = f"wait_minutes is {order.wait_minutes:g}; it may be 0 to {WAIT_MINUTES_MAX} (7 days)."
        found.append(Violation("wait_minutes", "wait_minutes.range", message))
    if not order.max_units.is_finite() or order.max_units < 0:
        message = f"max_units is {order.max_units}; it is a number of units, 0 for no limit of its own."
        found.append(Violation("max_units", "max_units.range", message))
    return found


def _callback(order: Order, settings: Settings) -> list[Violation]:
    if not order.callback_url:
        return []
    if not is_written_out(order.callback_url):
        message = "callback_url holds blanks or characters that nobody can see. Copy it again."
        return [Violation("callback_url", "callback_url.form", message)]
    parts = url_parts(order.callback_url)
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    allowed = {item.rstrip("/").lower() for item in settings.callback_origins}
    if origin in allowed:
        return []
    host = (parts.hostname or "")[:100]
    message = (
        f"callback_url leads to {host!r}, which is not in KLING_ONCE_CALLBACK_ORIGINS with its scheme and"
        " port: a callback carries a link that needs no login. Ask the operator to list the origin."
    )
    if order.service is Service.SANDBOX:
        message += " The embedded sandbox calls loopback addresses only."
    return [Violation("callback_url", "callback_url.origin", message)]
