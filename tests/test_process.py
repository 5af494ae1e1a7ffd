"""The processes that tests start, forked or afresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.process import Process

if TYPE_CHECKING:
    from pathlib import Path

    from tests.warm import Nursery

pytestmark = pytest.mark.process


@pytest.mark.parametrize("is_forked", [True, False])
def test_who_kills_a_process_may_come_too_late(
    tmp_path: Path, nursery: Nursery | None, is_forked: bool
) -> None:
    process = Process(tmp_path, ["-c", "print('done')"], {}, nursery if is_forked else None)
    assert process.line() == "done"
    assert process.end().code == 0
    process.kill()
    assert process.end().code == 0
