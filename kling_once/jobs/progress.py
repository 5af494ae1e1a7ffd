"""What a waiting person is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where a job stands, in the order in which it passes them."""

    CHECK = "check"
    CONFORM = "conform"
    UPLOAD = "upload"
    QUEUE = "queue"
    """Waits for a place among the tasks that may run at once."""
    SUBMIT = "submit"
    SETTLE = "settle"
    """Finds out what became of a create whose answer was lost."""
    WAIT = "wait"
    DOWNLOAD = "download"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Progress:
    """One piece of news about a job."""

    stage: Stage
    text: str
    job_key: str = ""
    task_id: str | None = None
    done: int = 0
    total: int = 0
    """Steps of this stage, such as bytes or frames; 0 when unknown."""
