"""How a node's failure leaves our code, awaited as ComfyUI awaits a node."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
import traceback
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[2] / "nodes" / "stack_trace.py"
PLACE: ContextVar[str] = ContextVar("place", default="")


class Told(Exception):
    """One message for people."""


@pytest.fixture(scope="module")
def without_our_lines() -> Any:
    """Load nodes/stack_trace.py alone: the package beside it needs ComfyUI."""
    spec = importlib.util.spec_from_file_location("kling_once_stack_trace", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda run: module.without_our_lines(run, Told)


async def comfy(run: Any, *values: Any) -> Any:
    """Await a node as ComfyUI does."""
    assert inspect.iscoroutinefunction(run)
    PLACE.set("node 7")
    return await run(*values)


async def fail(error: Exception, *, at_once: bool) -> None:
    if not at_once:
        await asyncio.sleep(0)
    raise error


def functions_of(error: BaseException) -> list[str]:
    """Return where a stack trace leads from ComfyUI on."""
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    return names[names.index("comfy") + 1 :]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 adds a line for each coroutine")
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_told_failure_leaves_no_line_where_python_allows(
    without_our_lines: Any, at_once: bool
) -> None:
    async def run() -> None:
        await fail(Told("Task 1 failed."), at_once=at_once)

    with pytest.raises(Told, match=r"Task 1 failed\.") as caught:
        await comfy(without_our_lines(run))
    assert functions_of(caught.value) == []


async def test_an_unforeseen_error_keeps_its_lines(without_our_lines: Any) -> None:
    async def run() -> None:
        await fail(KeyError("x"), at_once=False)

    with pytest.raises(KeyError) as caught:
        await comfy(without_our_lines(run))
    assert functions_of(caught.value)[-2:] == ["run", "fail"]


async def test_a_value_and_the_place_in_the_prompt_arrive(without_our_lines: Any) -> None:
    async def run(number: int) -> tuple[int, str]:
        await asyncio.sleep(0)
        return number, PLACE.get()

    assert await asyncio.create_task(comfy(without_our_lines(run), 5)) == (5, "node 7")


async def test_what_fails_at_once_has_failed_before_the_next_item_of_a_list_begins(
    without_our_lines: Any,
) -> None:
    async def run() -> None:
        await fail(Told("No."), at_once=True)

    task = asyncio.create_task(comfy(without_our_lines(run)))
    await asyncio.sleep(0)  # all that ComfyUI gives an item before it begins the next
    assert task.done()
    assert isinstance(task.exception(), Told)


async def test_a_cancelled_node_lets_go_of_its_work(without_our_lines: Any) -> None:
    begun, let_go = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        try:
            begun.set()
            await asyncio.sleep(3600)
        finally:
            let_go.set()

    task = asyncio.create_task(comfy(without_our_lines(run)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(let_go.wait(), 5)


def test_a_prompt_that_ends_lets_go_of_the_work(
    without_our_lines: Any, caplog: pytest.LogCaptureFixture
) -> None:
    let_go = []

    async def run() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            let_go.append(True)

    async def prompt() -> None:
        tasks = [asyncio.create_task(comfy(without_our_lines(run))) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)

    asyncio.run(prompt())
    assert len(let_go) == 3
    assert caplog.text == ""
