"""The wire: what is sent and what comes back, as typed values."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from ..errors import vendor_text
from .motion_control import MotionControl

logger = logging.getLogger(__name__)
_unknown_statuses: set[str] = set()


class TaskStatus(StrEnum):
    """`task_status`, spelled as on the wire."""

    SUBMITTED = "submitted"
    PROCESSING = "processing"
    SUCCEED = "succeed"
    FAILED = "failed"


LARGEST_EXPONENT = 15
"""Of an amount that is believed; beyond it a number is nonsense that would print as a screen of digits."""


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
    """Take nothing but an object: a field of another shape must not hide a paid result."""
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
    """A value from the vendor: fields that are new to us are kept, not refused."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)


class TaskVideo(_Answered):
    """One generated video; its links live for 30 days."""

    id: Text = ""
    url: Text = Field(default="", repr=False)
    watermark_url: Text = Field(default="", repr=False)
    duration: Amount = None
    """Seconds."""


class TaskInfo(_Answered):
    """What the creator of the task called it."""

    external_task_id: Text = ""


class TaskResult(_Answered):
    """What the task made."""

    videos: Annotated[tuple[TaskVideo, ...], BeforeValidator(_objects)] = ()


class WatermarkInfo(_Answered):
    """Whether a watermarked copy was asked for."""

    enabled: Flag = False


class BalanceDeduction(_Answered):
    """The charge of an account that pays in cash."""

    quota: Amount = None
    list_price: Amount = None


class Task(_Answered):
    """A task as the vendor describes it, in any of the three answers; only its id is indispensable."""

    task_id: Annotated[str, BeforeValidator(_identifier)] = Field(min_length=1)
    task_status: Text = ""
    task_status_msg: Text = ""
    task_info: Annotated[TaskInfo, BeforeValidator(_object)] = TaskInfo()
    task_result: Annotated[TaskResult, BeforeValidator(_object)] = TaskResult()
    watermark_info: Annotated[WatermarkInfo, BeforeValidator(_object)] = WatermarkInfo()
    final_balance_deduction: Annotated[BalanceDeduction, BeforeValidator(_object)] = BalanceDeduction()
    final_unit_deduction: Amount = None
    """None where cash was charged instead: a 0 there does not say that the task was free."""
    created_at: Moment = None
    updated_at: Moment = None

    @field_validator("final_unit_deduction")
    @classmethod
    def _units_or_cash(cls, units: Decimal | None, info: ValidationInfo) -> Decimal | None:
        balance = info.data.get("final_balance_deduction")
        return None if balance and balance.quota and not units else units

    @property
    def status(self) -> TaskStatus | None:
        """Return the status, or None for one that is not documented: not terminal, warned about once.

        `succeeded` is how the vendor's newer endpoints spell `succeed`.
        """
        if self.task_status == "succeeded":
            return TaskStatus.SUCCEED
        try:
            return TaskStatus(self.task_status)
        except ValueError:
            if self.task_status not in _unknown_statuses and len(_unknown_statuses) < 100:  # noqa: PLR2004 - a bound on memory
                _unknown_statuses.add(self.task_status)
                logger.warning(
                    "Kling answered with a status that is not documented: %r; the task is taken as running.",
                    vendor_text(self.task_status),
                )
            return None

    @property
    def failure_reason(self) -> str:
        """Return why the task failed, as a sentence that others can follow."""
        reason = vendor_text(self.task_status_msg) or "Kling gave no reason."
        return reason if reason.endswith((".", "!", "?", "。")) else f"{reason}."

    @property
    def video(self) -> TaskVideo | None:
        """Return the generated video, once there is one with a link."""
        return next((video for video in self.task_result.videos if video.url), None)


class ResourcePack(_Answered):
    """A prepaid pack; the remainder lags by up to 12 hours."""

    resource_pack_name: Text = ""
    resource_pack_type: Text = ""
    total_quantity: Amount = None
    remaining_quantity: Amount = None
    invalid_time: Moment = None
    status: Text = ""


class CreateRequest(BaseModel):
    """The body of a create; `image_url` is a URL or raw base64."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    motion: MotionControl
    image_url: str = Field(repr=False)
    video_url: str = Field(repr=False)
    callback_url: str = Field(default="", repr=False)
    external_task_id: str = ""

    def wire(self) -> dict[str, Any]:
        """Return the JSON object as documented; optional fields at their defaults are left out."""
        body = {"image_url": self.image_url, "video_url": self.video_url} | self.motion.wire()
        if self.callback_url:
            body["callback_url"] = self.callback_url
        if self.external_task_id:
            body["external_task_id"] = self.external_task_id
        return body

    def encode(self) -> bytes:
        """Return the body as UTF-8 JSON."""
        return json.dumps(self.wire(), ensure_ascii=False).encode()


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Value]):
    """A value with what the answer said about itself."""

    value: Value = field(repr=False)
    request_id: str
    server_time: datetime | None
    """The `Date` header: the vendor's own clock."""
