"""Scripted faults: each does to one call what it says, and says whether it was met."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from PIL import Image

from kling_once.sandbox.elements import ELEMENTS_PATH, PRESETS_PATH
from kling_once.sandbox.faults import (
    ENDPOINTS,
    KNOWN,
    ODD_CHARGES,
    ODD_IDS,
    parse_fault,
)
from tests.slowness import slowness

CREATE = "/v1/videos/motion-control"


async def lost(awaitable: Any) -> None:
    with pytest.raises((aiohttp.ClientError, ConnectionError, TimeoutError)):
        await awaitable


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("status-500", 500, 5000),
        ("status-503", 503, 5001),
        ("status-504", 504, 5002),
        ("status-429", 429, 1302),
        ("code-1102", 429, 1102),
        ("code-1303", 429, 1303),
        ("code-1004", 401, 1004),
        ("code-1301", 400, 1301),
        ("code-9999", 500, 9999),
    ],
)
async def test_a_refusing_fault_creates_nothing(bench: Any, fault: str, status: int, code: int) -> None:
    await bench.script("create", fault)
    answer = await bench.create(external_task_id="mine")
    assert (answer.status, answer.code) == (status, code)
    assert await bench.tasks() == []
    assert await bench.pending() == []


async def test_status_502_has_no_body(bench: Any) -> None:
    await bench.script("create", "status-502")
    answer = await bench.create()
    assert (answer.status, answer.body) == (502, b"")


@pytest.mark.parametrize("fault", ["status-500-after-accept", "status-502-after-accept", "html-after-accept"])
async def test_an_answer_spoiled_after_accept_leaves_one_task(bench: Any, fault: str) -> None:
    await bench.script("create", fault)
    answer = await bench.create(external_task_id="mine")
    assert not isinstance(answer.body, dict) or answer.code != 0
    assert (await bench.get("mine")).code == 0


async def test_reset_after_accept_leaves_one_task_and_a_null_status(bench: Any) -> None:
    await bench.script("create", "reset-after-accept", "ok")
    await lost(bench.create(external_task_id="mine"))
    assert (await bench.get("mine")).code == 0
    call = (await bench.calls())[0]
    assert call["status"] is None
    assert call["answer"] is None


async def test_reset_before_accept_leaves_none(bench: Any) -> None:
    await bench.script("create", "reset-before-accept")
    await lost(bench.create(external_task_id="mine"))
    assert (await bench.get("mine")).code == 1201


async def test_garbage_json_accepts_and_its_sister_does_not(bench: Any) -> None:
    await bench.script("create", "garbage-json", "garbage-json-before-accept")
    for identifier in ("one", "two"):
        with pytest.raises(ValueError, match="Expecting"):
            await bench.create(external_task_id=identifier)
    assert (await bench.get("one")).code == 0
    assert (await bench.get("two")).code == 1201


async def test_a_stalled_create_whose_client_hangs_up_creates_nothing(bench: Any) -> None:
    busy = slowness()
    await bench.script("create", f"stall-{0.3 * busy:.1f}")
    hasty = aiohttp.ClientTimeout(total=0.1 * busy)
    await lost(bench.call("POST", CREATE, json=bench.fields, timeout=hasty))
    await asyncio.sleep(0.4 * busy)
    assert await bench.tasks() == []
    assert (await bench.calls())[0]["status"] is None


async def test_a_patient_client_of_a_stall_gets_5002_and_no_task(bench: Any) -> None:
    await bench.script("create", "stall-0.05")
    assert (await bench.create()).code == 5002
    assert await bench.tasks() == []


async def test_a_stall_after_accept_creates_at_once(bench: Any) -> None:
    await bench.script("create", "stall-5-after-accept")
    body = bench.fields | {"external_task_id": "mine"}
    hasty = aiohttp.ClientTimeout(total=0.5 * slowness())
    await lost(bench.call("POST", CREATE, json=body, timeout=hasty))
    assert (await bench.get("mine")).code == 0


async def test_accept_late_shows_the_task_only_later_also_after_a_restart(bench: Any, start: Any) -> None:
    await bench.script("create", "accept-late-20")
    await lost(bench.create(external_task_id="mine"))
    assert (await bench.get("mine")).code == 1201
    assert await bench.tasks() == []
    await bench.sandbox.stop()
    again = await start(now=bench.clock)
    bench.clock.seconds += 19.9
    assert (await again.get("mine")).code == 1201
    assert await again.tasks() == []
    bench.clock.seconds += 0.1
    assert (await again.get("mine")).code == 0
    assert len(await again.tasks()) == 1


@pytest.mark.parametrize(("fault", "task_id"), ODD_IDS.items())
async def test_an_odd_task_id_is_in_the_answer_alone(bench: Any, fault: str, task_id: Any) -> None:
    await bench.script("create", fault)
    created = await bench.create(external_task_id="mine")
    assert created.code == 0
    assert created.data.get("task_id") == task_id
    found = await bench.get("mine")
    assert found.data["task_id"].isdigit()
    assert found.data["task_id"] != task_id


async def test_another_external_id_is_answered_to_a_create_and_to_a_query(bench: Any) -> None:
    await bench.script("create", "another-external-id")
    await bench.script("get", "another-external-id")
    created = await bench.create(external_task_id="mine")
    assert created.data["task_info"]["external_task_id"] != "mine"
    assert (await bench.get("mine")).data["task_info"] == created.data["task_info"]
    assert (await bench.get("mine")).data["task_info"]["external_task_id"] == "mine"


async def test_times_in_seconds_are_those_of_1970_for_who_takes_them_for_milliseconds(bench: Any) -> None:
    for endpoint in ("create", "get", "list"):
        await bench.script(endpoint, "created-in-seconds")
    created = await bench.create(external_task_id="mine")
    shown = [created.data, (await bench.get("mine")).data, *(await bench.tasks())]
    assert [task["created_at"] for task in shown] == [int(bench.clock.seconds)] * 3
    assert (await bench.get("mine")).data["created_at"] == int(bench.clock.seconds) * 1000


@pytest.mark.parametrize("head", ["charge", "task-failed-charge"])
@pytest.mark.parametrize(("kind", "value"), ODD_CHARGES.items())
async def test_a_deduction_that_is_no_number(bench: Any, head: str, kind: str, value: Any) -> None:
    await bench.script("create", f"{head}-{kind}")
    data = await bench.finished()
    assert data["task_status"] == ("failed" if head.startswith("task") else "succeed")
    assert data["final_unit_deduction"] == value


async def test_a_failed_tasks_reason_is_in_its_status_message_alone(bench: Any) -> None:
    await bench.script("create", "task-failed-input")
    created = await bench.create()
    answer = await bench.get(created.data["task_id"])
    assert (answer.status, answer.code, answer.message) == (200, 0, "SUCCEED")
    assert answer.data["task_status"] == "failed"
    assert "No complete upper body" in answer.data["task_status_msg"]


async def test_an_odd_reason_holds_what_no_terminal_and_no_database_should_see(bench: Any) -> None:
    await bench.script("create", "task-failed-odd-text")
    reason = (await bench.finished())["task_status_msg"]
    assert "\x1b[2J" in reason
    with pytest.raises(UnicodeEncodeError):
        reason.encode()


async def element_of(bench: Any) -> str:
    """Return the path of an element's task."""
    picture = bench.fields["image_url"]
    buffer = BytesIO()
    Image.new("RGB", (320, 320)).save(buffer, "PNG")
    other = await bench.upload(buffer.getvalue())
    materials = {"frontal_image": picture, "refer_images": [{"image_url": other}]}
    body = {
        "element_name": "Mia",
        "element_description": "In orange",
        "reference_type": "image_refer",
        "element_image_list": materials,
    }
    answer = await bench.call("POST", ELEMENTS_PATH, json=body)
    return f"{ELEMENTS_PATH}/{answer.data['task_id']}"


