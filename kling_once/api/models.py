"""The wire format: request bodies and answers as typed values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from ..errors import vendor_text
from .motion_control import MotionControl


class TaskStatus(StrEnum):
    """`task_status`, spelled as on the wire."""

    SUBMITTED = "submitted"
    PROCESSING = "processing"
    SUCCEED = "succeed"
    FAILED = "failed"


LARGEST_EXPONENT = 15
"""Largest decimal exponent of an amount that is taken as a number; anything beyond is no amount."""


def _identifier(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _amount(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool) or not str(value).strip():
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount.adjusted()) <= LARGEST_EXPONENT else None


def _object(value: Any) -> Any:
    """Replace anything but an object by an empty one: a malformed field must not hide a paid result."""
    return value if isinstance(value, (dict, BaseModel)) else {}


def _objects(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return ()
    return [item for item in value if isinstance(item, (dict, BaseModel))]


def _flag(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(value) / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


Text = Annotated[str, BeforeValidator(_text)]
Amount = Annotated[Decimal | None, BeforeValidator(_amount)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]


class _Answered(BaseModel):
    """A value from the vendor; unknown fields are kept, not refused."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)


class TaskVideo(_Answered):
    """One generated video; its links expire after 30 days."""

    id: Text = ""
    url: Text = Field(default="", repr=False)
    watermark_url: Text = Field(default="", repr=False)
    duration: Amount = None
    """Seconds."""


class TaskInfo(_Answered):
    """The id that the creator of the task gave it."""

    external_task_id: Text = ""


class TaskResult(_Answered):
    """The output of a task."""

    videos: Annotated[tuple[TaskVideo, ...], BeforeValidator(_objects)] = ()


class WatermarkInfo(_Answered):
    """Whether a watermarked copy was requested."""

    enabled: Flag = False


class BalanceDeduction(_Answered):
    """The charge of an account that is billed in cash."""

    quota: Amount = None
    list_price: Amount = None
    currency: Text = ""
    """Empty where the answer leaves it to the region: CNY in China, else USD."""
    is_test: Flag = False
    """It was taken from a test balance, which nobody paid for."""


class Task(_Answered):
    """A task as create, get and list answer it; every field but the id may be missing or malformed."""

    task_id: Annotated[str, BeforeValidator(_identifier)] = Field(min_length=1)
    task_status: Text = ""
    task_status_msg: Text = ""
    task_info: Annotated[TaskInfo, BeforeValidator(_object)] = TaskInfo()
    task_result: Annotated[TaskResult, BeforeValidator(_object)] = TaskResult()
    watermark_info: Annotated[WatermarkInfo, BeforeValidator(_object)] = WatermarkInfo()
    final_balance_deduction: Annotated[BalanceDeduction, BeforeValidator(_object)] = BalanceDeduction()
    final_unit_deduction: Amount = None
    """Units charged; None when cash was charged instead, where a 0 does not mean that the task was free."""
    created_at: Moment = None
    updated_at: Moment = None

    @field_validator("final_unit_deduction")
    @classmethod
    def _units_or_cash(cls, units: Decimal | None, info: ValidationInfo) -> Decimal | None:
        balance = info.data.get("final_balance_deduction")
        return None if balance and balance.quota and not units else units

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
        return reason if reason.endswith((".", "!", "?", "。")) else f"{reason}."

    @property
    def video(self) -> TaskVideo | None:
        """Return the first generated video that has a link, or None."""
        return next((video for video in self.task_result.videos if video.url), None)


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


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Value]):
    """A value from an answer, with the answer's own metadata."""

    value: Value = field(repr=False)
    request_id: str
    server_time: datetime | None
    """The `Date` header: the vendor's clock."""
