"""The rules of the vendor's page: fields of a create, limits on the reference files, prices, retention.

Written from the page alone. Where it is silent, the choice is stated beside the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from .wire import INVALID_VALUE, Refusal, clip

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

MEGABYTE: Final = 1_000_000
PROMPT_MAX_CHARACTERS: Final = 2500
IMAGE_MAX_BYTES: Final = 10 * MEGABYTE
IMAGE_SIDE_PX: Final = (300, 65536)
VIDEO_MAX_BYTES: Final = 100 * MEGABYTE
VIDEO_SIDE_PX: Final = (340, 3850)
VIDEO_MIN_SECONDS: Final = 3
VIDEO_MAX_SECONDS: Final = {"video": 30, "image": 10}
LONGEST_ID: Final = 2**63 - 1
FRAMES_PER_SECOND: Final = 30
"""Frame rate of every result."""

DAY_SECONDS: Final = 86_400
STORED_SECONDS: Final = 30 * DAY_SECONDS
"""Generated videos are cleared after 30 days, says the page."""


@dataclass(frozen=True)
class Model:
    """One motion-control model: its names in both generations, and what a second costs in units."""

    name: str
    standard_path: str
    units_per_second: dict[str, Decimal]
    """By mode; Kling's price page of 2026-09-20."""
    takes_element: bool
    """Whether the page of the standard generation lists the content type `element` for it."""


MODELS: Final = (
    Model(
        "kling-v2-6",
        "/motion-control/kling-2.6",
        {"std": Decimal("0.5"), "pro": Decimal("0.8")},
        takes_element=False,
    ),
    Model(
        "kling-v3",
        "/motion-control/kling-3.0",
        {"std": Decimal("0.9"), "pro": Decimal("1.2")},
        takes_element=True,
    ),
)
UNITS_PER_SECOND: Final = {
    (model.name, mode): units for model in MODELS for mode, units in model.units_per_second.items()
}


@dataclass(frozen=True)
class Order:
    """The fields of a valid create, with defaults filled in."""

    model_name: str
    mode: str
    character_orientation: str
    image_url: str
    video_url: str
    prompt: str
    keep_original_sound: bool
    watermark: bool
    element_id: int | None
    callback_url: str | None
    external_task_id: str | None
    generation: str = "legacy"
    image_max_bytes: int = IMAGE_MAX_BYTES


@dataclass(frozen=True)
class PictureFacts:
    """What a reference image is; `size_bytes` counts the text where it came as base64."""

    size_bytes: int
    width_px: int
    height_px: int


@dataclass(frozen=True)
class ClipFacts:
    """What a reference video is; its duration is that of the picture track, whatever the sound lasts."""

    size_bytes: int
    width_px: int
    height_px: int
    duration_seconds: Fraction
    has_sound: bool


def check_text(value: Any) -> str | None:
    """Check a text; return what is wrong, or None, as every check does."""
    if not isinstance(value, str):
        return f"must be a string, got {kind_of(value)}"
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return "holds a character that is not valid Unicode"
    return None


def one_of(*allowed: str) -> Callable[[Any], str | None]:
    """Return the check of a text that must be one of several."""

    def check(value: Any) -> str | None:
        if isinstance(value, str) and value in allowed:
            return None
        got = clip(value) if isinstance(value, str) else kind_of(value)
        return f"must be one of {', '.join(allowed)}, got {got}"

    return check


def check_prompt(value: Any) -> str | None:
    """Check a prompt and its length."""
    wrong = check_text(value)
    if wrong is None and len(value) > PROMPT_MAX_CHARACTERS:
        return f"cannot exceed {PROMPT_MAX_CHARACTERS} characters, got {len(value)}"
    return wrong


def check_url(value: Any) -> str | None:
    """Check an http or https URL."""
    wrong = check_text(value)
    if wrong is not None:
        return wrong
    return None if is_url(value) else f"must be an http or https URL, got {clip(value)}"


def check_image(value: Any, max_bytes: int = IMAGE_MAX_BYTES) -> str | None:
    """Check an image's field: a URL or base64 of at most `max_bytes` characters."""
    wrong = check_text(value)
    if wrong is not None:
        return wrong
    if not value:
        return "must not be empty"
    if value[:5].lower() == "data:":
        return "must be raw base64 without a 'data:' prefix"
    if looks_like_url(value):
        return check_url(value)
    if len(value) > max_bytes:
        return f"file size must be <= {max_bytes // MEGABYTE} MB, got {len(value)} characters of base64"
    return None


def check_callback(value: Any) -> str | None:
    """Check a callback URL; empty means none, as in the page's example."""
    return None if value == "" else check_url(value)


def _elements(value: Any) -> str | None:
    if not isinstance(value, list):
        return f"must be an array, got {kind_of(value)}"
    if len(value) > 1:
        return f"can introduce at most one element, got {len(value)}"
    if not value:
        return None
    element = value[0]
    if not isinstance(element, dict) or set(element) != {"element_id"}:
        return 'entries must be objects of the form {"element_id": 829836802793406551}'
    number = element["element_id"]
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= LONGEST_ID:
        return f"element_id must be a positive long, got {kind_of(number)}"
    return None


def _watermark(value: Any) -> str | None:
    if isinstance(value, dict) and set(value) == {"enabled"} and isinstance(value["enabled"], bool):
        return None
    return 'must be an object of the form {"enabled": boolean}'