@pytest.mark.parametrize(
    "endpoint", [name for name in ENDPOINTS if not name.endswith("-element")] + ["get-element"]
)
async def test_a_trickle_is_the_true_answer_byte_by_byte(bench: Any, endpoint: str) -> None:
    task = await bench.finished(external_task_id="first")
    paths = {"get": f"{CREATE}/first", "list": CREATE, "costs": "/account/costs?start_time=0&end_time=1"}
    paths |= {"list-elements": ELEMENTS_PATH, "list-presets": PRESETS_PATH}
    paths["get-element"] = await element_of(bench)
    paths["result"] = task["task_result"]["videos"][0]["url"]
    await bench.script(endpoint, "trickle-0.0001")
    if endpoint == "create":
        assert (await bench.create(external_task_id="mine")).code == 0
        assert (await bench.get("mine")).code == 0
        await bench.script(endpoint, "trickle-2")
        await lost(bench.call("POST", CREATE, json=bench.fields, timeout=aiohttp.ClientTimeout(total=0.5)))
        return
    if endpoint != "result":  # a video is long
        assert (await bench.call("GET", paths[endpoint])).code == 0
        await bench.script(endpoint, "trickle-2")
    await lost(bench.call("GET", paths[endpoint], timeout=aiohttp.ClientTimeout(total=0.3)))


async def test_faults_of_get_act_on_a_task_that_exists(bench: Any) -> None:
    await bench.script("get", "not-found-once", "unknown-status")
    assert (await bench.get("mine")).code == 1201
    assert await bench.pending() == ["not-found-once", "unknown-status"]
    await bench.create(external_task_id="mine")
    assert (await bench.get("mine")).code == 1201
    assert (await bench.get("mine")).data["task_status"] == "reviewing"
    assert (await bench.get("mine")).data["task_status"] == "succeed"
    assert await bench.pending() == []


