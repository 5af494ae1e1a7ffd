"""A run of a node before a stand-in for ComfyUI."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


async def test_the_items_of_a_list_pass_the_limits_together(
    node_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first that is let pass does not keep the others waiting until it has ended."""

    async def engine() -> Any:
        return SimpleNamespace(require_affordable=len)

    async def soon(*_given: Any) -> None:
        await asyncio.sleep(0)

    async def later() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    host = SimpleNamespace(engine=engine, watched=soon, pause=later)
    monkeypatch.setattr(node_run, "host", host)
    items = node_run.NodeItems()
    for index in range(3):
        items.announce(index)
    runs = [node_run.NodeRun("p", "n", index, {}, None, items, items.begin(index)) for index in range(3)]
    await asyncio.wait_for(asyncio.gather(*(run.hold_against_limits(object()) for run in runs)), 60)
    assert items.affordable == 3
    assert [item.order for item in items.values()] == [None] * 3
