"""The wire format: request bodies and answers as typed values.

What the vendor says is cleaned here, once: past this module its texts are printable, and its ids, links,
amounts and times are what they should be or absent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ..errors import vendor_text
from .limits import MODELS, is_element_id, is_path_id
from .motion_control import MotionControl


class TaskStatus(StrEnum):
    """`task_status`, spelled as on the wire."""

    SUBMITTED = "submitted"
    PROCESSING = "processing"
    SUCCEED = "succeed"
    FAILED = "failed"


LARGEST_EXPONENT = 15
"""Largest decimal exponent of an amount that is taken as a number; anything beyond is no amount."""
NAME_MAX_CHARACTERS = 200
LINK_MAX_CHARACTERS = 8192
EARLIEST, LATEST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""A time outside is none: seconds taken for milliseconds end in 1970."""


def _name(value: Any) -> str:
    """Return an id for comparisons: a character that cannot be shown never equals one of ours."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:NAME_MAX_CHARACTERS])


def _task_name(value: Any) -> Any:
    return _name(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def _element_id(value: Any) -> str:
    """Return an element's id as text: a number on the legacy wire, text on the standard one."""
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return text if is_element_id(text) else ""


def _text(value: Any) -> str:
    return "" if value is None else vendor_text(value)


def _link(value: Any) -> str:
    """Return a link, empty for what cannot be one."""
    text = value.strip() if isinstance(value, str) else ""
    return text if text.isprintable() and len(text) <= LINK_MAX_CHARACTERS else ""


def amount_of(value: Any) -> Decimal | None:
    """Return a finite amount of reasonable size; None for everything else."""
    if value is None or isinstance(value, bool) or not str(value).strip():
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    is_reasonable = amount.is_finite() and (not amount or abs(amount.adjusted()) <= LARGEST_EXPONENT)
    return amount if is_reasonable else None


def charge_of(value: Any) -> Decimal | None:
    """Return a charge; None for everything else, also for less than nothing, which no limit may count."""
    amount = amount_of(value)
    return abs(amount) if amount is not None and amount >= 0 else None  # abs: -0 is 0


def is_empty(value: Any) -> bool:
    """Tell whether a value says nothing; a 0 says something."""
    return value is None or value is False or value in ("", [], {})


def _unread(value: Any) -> str:
    """Return what stands where a charge should be, when it is neither empty nor a charge."""
    if is_empty(value) or (isinstance(value, str) and not value.strip()) or charge_of(value) is not None:
        return ""
    return vendor_text(value)[:NAME_MAX_CHARACTERS]


def _object(value: Any) -> Any:
    """Replace anything but an object by an empty one: a malformed field must not hide a paid result."""
    return value if isinstance(value, (dict, BaseModel)) else {}


