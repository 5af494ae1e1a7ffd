"""One state, several servers: in one process, in several, and after a kill."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from kling_once.sandbox import DEFAULT_API_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CREATE = "/v1/videos/motion-control"
HEADERS = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}


@asynccontextmanager
async def process(state: Path, *arguments: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Run a sandbox alone in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kling_once.sandbox",
        "--port=0",
        f"--state={state}",
        "--quick-results",
        "--parallel-limit=1000",
        "--transitions=at once",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        line = (await asyncio.wait_for(child.stdout.readline(), 60)).decode()
        yield line.split()[-1], child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
        child._transport.close()  # type: ignore[attr-defined] # asyncio warns about an open pipe otherwise


async def create(session: Any, origin: str, fields: dict[str, Any], identifier: str) -> dict[str, Any] | None:
    try:
        async with session.post(
            origin + CREATE, json=fields | {"external_task_id": identifier}, headers=HEADERS
        ) as answer:
            return await answer.json()
    except (aiohttp.ClientError, ConnectionError):
        return None


async def test_two_servers_know_each_others_tasks_uploads_and_scripts(start: Any) -> None:
    first, second = await start(embedded=True), await start(embedded=True)
    created = await second.create(external_task_id="mine", video_url=first.fields["video_url"])
    assert created.status == 200
    assert (await first.get("mine")).data["task_id"] == created.data["task_id"]
    assert len(await first.calls()) == 2
    await first.script("create", "status-500")
    assert (await second.create()).status == 500
    assert await first.pending() == []
    data = (await first.get("mine")).data
    url = data["task_result"]["videos"][0]["url"]
    assert url.startswith(first.sandbox.origin)
    moved = url.replace(first.sandbox.origin, second.sandbox.origin)
    assert (await second.call("GET", moved)).body == (await first.call("GET", url)).body


async def test_one_external_id_makes_one_task_however_many_servers_are_asked(start: Any) -> None:
    benches = [await start(), await start(), await start()]
    answers = await asyncio.gather(*(bench.create(external_task_id="mine") for bench in benches * 5))
    assert sorted(answer.code for answer in answers) == [0] + [1201] * 14
    assert len(await benches[0].tasks()) == 1


async def test_the_parallel_limit_holds_over_servers(start: Any) -> None:
    benches = [await start(parallel_limit=3), await start(parallel_limit=3)]
    await benches[0].control("PUT", "transitions", {"policy": "polls", "polls": 9})
    answers = await asyncio.gather(*(bench.create() for bench in benches * 6))
    assert sorted(answer.code for answer in answers) == [0] * 3 + [1303] * 9


async def test_each_scripted_fault_is_met_by_one_call(start: Any) -> None:
    benches = [await start(), await start()]
    await benches[0].script("create", *["status-500"] * 7)
    answers = await asyncio.gather(*(bench.create() for bench in benches * 6))
    assert sorted(answer.status for answer in answers) == [200] * 5 + [500] * 7


async def test_two_processes_and_one_external_id(start: Any, state: Path) -> None:
    fields = (await start()).fields
    async with (
        process(state) as (first, _),
        process(state) as (second, _),
        aiohttp.ClientSession() as session,
    ):
        for number in range(5):
            answers = await asyncio.gather(
                *(create(session, origin, fields, f"id-{number}") for origin in (first, second) * 3)
            )
            assert sorted(answer["code"] for answer in answers if answer) == [0] + [1201] * 5


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
async def test_a_kill_at_any_moment_loses_no_answered_task(start: Any, state: Path) -> None:
    bench = await start()
    rng = random.Random(7)
    answered: list[str] = []
    for round_number in range(3):
        async with process(state) as (origin, child), aiohttp.ClientSession() as session:
            first_answer = asyncio.Event()

            async def burst(
                origin: str = origin, number: int = round_number, first: asyncio.Event = first_answer
            ) -> None:
                for count in range(50):
                    identifier = f"{number}-{count}"
                    answer = await create(session, origin, bench.fields, identifier)
                    if answer is None:
                        return
                    assert answer["code"] == 0
                    answered.append(identifier)
                    first.set()

            running = asyncio.gather(burst())
            await asyncio.wait_for(first_answer.wait(), 60)  # however slow the machine is
            await asyncio.sleep(rng.uniform(0.0, 0.2))
            os.kill(child.pid, signal.SIGKILL)
            await running
    assert answered
    for identifier in answered:
        assert (await bench.get(identifier)).code == 0
    externals = [task["task_info"].get("external_task_id") for task in await bench.tasks()]
    assert len(externals) == len(set(externals))


async def test_tasks_and_results_are_there_after_a_restart(start: Any) -> None:
    bench = await start()
    data = await bench.finished(external_task_id="mine")
    before = (await bench.call("GET", data["task_result"]["videos"][0]["url"])).body
    await bench.sandbox.stop()
    again = await start()
    url = (await again.get("mine")).data["task_result"]["videos"][0]["url"]
    assert url.startswith(again.sandbox.origin)
    assert (await again.call("GET", url)).body == before


async def test_the_command_line_says_where_it_listens_and_stops_on_sigterm(tmp_path: Path) -> None:
    async with process(tmp_path / "new") as (origin, child), aiohttp.ClientSession() as session:
        async with session.get(origin + "/sandbox/health") as answer:
            assert (await answer.json())["sandbox"] == "kling-once"
        child.terminate()
        assert await asyncio.wait_for(child.wait(), 60) == 0


async def test_beyond_loopback_a_token_is_made_up_and_printed(tmp_path: Path) -> None:
    async with process(tmp_path / "new", "--host=0.0.0.0") as (origin, child):
        assert child.stdout is not None
        line = (await asyncio.wait_for(child.stdout.readline(), 60)).decode()
        assert line.startswith("X-Sandbox-Token: ")
        token = line.split()[-1]
        url = origin.replace("0.0.0.0", "127.0.0.1") + "/sandbox/calls"
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as answer:
                assert answer.status == 401
            async with session.get(url, headers={"X-Sandbox-Token": token}) as answer:
                assert answer.status == 200
