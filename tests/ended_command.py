"""What a `kling-once` that ran in a process of its own has left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class EndedCommand:
    """Its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)
