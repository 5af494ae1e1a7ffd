"""What is answered as JSON, to the page and by the command line's `--json`."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema, computed_field

from ..errors import ApiError, InputRefused, KlingOnceError
from ..ledger.attempts import AttemptState
from ..order import Kind, Service
from .sentences import Piece, taken_apart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..api.models import Element, Task
    from ..errors import Violation
    from ..jobs.check import Checked
    from ..jobs.outcome import Outcome

Moment = Annotated[
    datetime,
    PlainSerializer(lambda moment: moment.isoformat(timespec="seconds"), str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""ISO 8601 with the offset, to the second."""

NUMBER: Final = re.compile(r"(?<![\w.-])-?\d+(?:[.,:]\d+)*\b(?!-)")
"""Also a time such as `0:12.5`; never a part of a name such as `kling-v2-6` or `base64`."""
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection)."""


def spreadsheet_cell(value: Any) -> Any:
    """Return a value for a CSV file; text that a spreadsheet would run as a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


class Answer(BaseModel):
    """A JSON object. It is validated from keyword arguments, from a row of the ledger or from attributes.

    Amounts are numbers in JSON, whatever exact type they have in the product.
    """

    model_config = ConfigDict(
        frozen=True,
        from_attributes=True,
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
        json_schema_extra={"additionalProperties": False},
    )


class Said(Answer):
    """A piece of a text; one without a rule is said as it is."""

    message: str
    """In English."""
    rule: str
    """The id of its sentence, of which other languages have words."""
    values: list[str | list[Said]]
    """What fills the sentence's places, in their order; sentences within it are taken apart likewise."""


class Told(Answer):
    """A text that people are told, for the words of any language."""

    message: str
    """In English."""
    said: list[Said]
    """Its pieces; their messages make the text again."""

    @classmethod
    def of(cls, text: str, broken: Iterable[Violation] = ()) -> Self:
        """Return the answer for a text, in which the messages of broken limits keep the rule's own name."""
        return cls.model_validate({"message": text, "said": list(_pieces(text, tuple(broken)))})


def _pieces(text: str, broken: tuple[Violation, ...]) -> Iterator[Piece]:
    if not broken:
        yield from taken_apart(text)
        return
    first, *others = broken
    before, found, after = text.partition(first.message)
    yield from _pieces(before, tuple(others))
    if found:
        yield Piece(found, first.rule, tuple(NUMBER.findall(found)))
        yield from _pieces(after, broken)


class BrokenRule(Answer):
    """One documented limit that an input breaks."""

    field: str
    """The input in the user's words."""
    rule: str
    """A stable name of the limit, such as `video.duration.max`."""
    message: str
    """What is wrong, the value, the limit, and what to do; in English."""

    @computed_field
    @property
    def values(self) -> list[str]:
        """The numbers in the message in their order, for the words of another language."""
        return NUMBER.findall(self.message)


class Failure(Answer):
    """Why a request was refused, or a job ended without a video."""

    error: str
    """The kind of the error; of a refused request the phrase of its HTTP status."""
    message: str
    hint: str | None
    """What to do next."""
    task_id: str | None = None

    @computed_field
    @property
    def said(self) -> list[Said]:
        """Message and hint in pieces."""
        return Told.of(" ".join(part for part in (self.message, self.hint) if part)).said


class InputFailure(Failure):
    """Inputs break documented limits."""

    violations: list[BrokenRule]


class ApiFailure(Failure):
    """Kling's API refused."""

    code: int
    """Kling's service code."""
    http_status: int
    request_id: str | None


AnyFailure = ApiFailure | InputFailure | Failure


def failure_of(error: KlingOnceError) -> AnyFailure:
    """Return what went wrong."""
    told: dict[str, Any] = {
        "error": type(error).__name__,
        "message": error.message,
        "hint": error.hint or None,
        "task_id": error.task_id,
    }
    if isinstance(error, InputRefused):
        return InputFailure(**told, violations=error.violations)  # pyright: ignore[reportArgumentType]
    if isinstance(error, ApiError):
        request_id = error.request_id or None
        return ApiFailure(**told, code=error.code, http_status=error.http_status, request_id=request_id)
    return Failure(**told)


