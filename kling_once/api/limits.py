"""Every documented limit of the motion-control endpoint, its models, and their list prices as Decimals.

Source: Kling's API page "Motion Control" (March 2026), unless a line says otherwise. MB = 1,000,000 bytes.
The changelog of 2025-12-22 says that seconds are rounded to the nearest whole second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fractions import Fraction

MEGABYTE: Final = 1_000_000


class Generation(StrEnum):
    """Which of the vendor's two APIs speaks: `legacy` is the page of March 2026, `standard` that of July."""

    LEGACY = "legacy"
    STANDARD = "standard"


GENERATION_GIVES: Final = {
    Generation.LEGACY: "the use of an access key with a secret key beside an API key",
    Generation.STANDARD: (
        "pictures up to 50 MB and 20 tasks in one query, was seen to refuse a repeated task id,"
        " and takes an API key alone"
    ),
}
"""What is to be had there and not from the other one, as a part of a sentence."""


class Mode(StrEnum):
    """`mode`: `std` is 720p, `pro` is 1080p (billing API, 2026-09)."""

    STD = "std"
    PRO = "pro"


class Orientation(StrEnum):
    """`character_orientation`."""

    VIDEO = "video"
    IMAGE = "image"


def known(kind: Any, text: str) -> Any:
    """Return a member of an enumeration by its text, None where it has none."""
    return kind(text) if text in {item.value for item in kind} else None


PROMPT_MAX_CHARACTERS: Final = 2500

IMAGE_FORMATS: Final = ("JPEG", "PNG")
IMAGE_MAX_BYTES: Final = {Generation.LEGACY: 10 * MEGABYTE, Generation.STANDARD: 50 * MEGABYTE}
"""Measured after base64 encoding: no page says which, and this is the stricter reading."""
IMAGE_SIDE_MIN_PX: Final = 300
IMAGE_SIDE_MAX_PX: Final = 65536
IMAGE_RATIO_MAX: Final = 2.5
"""Longer side divided by the shorter one."""

VIDEO_CONTAINERS: Final = ("mp4", "mov")
VIDEO_MAX_BYTES: Final = 100 * MEGABYTE
VIDEO_SIDE_MIN_PX: Final = 340
VIDEO_SIDE_MAX_PX: Final = 3850
"""Both bounds are inclusive (new-standard page, 2026-09)."""
VIDEO_MIN_SECONDS: Final = 3
VIDEO_MAX_SECONDS: Final = {Orientation.VIDEO: 30, Orientation.IMAGE: 10}

ELEMENT_ID: Final = re.compile(r"[0-9]{1,19}")
"""A 64-bit signed integer, as text: 2**63-1 has 19 digits."""
ELEMENT_ID_MAX: Final = 2**63 - 1

ELEMENT_NAME_MAX_CHARACTERS: Final = 20
ELEMENT_DESCRIPTION_MAX_CHARACTERS: Final = 100
ELEMENT_VIEWS_MAX: Final = 3
"""Beside the frontal picture; at least one."""
ELEMENT_IMAGE_MAX_BYTES: Final = 10 * MEGABYTE
ELEMENT_VIDEO_MAX_BYTES: Final = 200 * MEGABYTE
ELEMENT_VIDEO_SECONDS: Final = (3, 8)
ELEMENT_VIDEO_SIDES_PX: Final = (1080, 1920)
"""1080p in 16:9 or 9:16, taken exactly (element page, 2026-09)."""
ELEMENT_PRICE: Final = "0 units were seen for an element (2026-09-20); no page names a price."

EXTERNAL_TASK_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Our own rule: the page sets no form; this one is safe in a path."""
OUR_TASK_ID: Final = re.compile(r"ko-[0-9a-f]{32}-")
"""Prefix of the external ids that we generate; users may not choose such an id."""
PATH_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""Our own rule for every id that goes into a URL path."""

PAGE_MAX: Final = 1000
PAGE_SIZE_MAX: Final = 500
RESULT_LIFETIME_DAYS: Final = 30
"""Kling deletes generated files after this time."""


def is_element_id(text: str) -> bool:
    """Tell whether a text is an element's id."""
    return bool(ELEMENT_ID.fullmatch(text)) and 0 < int(text) <= ELEMENT_ID_MAX


def is_path_id(text: str) -> bool:
    """Tell whether an id may be put into a URL path: `.` and `..` would change the path."""
    return bool(PATH_ID.fullmatch(text)) and text not in {".", ".."}


@dataclass(frozen=True, slots=True)
class MotionModel:
    """One motion-control model: what nodes, check, price, wire and page know of it."""

    name: str
    """`model_name` of the generation `legacy`, and the name everywhere here."""
    standard_path: str
    """Path of its create in the generation `standard`."""
    units_per_second: dict[Mode, Decimal]
    takes_element: bool
    """Whether a page lists elements for it."""
    prices_as_of: date = date(2026, 9, 20)
    prices_source: str = "official price page: 1 unit is 0.14 USD, in China 1 CNY"
    retired_on: date | None = None
    """When the vendor switched it off. It stays selectable: old workflows open, kept results are served."""

    def retirement(self, today: date) -> str:
        """Return in one sentence that the model is switched off, empty while it is not."""
        if self.retired_on is None or self.retired_on > today:
            return ""
        return f"Kling switched {self.name} off on {self.retired_on}. Choose another model."


MODELS: Final = {
    model.name: model
    for model in (
        MotionModel(
            name="kling-v2-6",
            standard_path="/motion-control/kling-2.6",
            units_per_second={Mode.STD: Decimal("0.5"), Mode.PRO: Decimal("0.8")},
            takes_element=False,
        ),
        MotionModel(
            name="kling-v3",
            standard_path="/motion-control/kling-3.0",
            units_per_second={Mode.STD: Decimal("0.9"), Mode.PRO: Decimal("1.2")},
            takes_element=True,
        ),
    )
}
"""Every motion-control model, in the order in which nodes list them; the first is the default."""
USD_PER_UNIT: Final = Decimal("0.14")
CNY_PER_UNIT: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Price:
    """The estimated price of one task."""

    seconds: Decimal
    """Length of the reference video, which bounds the billed seconds."""
    units: Decimal
    """Estimate, shown as "up to" and reserved by spending limits: seconds rounded half up, times the rate."""
    cash: Decimal
    """`units` in the currency, to three decimal places."""
    currency: str
    """`USD`, or `CNY` in the China region."""


def cash_of(units: Decimal, *, china: bool) -> tuple[Decimal, str]:
    """Return what units cost at the list price, and in which currency: CNY in the China region, else USD."""
    return (units * CNY_PER_UNIT, "CNY") if china else (units * USD_PER_UNIT, "USD")


def amount_text(amount: Decimal, of: str) -> str:
    """Return an amount of units or money for people, without trailing zeros: `1.5 units`, `0.21 USD`."""
    return f"{amount.normalize():f} {of}"


def price(
    model: MotionModel, mode: Mode, seconds: float | Fraction | Decimal, *, china: bool = False
) -> Price:
    """Return the price of a task with a reference video of this length.

    Args:
        model: model of the task.
        mode: mode of the task.
        seconds: length of the reference video.
        china: price in CNY instead of USD.
    """
    exact = Decimal(str(float(seconds)))
    rate = model.units_per_second[mode]
    units = exact.quantize(Decimal(1), ROUND_HALF_UP) * rate
    cash, currency = cash_of(units, china=china)
    return Price(
        seconds=exact,
        units=units,
        cash=cash.quantize(Decimal("0.001")),
        currency=currency,
    )
