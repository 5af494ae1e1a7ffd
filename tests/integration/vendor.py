"""The sandbox that plays Kling."""

from __future__ import annotations

from dataclasses import dataclass

from tests.sandbox_control import SandboxControl


@dataclass
class Vendor(SandboxControl):
    """What it was asked, and how it shall behave."""

    callback_secret: str = ""

    def task_id(self) -> str:
        """Return the id of the one task that was made; empty before."""
        answers = [call["answer"] for call in self.creates() if call["answer"]]
        return answers[0]["data"]["task_id"] if answers else ""

    def looks(self, task_id: str) -> int:
        return sum(call["path"].endswith(task_id) for call in self.calls())
