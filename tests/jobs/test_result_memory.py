"""Frames that would not fit into memory are refused before money is spent, over all of a prompt's nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kling_once.errors import NotEnoughMemory
from kling_once.media import memory
from kling_once.order import Spender

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.jobs.engine import Engine
    from kling_once.order import Order
    from tests.sandbox_control import SandboxControl


@pytest.fixture
def frames_of_one(engine: Engine, order: Callable[..., Order]) -> int:
    """Return how many bytes the frames of one result take."""
    price = engine.check(order()).result(60).price
    assert price is not None
    return int(price.seconds * 30) * 1280 * 720 * 12


def test_all_items_of_a_list_are_counted(
    engine: Engine,
    sandbox: SandboxControl,
    order: Callable[..., Order],
    frames_of_one: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: 3 * frames_of_one)
    with pytest.raises(NotEnoughMemory, match="Nothing was submitted"):
        engine.run(order(decoded_items=4)).result(60)
    assert not sandbox.creates()
    engine.run(order(decoded_items=2)).result(60)


def test_nodes_of_one_prompt_add_up_until_they_are_done(
    engine: Engine,
    sandbox: SandboxControl,
    order: Callable[..., Order],
    frames_of_one: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: int(1.5 * frames_of_one))
    sandbox.move(policy="polls", polls=100_000)
    first = engine.submit(order(take=1, decoded_items=1, spender=Spender("prompt", "a")))
    first.result(60)
    with pytest.raises(NotEnoughMemory, match="frames of this prompt"):
        engine.run(order(take=2, decoded_items=1, spender=Spender("prompt", "b"))).result(60)
    assert len(sandbox.creates()) == 1
    sandbox.move(policy="at once")
    engine.run(order(take=3, decoded_items=1, spender=Spender("another prompt", "b"))).result(60)
    engine.collect(first.result().job_key).result(60)
    engine.run(order(take=2, decoded_items=1, spender=Spender("prompt", "b"))).result(60)
