"""The package's public API: five lines of README make a video, and importing it costs next to nothing."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kling_once
from kling_once.demo import CHARACTER, MOTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.order import Order

ROOT = Path(__file__).parents[1]
HEAVY = {"av", "httpx", "sqlalchemy", "numpy", "pydantic", "aiohttp", "PIL", "torch"}
IMPORT_SECONDS = 0.15
"""Of the processor: other work on the machine does not count."""


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment, timeout=100
    )


def readme_lines() -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return next(block for block in blocks if "from kling_once import" in block)


@pytest.mark.process
def test_five_lines_of_the_readme_make_a_video(
    tmp_path: Path, hermetic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = readme_lines()
    assert len([line for line in lines.splitlines() if line.strip()]) <= 5
    shutil.copy(CHARACTER, tmp_path / "figure.png")
    shutil.copy(MOTION, tmp_path / "dance.mp4")
    done = run_python(lines, tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_file()


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    done = run_python(f"import kling_once, sys; print(sorted({HEAVY!r} & set(sys.modules)))", tmp_path)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_is_quick(tmp_path: Path) -> None:
    code = "import time; began = time.process_time(); import kling_once; print(time.process_time() - began)"
    assert min(float(run_python(code, tmp_path).stdout) for _ in range(3)) <= IMPORT_SECONDS


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in kling_once.__all__:
        value = getattr(kling_once, name)
        assert inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = kling_once.nothing_of_ours  # pyright: ignore[reportAttributeAccessIssue]


def test_every_method_of_the_client_is_described() -> None:
    public = [name for name in dir(kling_once.Client) if not name.startswith("_")]
    assert {"run", "submit", "collect", "check", "fetch", "list_tasks"} <= set(public)
    for name in public:
        assert inspect.getdoc(getattr(kling_once.Client, name)), name


def test_a_pending_result_is_waited_for_or_awaited(hermetic: None, order: Callable[..., Order]) -> None:
    async def awaited(client: kling_once.Client) -> kling_once.Checked:
        return await client.check(order())

    with kling_once.Client() as client:
        assert asyncio.run(awaited(client)).price == client.check(order()).result(30).price