class OutcomeAnswer(Answer):
    """A kept video. Its links are in it because the person asked for this very video."""

    job_key: str
    task_id: str | None
    external_task_id: str
    status: AttemptState
    path: Path
    video_url: str | None
    watermark_url: str | None
    duration_seconds: float | None
    units: float | None
    """As charged; null where Kling stated none."""
    units_estimated: float | None
    cash: float | None
    currency: str | None
    reused: bool
    """Nothing was submitted for this order."""
    report: str

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """Return the answer for an outcome."""
        attempt = outcome.attempt
        return cls.model_validate(
            {
                "job_key": attempt.job_key,
                "task_id": attempt.task_id,
                "external_task_id": attempt.external_id,
                "status": attempt.state,
                "path": outcome.path,
                "video_url": attempt.video_url,
                "watermark_url": attempt.watermark_url,
                "duration_seconds": attempt.result_seconds,
                "units": attempt.units_charged,
                "units_estimated": attempt.units_estimated,
                "cash": attempt.cash_charged,
                "currency": attempt.currency,
                "reused": outcome.reused,
                "report": outcome.report(),
            }
        )


class CheckAnswer(Answer):
    """What a check found; units and money are what running the order would cost at the most."""

    ok: bool
    violations: list[BrokenRule]
    refusals: list[str]
    notes: list[str]
    report: list[str]
    seconds: float | None
    units: float | None
    usd: float | None
    cny: float | None
    job_key: str | None
    is_kept: bool
    written: list[Path]

    @classmethod
    def of(cls, checked: Checked) -> Self:
        """Return the answer for a check."""
        price = checked.price
        cash = {price.currency: price.cash} if price else {}
        return cls.model_validate(
            {
                "ok": checked.ok,
                "violations": checked.violations,
                "refusals": checked.refusals,
                "notes": checked.notes,
                "report": checked.report,
                "seconds": price.seconds if price else None,
                "units": price.units if price else None,
                "usd": cash.get("USD"),
                "cny": cash.get("CNY"),
                "job_key": checked.job_key,
                "is_kept": checked.is_kept,
                "written": checked.written,
            }
        )


class AttemptAnswer(Answer):
    """One attempt of the ledger with its job's names; never a link or a prompt."""

    started_at: Moment
    job_key: str
    service: Service
    realm: str
    project: str
    kind: Kind
    model: str
    mode: str
    take: int
    element_name: str
    image_name: str
    video_name: str
    number: int
    state: AttemptState
    task_id: str | None
    external_id: str
    seconds: float | None
    units_estimated: float | None
    units_charged: float | None
    cash_charged: float | None
    currency: str | None
    made_element_id: str | None
    result_path: str | None
    reason: str | None


ATTEMPT_COLUMNS: Final = tuple(AttemptAnswer.model_fields)
"""Of a CSV file."""


class ElementAnswer(Answer):
    """One element of the library, without links."""

    element_id: str
    """Digits; longer than a JavaScript number can hold."""
    name: str
    description: str
    kind: str
    """`image_refer` or `video_refer`, as Kling says it; empty where it does not."""
    is_preset: bool
    """An official one: it cannot be deleted."""
    has_picture: bool

    @classmethod
    def of(cls, element: Element) -> Self:
        """Return the answer for an element."""
        return cls.model_validate(
            {
                "element_id": element.element_id,
                "name": element.element_name,
                "description": element.element_description,
                "kind": element.reference_type,
                "is_preset": element.owned_by == "kling",
                "has_picture": bool(element.picture_url),
            }
        )


class TaskAnswer(Answer):
    """One of the account's tasks, without its links."""

    task_id: str
    external_task_id: str | None
    status: str
    """As Kling says it."""
    reason: str | None
    created_at: Moment | None
    duration_seconds: float | None
    units: float | None

    @classmethod
    def of(cls, task: Task, **more: Any) -> Self:
        """Return the answer for a task; `more` are the fields of a subclass."""
        return cls.model_validate(
            {
                "task_id": task.task_id,
                "external_task_id": task.task_info.external_task_id or None,
                "status": task.task_status,
                "reason": task.task_status_msg or None,
                "created_at": task.created_at,
                "duration_seconds": task.video.duration if task.video else None,
                "units": task.final_unit_deduction,
            }
            | more
        )
