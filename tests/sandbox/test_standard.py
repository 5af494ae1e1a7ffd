"""The standard generation: the documented bodies, field by field, over the tasks of both generations."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import jwt
import pytest

from kling_once.sandbox import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY

KLING_3 = "/motion-control/kling-3.0"
KLING_26 = "/motion-control/kling-2.6"


def body_of(bench: Any, *more: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return the body of the official example, with this bench's files."""
    return {
        "contents": [
            {"type": "prompt", "text": "She dances."},
            {"type": "image", "url": bench.fields["image_url"]},
            {"type": "video", "url": bench.fields["video_url"]},
            *more,
        ],
        "settings": {"character_orientation": "video", "audio": "original", "resolution": "720p"},
        "options": {
            "callback_url": "",
            "external_task_id": "",
            "watermark_info": {"enabled": False},
        }
        | options,
    }


async def create(bench: Any, path: str = KLING_3, *more: dict[str, Any], **options: Any) -> Any:
    return await bench.call("POST", path, json=body_of(bench, *more, **options))


async def ids_of(bench: Any, query: str) -> list[str]:
    return [task["id"] for task in (await bench.call("GET", f"/tasks?{query}")).data]


async def test_a_create_and_its_task_have_the_documented_fields(bench: Any) -> None:
    created = await create(bench, external_task_id="mine", watermark_info={"enabled": True})
    assert created.status == 200
    assert set(created.data) == {"id", "status", "create_time", "update_time", "external_id"}
    assert (created.data["status"], created.data["external_id"]) == ("submitted", "mine")
    (task,) = (await bench.call("GET", "/tasks?external_task_ids=mine")).data
    assert set(task) == {*created.data, "message", "outputs", "billing"}
    assert (task["id"], task["status"], task["message"]) == (created.data["id"], "succeeded", "")
    (video,) = task["outputs"]
    assert set(video) == {"type", "id", "url", "watermark_url", "duration"}
    assert (video["type"], video["duration"]) == ("video", "3")
    assert task["billing"] == [{"charge_type": "unit", "package_type": "video", "amount": "2.7"}]


@pytest.mark.parametrize(
    ("charge", "amount", "currency", "cash_type"),
    [
        ("cash", "0.378", "USD", "balance"),
        ("cash-cny", "2.7", "CNY", "balance"),
        ("test-balance", "0.378", "USD", "test_balance"),
    ],
)
async def test_cash_names_its_currency(
    start: Any, charge: str, amount: str, currency: str, cash_type: str
) -> None:
    bench = await start(charge=charge)
    await create(bench, external_task_id="mine")
    (task,) = (await bench.call("GET", "/tasks?external_task_ids=mine")).data
    assert task["billing"] == [
        {
            "charge_type": "cash",
            "cash_type": cash_type,
            "currency": currency,
            "amount": amount,
            "list_price": amount,
        }
    ]
    legacy = await bench.finished()
    assert Decimal(legacy["final_balance_deduction"]["quota"]) < Decimal(amount)


async def test_no_charge_is_an_empty_list(start: Any) -> None:
    bench = await start(charge="none")
    await create(bench, external_task_id="mine")
    assert (await bench.call("GET", "/tasks?external_task_ids=mine")).data[0]["billing"] == []
    assert not {"final_unit_deduction", "final_balance_deduction"} & set(await bench.finished())


async def test_access_key_and_secret_key_are_refused(bench: Any) -> None:
    now = int(bench.clock.seconds)
    claims = {"iss": DEFAULT_ACCESS_KEY, "exp": now + 1800, "nbf": now - 5}
    headers = {"Authorization": f"Bearer {jwt.encode(claims, DEFAULT_SECRET_KEY, 'HS256')}"}
    for method, path in (("POST", KLING_3), ("GET", "/tasks?task_ids=1"), ("POST", "/tasks")):
        answer = await bench.call(method, path, json=body_of(bench), headers=headers)
        assert (answer.status, answer.code) == (401, 1002)
        assert "AK/SK" in answer.message


async def test_external_ids_are_unique_over_both_generations_unless_switched_off(bench: Any) -> None:
    assert (await create(bench, external_task_id="mine")).code == 0
    assert (await bench.create(external_task_id="mine")).code == 1201
    again = await create(bench, KLING_26, external_task_id="mine")
    assert (again.status, again.code) == (400, 1201)
    assert "already exists" in again.message
    await bench.control("PUT", "settings", {"duplicates-allowed": True})
    assert (await create(bench, external_task_id="mine")).code == 0
    assert (await bench.create(external_task_id="mine")).code == 0


async def test_queries_find_tasks_of_both_generations_and_leave_unknown_ids_out(bench: Any) -> None:
    new = (await create(bench, external_task_id="new")).data["id"]
    old = (await bench.create(external_task_id="old")).data["task_id"]
    assert await ids_of(bench, f"task_ids={old},{new},unknown") == [old, new]
    assert await ids_of(bench, "external_task_ids=old,new,unknown") == [old, new]
    assert await ids_of(bench, "task_ids=unknown") == []
    assert (await bench.get("new")).code == 1201
    assert [task["task_id"] for task in await bench.tasks()] == [old]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "task_ids or external_task_ids is required"),
        ("task_ids=", "task_ids or external_task_ids is required"),
        ("task_ids=1&external_task_ids=2", "only one of"),
        ("task_ids=" + ",".join(map(str, range(21))), "at most 20 ids, got 21"),
        ("start_time=1", "unknown query field"),
    ],
)
async def test_a_query_without_ids_or_with_too_many_is_1201(bench: Any, query: str, said: str) -> None:
    answer = await bench.call("GET", f"/tasks?{query}")
    assert (answer.status, answer.code) == (400, 1201)
    assert said in answer.message