def _objects(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return ()
    return [item for item in value if isinstance(item, (dict, BaseModel))]


def _flag(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def moment_of(value: Any) -> datetime | None:
    """Return a time given in milliseconds since 1970; None for what is none, or implausible."""
    try:
        moment = datetime.fromtimestamp(int(value) / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return moment if EARLIEST <= moment < LATEST else None


Text = Annotated[str, BeforeValidator(_text)]
Name = Annotated[str, BeforeValidator(_name)]
Link = Annotated[str, BeforeValidator(_link)]
Amount = Annotated[Decimal | None, BeforeValidator(amount_of)]
Charge = Annotated[Decimal | None, BeforeValidator(charge_of)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Moment = Annotated[datetime | None, BeforeValidator(moment_of)]


class _Answered(BaseModel):
    """A value from the vendor; unknown fields are kept, not refused."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)


class TaskVideo(_Answered):
    """One generated video; its links expire after 30 days."""

    id: Name = ""
    url: Link = Field(default="", repr=False)
    watermark_url: Link = Field(default="", repr=False)
    duration: Amount = None
    """Seconds."""


class Element(_Answered):
    """An element of the library: one of the account's, or an official one."""

    element_id: Annotated[str, BeforeValidator(_element_id)] = ""
    """Digits; longer than a JavaScript number can hold. Empty where the answer names no usable id."""
    element_name: Text = ""
    element_description: Text = ""
    reference_type: Name = ""
    element_image_list: Annotated[dict[str, Any], BeforeValidator(_object)] = Field({}, repr=False)
    element_video_list: Annotated[dict[str, Any], BeforeValidator(_object)] = Field({}, repr=False)
    owned_by: Name = ""
    status: Name = ""

    @property
    def is_deleted(self) -> bool:
        """Tell whether it can be used no more."""
        return self.status == "deleted"

    @property
    def picture_url(self) -> str:
        """Return a link to its frontal picture; empty where it has none, as one made from a video."""
        return _link(self.element_image_list.get("frontal_image"))


class TaskInfo(_Answered):
    """The id that the creator of the task gave it."""

    external_task_id: Name = ""


class TaskResult(_Answered):
    """The output of a task."""

    videos: Annotated[tuple[TaskVideo, ...], BeforeValidator(_objects)] = ()
    elements: Annotated[tuple[Element, ...], BeforeValidator(_objects)] = ()


class WatermarkInfo(_Answered):
    """Whether a watermarked copy was requested."""

    enabled: Flag = False


class BalanceDeduction(_Answered):
    """The charge of an account that is billed in cash."""

    quota: Charge = None
    list_price: Amount = None
    currency: Text = ""
    """Empty where the answer leaves it to the region: CNY in China, else USD."""
    is_test: Flag = False
    """It was taken from a test balance, which nobody paid for."""


class Task(_Answered):
    """A task as create, get and list answer it; every field but the id may be missing or malformed."""

    unread_charge: str = ""
    """What the answer names as the charge when that is no amount: a charge of unknown size.

    Stands first: the amounts below depend on it.
    """
    task_id: Annotated[str, BeforeValidator(_task_name)] = Field(min_length=1)
    task_status: Name = ""
    task_status_msg: Text = ""
    task_info: Annotated[TaskInfo, BeforeValidator(_object)] = TaskInfo()
    task_result: Annotated[TaskResult, BeforeValidator(_object)] = TaskResult()
    watermark_info: Annotated[WatermarkInfo, BeforeValidator(_object)] = WatermarkInfo()
    final_balance_deduction: Annotated[BalanceDeduction, BeforeValidator(_object)] = BalanceDeduction()
    final_unit_deduction: Charge = None
    """Units charged; None in place of a 0 beside cash or a charge of unknown size: the task was not free."""
    created_at: Moment = None
    updated_at: Moment = None

    @model_validator(mode="before")
    @classmethod
    def _keep_unread_charge(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        balance = data.get("final_balance_deduction")
        if not isinstance(balance, dict):
            balance = {"quota": balance}
        quota = balance.get("quota")
        if quota is None:
            more = {name: value for name, value in balance.items() if name not in {"quota", "list_price"}}
            is_free = all(is_empty(value) or value == 0 for value in more.values())
            quota = None if is_free else more
        unread = _unread(data.get("final_unit_deduction")) or _unread(quota)
        return data | {"unread_charge": unread, "final_balance_deduction": balance}

    @field_validator("final_balance_deduction")
    @classmethod
    def _drop_zero_cash(cls, balance: BalanceDeduction, info: ValidationInfo) -> BalanceDeduction:
        if balance.quota or not info.data["unread_charge"]:
            return balance
        return balance.model_copy(update={"quota": None})

    @field_validator("final_unit_deduction")
    @classmethod
    def _drop_zero_units(cls, units: Decimal | None, info: ValidationInfo) -> Decimal | None:
        balance = info.data.get("final_balance_deduction")
        is_charged = (balance and balance.quota) or info.data["unread_charge"]
        return None if is_charged and not units else units

    @property
    def is_askable(self) -> bool:
        """Tell whether a GET can ask for the task by its id."""
        return is_path_id(self.task_id)

    @property
    def status(self) -> TaskStatus | None:
        """Return the status, or None for one that is not documented, which counts as running.

        `succeeded` is how the vendor's newer endpoints spell `succeed`.
        """
        if self.task_status == "succeeded":
            return TaskStatus.SUCCEED
        return TaskStatus(self.task_status) if self.task_status in set(TaskStatus) else None

    @property
    def failure_reason(self) -> str:
        """Return why the task failed, as one sentence with its full stop."""
        reason = vendor_text(self.task_status_msg) or "Kling gave no reason."
        return reason if reason.endswith((".", "!", "?", "\u3002")) else f"{reason}."

    @property
    def video(self) -> TaskVideo | None:
        """Return the first generated video that has a link, or None."""
        return next((video for video in self.task_result.videos if video.url), None)

    @property
    def element(self) -> Element | None:
        """Return the element that the task made, or None."""
        return next((element for element in self.task_result.elements if element.element_id), None)


class ResourcePack(_Answered):
    """A prepaid resource pack; `remaining_quantity` lags by up to 12 hours."""

    resource_pack_name: Text = ""
    resource_pack_type: Text = ""
    total_quantity: Amount = None
    remaining_quantity: Amount = None
    invalid_time: Moment = None
    status: Text = ""


class CreateRequest(BaseModel):
    """The body of a create; `image_url` is a URL or base64 without a data prefix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    motion: MotionControl
    image_url: str = Field(repr=False)
    video_url: str = Field(repr=False)
    callback_url: str = Field(default="", repr=False)
    external_task_id: str = ""

    def wire(self) -> dict[str, Any]:
        """Return the documented JSON object; optional fields at their defaults are left out."""
        body = {"image_url": self.image_url, "video_url": self.video_url} | self.motion.wire()
        if self.callback_url:
            body["callback_url"] = self.callback_url
        if self.external_task_id:
            body["external_task_id"] = self.external_task_id
        return body

    def standard_wire(self) -> dict[str, Any]:
        """Return the JSON object of the generation `standard`, whose path names the model."""
        body = self.motion.standard_wire()
        body["contents"] += [
            {"type": "image", "url": self.image_url},
            {"type": "video", "url": self.video_url},
        ]
        if self.callback_url:
            body["options"]["callback_url"] = self.callback_url
        if self.external_task_id:
            body["options"]["external_task_id"] = self.external_task_id
        return body

    def encode(self) -> bytes:
        """Return the body as UTF-8 JSON."""
        return json.dumps(self.wire(), ensure_ascii=False).encode()

    def standard_call(self) -> tuple[str, bytes]:
        """Return path and body of the create in the generation `standard`."""
        path = MODELS[self.motion.model].standard_path
        return path, json.dumps(self.standard_wire(), ensure_ascii=False).encode()


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Value]):
    """A value from an answer, with the answer's own metadata."""

    value: Value = field(repr=False)
    request_id: str
    server_time: datetime | None
    """The `Date` header: the vendor's clock."""