async def test_wrong_owner_answers_somebody_elses_task(bench: Any) -> None:
    created = (await bench.create(external_task_id="mine")).data
    await bench.script("get", "wrong-owner")
    data = (await bench.get("mine")).data
    assert data["task_info"]["external_task_id"] != "mine"
    assert data["task_id"] != created["task_id"]


@pytest.mark.parametrize(
    ("fault", "words", "charged"),
    [
        ("task-failed", "internal error", False),
        ("task-failed-input", "No complete upper body detected in the image", False),
        ("task-failed-charged", "internal error", True),
    ],
)
async def test_a_task_that_fails_says_why(bench: Any, fault: str, words: str, charged: bool) -> None:
    await bench.script("create", fault)
    data = await bench.finished()
    assert data["task_status"] == "failed"
    assert words in data["task_status_msg"]
    assert data["task_result"] == {}
    assert ("final_unit_deduction" in data) is charged


async def test_short_output_is_shorter_and_charged_in_full(bench: Any, draw_clip: Any) -> None:
    await bench.script("create", "short-output", "short-output")
    data = await bench.finished(video_url=await bench.upload(draw_clip(60)))
    assert data["task_result"]["videos"][0]["duration"] == "3.6"
    assert data["final_unit_deduction"] == "3"
    data = await bench.finished(video_url=await bench.upload(draw_clip(40)))
    assert data["task_result"]["videos"][0]["duration"] == "3"


async def test_a_refused_create_leaves_an_after_accept_fault_waiting(bench: Any) -> None:
    await bench.script("create", "reset-after-accept", "status-500")
    assert (await bench.create(mode="4k")).code == 1201
    assert await bench.pending() == ["reset-after-accept", "status-500"]
    await lost(bench.create())
    assert (await bench.create()).status == 500
    assert await bench.pending() == []


@pytest.mark.parametrize("endpoint", ["get", "list", "costs"])
async def test_reads_can_be_spoiled(bench: Any, endpoint: str) -> None:
    identifier = (await bench.create()).data["task_id"]
    path = {
        "get": f"{CREATE}/{identifier}",
        "list": CREATE,
        "costs": "/account/costs?start_time=1&end_time=2",
    }[endpoint]
    await bench.script(endpoint, "reset", "html", "garbage-json", "code-5000", "stall-0.01", "ok")
    await lost(bench.call("GET", path))
    assert b"<!doctype html>" in (await bench.call("GET", path)).body
    with pytest.raises(ValueError, match="Expecting"):
        await bench.call("GET", path)
    assert (await bench.call("GET", path)).code == 5000
    assert (await bench.call("GET", path)).code == 0
    assert await bench.pending() == []


async def test_a_script_replaces_what_is_pending_and_remembers_what_was_met(bench: Any) -> None:
    await bench.script("create", "status-500", "status-501")
    await bench.create()
    await bench.script("create", "ok", "status-502")
    answer = (await bench.control("GET", "faults")).body
    assert answer["met"] == [{"endpoint": "create", "fault": "status-500"}]
    assert answer["pending"] == [{"endpoint": "create", "fault": "status-502"}]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"endpoint": "create"},
        {"endpoint": "delete", "script": []},
        {"endpoint": ["create"], "script": []},
        {"endpoint": "create", "script": "ok"},
        {"endpoint": "create", "script": [1]},
        {"endpoint": "create", "script": ["explode"]},
        {"endpoint": "get", "script": ["task-failed"]},
        {"endpoint": "create", "script": ["status-N"]},
        {"endpoint": "create", "script": ["status-200"]},
        {"endpoint": "create", "script": ["status-50.5"]},
        {"endpoint": "create", "script": ["stall-1e9"]},
        {"endpoint": "create", "script": ["stall-99999"]},
        {"endpoint": "create", "script": ["code-0"]},
        {"endpoint": "create", "script": ["status-500 "]},
        {"endpoint": "create", "script": ["ok"], "more": 1},
    ],
)
async def test_a_wrong_script_is_400_in_words(bench: Any, body: Any) -> None:
    answer = await bench.control("POST", "faults", body)
    assert answer.status == 400
    assert answer.body["error"]


async def test_an_unknown_fault_is_answered_with_the_known_ones(bench: Any) -> None:
    answer = await bench.control("POST", "faults", {"endpoint": "create", "script": ["explode"]})
    assert "accept-late-S" in answer.body["error"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_known_name_can_be_scripted(endpoint: str) -> None:
    for name in KNOWN[endpoint]:
        fault = parse_fault(name.replace("-N", "-500").replace("-S", "-2.5"), endpoint)
        assert fault.kind == name


async def test_a_stall_holds_up_nobody_else(bench: Any) -> None:
    await bench.script("create", "stall-3")
    waiting = asyncio.create_task(bench.create())
    await asyncio.sleep(0.05)
    assert (await bench.create()).code == 0
    assert not waiting.done()
    await waiting
