"""One page of an account's tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..api.models import Task


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Newest first; where `account_browse` is `own`, the ledger's alone."""

    tasks: tuple[Task, ...]
    is_last: bool
    """Whether the account has no older ones; a full page does not tell."""