async def test_a_window_is_paged_by_its_cursor(bench: Any) -> None:
    made = []
    for _ in range(5):
        made.append((await create(bench)).data["id"])
        bench.clock.seconds += 1
    seen, cursor = [], ""
    while True:
        answer = await bench.call("POST", "/tasks", json={"cursor": cursor, "limit": 2})
        seen += [task["id"] for task in answer.data["result"]]
        assert answer.data["count"] == len(answer.data["result"])
        if not answer.data["has_more"]:
            break
        cursor = answer.data["next_cursor"]
    assert seen == made[::-1]


async def test_a_window_has_times_and_filters(bench: Any) -> None:
    start = int(bench.clock.seconds * 1000)
    first = (await create(bench)).data["id"]
    bench.clock.seconds += 10

    async def listed(**fields: Any) -> list[str]:
        return [task["id"] for task in (await bench.call("POST", "/tasks", json=fields)).data["result"]]

    second = (await create(bench)).data["id"]
    assert await listed(start_time=start + 1) == [second]
    assert await listed(end_time=str(start)) == [first]
    assert await listed(filters=[{"key": "status", "values": ["succeeded"]}]) == [second, first]
    assert await listed(filters=[{"key": "status", "values": ["failed"]}]) == []
    assert await listed(filters=[{"key": "product_type", "values": ["image"]}]) == []


@pytest.mark.parametrize(
    "body",
    [[], {"limit": 501}, {"limit": True}, {"cursor": 5}, {"filters": {}}, {"page": 1}, {"start_time": -1}],
)
async def test_a_window_that_is_none_is_1201(bench: Any, body: Any) -> None:
    assert (await bench.call("POST", "/tasks", json=body)).code == 1201


async def test_every_wrong_field_is_named(bench: Any) -> None:
    body = {
        "contents": [
            {"type": "prompt", "text": "x" * 2501},
            {"type": "image", "url": "data:image/png;base64,AA"},
            {"type": "image", "url": bench.fields["image_url"]},
            {"type": "sound"},
            {"type": "element", "element_id": 5, "id": "her"},
        ],
        "settings": {"resolution": "4k", "mode": "pro"},
        "options": {"external_task_id": 5, "watermark_info": {"enabled": "yes"}},
    }
    answer = await bench.call("POST", KLING_26, json=body)
    assert answer.code == 1201
    for said in (
        "contents[0].text: cannot exceed 2500",
        "contents[1].url: must be raw base64",
        "contents[2].type: there can be one image",
        "contents[3].type: must be one of",
        "contents[4].type: this model takes no element",
        "contents[4].element_id: must be a string of digits",
        "contents: an item of type video is required",
        "settings.'mode': unknown field",
        "settings.character_orientation: is required",
        "settings.resolution: must be one of 720p, 1080p",
        "options.external_task_id: must be a string",
        "options.watermark_info.enabled: must be a boolean",
    ):
        assert said in answer.message


async def test_an_element_of_18_digits_is_taken_as_text(bench: Any) -> None:
    element = {"type": "element", "element_id": "829836802793406551", "id": "her"}
    assert (await create(bench, KLING_3, element)).code == 0


async def test_the_price_follows_model_and_resolution(bench: Any) -> None:
    body = body_of(bench) | {"settings": {"character_orientation": "image", "resolution": "1080p"}}
    created = await bench.call("POST", KLING_26, json=body)
    (task,) = (await bench.call("GET", f"/tasks?task_ids={created.data['id']}")).data
    assert task["billing"][0]["amount"] == "2.4"


async def test_faults_act_on_the_standard_endpoints_too(bench: Any) -> None:
    await bench.script(
        "create", "task-id-slash", "another-external-id", "created-in-seconds", "task-failed-input"
    )
    assert "/" in (await create(bench, external_task_id="a")).data["id"]
    assert (await create(bench, external_task_id="b")).data["external_id"] != "b"
    assert (await create(bench, external_task_id="c")).data["create_time"] == int(bench.clock.seconds)
    await create(bench, external_task_id="d")
    await bench.script("get", "not-found-once", "unknown-status", "wrong-owner", "code-1302")
    assert await ids_of(bench, "external_task_ids=a") == []
    assert (await bench.call("GET", "/tasks?external_task_ids=a")).data[0]["status"] == "reviewing"
    assert (await bench.call("GET", "/tasks?external_task_ids=a")).data[0]["external_id"] != "a"
    assert (await bench.call("GET", "/tasks?external_task_ids=a")).code == 1302
    (failed,) = (await bench.call("GET", "/tasks?external_task_ids=d")).data
    assert (failed["status"], failed["outputs"], failed["billing"]) == ("failed", [], [])
    assert "No complete upper body" in failed["message"]
    assert await bench.pending() == []


async def test_twenty_ids_are_one_call(bench: Any) -> None:
    ids = [(await create(bench)).data["id"] for _ in range(20)]
    before = len(await bench.calls())
    assert await ids_of(bench, "task_ids=" + ",".join(ids)) == ids
    assert len(await bench.calls()) == before + 1


async def test_what_is_no_json_is_1200_there_too(bench: Any) -> None:
    headers = bench.headers | {"Content-Type": "application/json"}
    for path in (KLING_3, "/tasks"):
        assert (await bench.call("POST", path, data=b"{", headers=headers)).code == 1200
        text = await bench.call("POST", path, data=json.dumps({}), headers=bench.headers)
        assert text.code == 1200
    assert (await bench.call("GET", KLING_3)).code == 1202