FIELDS: Final[dict[str, tuple[bool, Callable[[Any], str | None]]]] = {
    "model_name": (False, one_of(*(model.name for model in MODELS))),
    "prompt": (False, check_prompt),
    "image_url": (True, check_image),
    "video_url": (True, check_url),
    "element_list": (False, _elements),
    "keep_original_sound": (False, one_of("yes", "no")),
    "character_orientation": (True, one_of("image", "video")),
    "mode": (True, one_of("std", "pro")),
    "watermark_info": (False, _watermark),
    "callback_url": (False, check_callback),
    "external_task_id": (False, check_text),
}
"""Every field of the page: whether it is required, and its check, which returns what is wrong or None."""


def field_problems(
    body: Any, fields: dict[str, tuple[bool, Callable[[Any], str | None]]], *, ignore_unknown: bool
) -> list[str]:
    """Return what is wrong with each field of a create's body.

    Args:
        body: as it came.
        fields: every field of the page: whether it is required, and its check.
        ignore_unknown: let fields pass that the page does not have.

    Raises:
        Refusal: code 1201; the body is no JSON object.
    """
    if not isinstance(body, dict):
        raise Refusal(INVALID_VALUE, f"the request body must be a JSON object, got {kind_of(body)}")
    unknown = [] if ignore_unknown else [name for name in body if name not in fields]
    problems = [f"{clip(name)}: unknown field" for name in unknown]
    for name, (required, check) in fields.items():
        if name in body:
            wrong = check(body[name])
            if wrong is not None:
                problems.append(f"{name}: {wrong}")
        elif required:
            problems.append(f"{name}: is required")
    return problems


def read_order(body: Any, *, ignore_unknown: bool = False) -> Order:
    """Check every field of a create.

    Not documented and decided here: null is a wrong type; an empty `external_task_id`, `callback_url` or
    `element_list` means none; an element is accepted with orientation `image` and with `kling-v2-6`; a
    field that the page does not have is refused unless `ignore_unknown`.

    Raises:
        Refusal: code 1201; the message names every field that is wrong, up to 30.
    """
    problems = field_problems(body, FIELDS, ignore_unknown=ignore_unknown)
    if problems:
        raise Refusal(INVALID_VALUE, "; ".join(problems[:30]))
    elements = body.get("element_list", [])
    return Order(
        model_name=body.get("model_name", "kling-v2-6"),
        mode=body["mode"],
        character_orientation=body["character_orientation"],
        image_url=body["image_url"],
        video_url=body["video_url"],
        prompt=body.get("prompt", ""),
        keep_original_sound=body.get("keep_original_sound", "yes") == "yes",
        watermark=body.get("watermark_info", {"enabled": False})["enabled"],
        element_id=elements[0]["element_id"] if elements else None,
        callback_url=body.get("callback_url") or None,
        external_task_id=body.get("external_task_id") or None,
    )


def judge_picture(facts: PictureFacts, max_bytes: int = IMAGE_MAX_BYTES) -> list[str]:
    """Return a message for every documented limit that a reference image breaks."""
    problems = []
    if facts.size_bytes > max_bytes:
        problems.append(f"file size must be <= {max_bytes // MEGABYTE} MB, got {facts.size_bytes} bytes")
    low, high = IMAGE_SIDE_PX
    short, long = sorted((facts.width_px, facts.height_px))
    shape = f"{facts.width_px}x{facts.height_px}"
    if short < low or long > high:
        problems.append(f"each side must be {low} to {high} px, got {shape}")
    if 2 * long > 5 * short:
        problems.append(f"aspect ratio must be 1:2.5 to 2.5:1, got {shape}")
    return problems


def judge_clip(facts: ClipFacts, orientation: str) -> list[str]:
    """Return a message for every documented limit that a reference video breaks; no tolerance."""
    problems = []
    if facts.size_bytes > VIDEO_MAX_BYTES:
        problems.append(f"video_url: file size must be <= 100 MB, got {facts.size_bytes} bytes")
    low, high = VIDEO_SIDE_PX
    if min(facts.width_px, facts.height_px) < low or max(facts.width_px, facts.height_px) > high:
        problems.append(
            f"video_url: each side must be {low} to {high} px, got {facts.width_px}x{facts.height_px}"
        )
    longest = VIDEO_MAX_SECONDS[orientation]
    if not VIDEO_MIN_SECONDS <= facts.duration_seconds <= longest:
        problems.append(
            f"video_url: with character_orientation '{orientation}' the duration must be "
            f"{VIDEO_MIN_SECONDS} to {longest} s, got {float(facts.duration_seconds):.3f} s"
        )
    return problems


def units_for(model_name: str, mode: str, seconds: Fraction) -> Decimal:
    """Return the units of a clip: whole seconds, rounded half up, times the rate of model and mode."""
    exact = Decimal(seconds.numerator) / Decimal(seconds.denominator)
    return exact.quantize(Decimal(1), ROUND_HALF_UP) * UNITS_PER_SECOND[model_name, mode]


def looks_like_url(text: str) -> bool:
    """Return whether a text is a URL of any scheme rather than base64, which holds no colon."""
    return "://" in text[:64]


def is_url(text: str) -> bool:
    """Return whether a text is an absolute http or https URL without blanks or control characters."""
    if any(character <= " " or character == "\x7f" for character in text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def kind_of(value: Any) -> str:
    """Return the type of a JSON value in words."""
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "an array"}
    if value is None:
        return "null"
    return names.get(type(value), "an object")
