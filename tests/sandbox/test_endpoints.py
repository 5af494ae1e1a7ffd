"""The vendor's paths: envelope, ids, statuses, list, costs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

CREATE = "/v1/videos/motion-control"


async def test_a_create_answers_the_documented_envelope(bench: Any) -> None:
    answer = await bench.create(external_task_id="mine-1")
    assert answer.status == 200
    assert set(answer.body) == {"code", "message", "request_id", "data"}
    assert answer.code == 0
    assert set(answer.data) == {"task_id", "task_info", "task_status", "created_at", "updated_at"}
    assert re.fullmatch(r"[0-9]{18}", answer.data["task_id"])
    assert answer.data["task_info"] == {"external_task_id": "mine-1"}
    assert answer.data["task_status"] == "submitted"
    assert answer.data["created_at"] == 1_800_000_000_000


async def test_a_task_is_found_by_task_id_and_by_external_id(bench: Any) -> None:
    created = (await bench.create(external_task_id="mine-1")).data
    by_task = (await bench.get(created["task_id"])).data
    by_external = (await bench.get("mine-1")).data
    assert by_task["task_id"] == by_external["task_id"] == created["task_id"]


async def test_a_succeeded_task_shows_result_and_deduction(bench: Any) -> None:
    data = await bench.finished(model_name="kling-v3", mode="pro", watermark_info={"enabled": True})
    assert data["task_status"] == "succeed"
    assert data["final_unit_deduction"] == "3.6"
    assert "final_balance_deduction" not in data
    assert data["watermark_info"] == {"enabled": True}
    (video,) = data["task_result"]["videos"]
    assert set(video) == {"id", "url", "watermark_url", "duration"}
    assert video["duration"] == "3"
    assert video["url"].startswith(bench.sandbox.origin + "/sandbox/results/")


async def test_a_watermark_url_comes_only_when_asked_for(bench: Any) -> None:
    data = await bench.finished()
    assert "watermark_url" not in data["task_result"]["videos"][0]
    assert data["watermark_info"] == {"enabled": False}


async def test_result_urls_carry_the_host_that_was_called(bench: Any) -> None:
    created = await bench.create()
    port = bench.sandbox.origin.rpartition(":")[2]
    url = f"http://localhost:{port}{CREATE}/{created.data['task_id']}"
    data = (await bench.call("GET", url)).data
    assert data["task_result"]["videos"][0]["url"].startswith(f"http://localhost:{port}/sandbox/")


async def test_a_strange_host_header_does_not_get_into_a_url(bench: Any) -> None:
    created = await bench.create()
    for host in ("evil/..", 'a"b', "u@h", "a b"):
        answer = await bench.call(
            "GET", f"{CREATE}/{created.data['task_id']}", headers=bench.headers | {"Host": host}
        )
        assert answer.data["task_result"]["videos"][0]["url"].startswith(bench.sandbox.origin)


async def test_an_unknown_id_is_1201_on_http_400(bench: Any) -> None:
    answer = await bench.get("nobody")
    assert (answer.status, answer.code) == (400, 1201)
    assert answer.message == "Task not found by id/external id: nobody"
    assert "data" not in answer.body


async def test_ids_that_look_like_paths_are_just_unknown(bench: Any) -> None:
    for identifier in ("%2e%2e", "..%2f..%2faccount%2fcosts", "a%2Fb", "%00", "%ff%fe", "x" * 4000):
        answer = await bench.get(identifier)
        assert answer.status in {400, 404}
        assert answer.code in {1201, 1203}


async def test_a_used_external_id_is_refused_and_nothing_is_made(bench: Any) -> None:
    await bench.create(external_task_id="mine-1")
    again = await bench.create(external_task_id="mine-1")
    assert (again.status, again.code) == (400, 1201)
    assert "already exists" in again.message
    assert len(await bench.tasks()) == 1


async def test_duplicates_allowed_makes_a_second_task_and_get_answers_the_first(bench: Any) -> None:
    first = await bench.create(external_task_id="mine-1")
    await bench.control("PUT", "settings", {"duplicates-allowed": True})
    second = await bench.create(external_task_id="mine-1")
    assert second.status == 200
    assert second.data["task_id"] != first.data["task_id"]
    assert (await bench.get("mine-1")).data["task_id"] == first.data["task_id"]
    await bench.control("PUT", "settings", {"duplicates-allowed": False})
    assert (await bench.create(external_task_id="mine-1")).code == 1201


async def test_an_empty_external_id_is_none(bench: Any) -> None:
    for _ in range(2):
        answer = await bench.create(external_task_id="", callback_url="")
        assert answer.status == 200
        assert answer.data["task_info"] == {}


async def test_the_list_is_newest_first_and_paged(bench: Any) -> None:
    for number in range(3):
        await bench.create(external_task_id=f"mine-{number}")

    async def page(query: str) -> Any:
        answer = await bench.call("GET", f"{CREATE}?{query}")
        return [task["task_info"]["external_task_id"] for task in answer.data]

    assert await page("") == ["mine-2", "mine-1", "mine-0"]
    assert await page("pageNum=1&pageSize=2") == ["mine-2", "mine-1"]
    assert await page("pageNum=2&pageSize=2") == ["mine-0"]
    assert await page("pageNum=1000&pageSize=500") == []


async def test_list_numbers_out_of_range_are_1201(bench: Any) -> None:
    for query in (
        "pageNum=0",
        "pageNum=1001",
        "pageSize=0",
        "pageSize=501",
        "pageNum=x",
        "pageNum=-1",
        "pageNum=1.0",
        "pageNum=",
        "pageNum=1&pageNum=2",
        "page=1",
        "pageSize=" + "9" * 4000,
    ):
        answer = await bench.call("GET", f"{CREATE}?{query}")
        assert (answer.status, answer.code) == (400, 1201), query


async def test_costs_answer_one_pack_that_shrinks(bench: Any) -> None:
    await bench.finished(mode="pro")
    answer = await bench.call("GET", "/account/costs?start_time=1&end_time=2")
    assert answer.data["code"] == 0
    (pack,) = answer.data["resource_pack_subscribe_infos"]
    assert pack["status"] == "online"
    assert (pack["total_quantity"], pack["remaining_quantity"]) == (1000, 997.6)
    named = await bench.call("GET", "/account/costs?start_time=1&end_time=2&resource_pack_name=other")
    assert named.data["resource_pack_subscribe_infos"] == []
    missing = await bench.call("GET", "/account/costs")
    assert missing.code == 1201
    assert "start_time" in missing.message
    assert "end_time" in missing.message


async def test_wrong_methods_are_1202_and_unknown_paths_1203(bench: Any) -> None:
    assert (await bench.call("DELETE", f"{CREATE}/1")).code == 1202
    assert (await bench.call("PUT", CREATE)).code == 1202
    answer = await bench.call("POST", "/v1/videos/text2video", json={})
    assert (answer.status, answer.code) == (404, 1203)
    assert (await bench.call("GET", f"{CREATE}/")).code in {1202, 1203}


async def test_the_parallel_limit_counts_unfinished_tasks(start: Any) -> None:
    bench = await start(parallel_limit=2)
    await bench.control("PUT", "transitions", {"policy": "polls", "polls": 0})
    first = await bench.create()
    await bench.create()
    over = await bench.create(external_task_id="third")
    assert (over.status, over.code) == (429, 1303)
    assert over.message == "parallel task over resource pack limit"
    assert (await bench.get("third")).code == 1201
    await bench.get(first.data["task_id"])
    assert (await bench.create(external_task_id="third")).status == 200


async def test_a_task_nobody_polled_for_a_minute_no_longer_counts(start: Any) -> None:
    bench = await start(parallel_limit=1)
    await bench.control("PUT", "transitions", {"policy": "polls", "polls": 9})
    await bench.create()
    assert (await bench.create()).code == 1303
    bench.clock.seconds += 60
    assert (await bench.create()).status == 200


async def test_statuses_move_by_poll_count(start: Any) -> None:
    bench = await start()
    await bench.control("PUT", "transitions", {"policy": "polls", "polls": 3})
    identifier = (await bench.create()).data["task_id"]
    seen = [(await bench.get(identifier)).data["task_status"] for _ in range(5)]
    assert seen == ["submitted", "processing", "processing", "succeed", "succeed"]


async def test_statuses_move_by_time(start: Any) -> None:
    bench = await start()
    await bench.control("PUT", "transitions", {"policy": "seconds", "seconds": 10})
    identifier = (await bench.create()).data["task_id"]

    async def status() -> Any:
        return (await bench.get(identifier)).data["task_status"]

    seen = [await status()]
    for step in (6, 5):
        bench.clock.seconds += step
        seen.append(await status())
    assert seen == ["submitted", "processing", "succeed"]
    data = (await bench.get(identifier)).data
    assert data["updated_at"] - data["created_at"] == 11_000


async def test_a_task_never_moves_backwards(start: Any) -> None:
    bench = await start()
    identifier = (await bench.finished())["task_id"]
    await bench.control("PUT", "transitions", {"policy": "polls", "polls": 50})
    assert (await bench.get(identifier)).data["task_status"] == "succeed"


async def test_a_cash_account_shows_a_balance_deduction(start: Any) -> None:
    bench = await start(charge="cash")
    data = await bench.finished()
    assert data["final_balance_deduction"] == {"quota": "0.21", "list_price": "0.21"}
    assert "final_unit_deduction" not in data


async def test_every_answer_has_the_date_of_the_sandboxs_clock(bench: Any) -> None:
    for path in (CREATE, "/sandbox/health", "/nowhere"):
        assert (await bench.call("GET", path)).headers["Date"] == "Fri, 15 Jan 2027 08:00:00 GMT"


async def test_the_same_calls_on_a_fresh_state_give_the_same_task_ids(
    bench: Any, start: Any, tmp_path: Path
) -> None:
    other = await start(state_dir=tmp_path / "other")
    ours = [(await bench.create(external_task_id=name)).data["task_id"] for name in ("a", "b")]
    theirs = [(await other.create(external_task_id=name)).data["task_id"] for name in ("a", "b")]
    assert ours == theirs
