"""The vendor's second API generation: what is sent, what is read, and how looks are gathered."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from kling_once.accounts.accounts import ApiKey
from kling_once.api.models import TaskStatus
from kling_once.api.motion_control import MOTION_SETTINGS
from kling_once.api.standard import IDS_PER_CALL, StandardClient
from kling_once.clock import SystemClock
from kling_once.errors import InvalidValue, ResourceMissing, ServerFault, UnreadableAnswer
from kling_once.jobs.tasks import charge_columns
from tests.api.conftest import API_KEY
from tests.create_request import create_request
from tests.slowness import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TASK = {"id": "8001", "status": "submitted", "create_time": 1_800_000_000_000, "external_id": "mine-1"}
POLL_SECONDS = 0.5


def ok(data: Any) -> bytes:
    return json.dumps({"code": 0, "message": "", "request_id": "req-1", "data": data}).encode()


@pytest.fixture
async def standard(serve: Any) -> AsyncIterator[Callable[[Any], Any]]:
    """Connect a client to a server that answers with what a function of the request returns."""
    opened = []

    async def connect(answer: Callable[[web.Request], Any]) -> tuple[StandardClient, Any]:
        async def handler(request: web.Request) -> web.Response:
            made = answer(request)
            if isinstance(made, web.Response):
                return made
            return web.Response(body=ok(made), content_type="application/json")

        server = await serve(handler)
        connection = StandardClient.connect(
            server.origin, ApiKey(API_KEY), SystemClock(), poll_seconds=POLL_SECONDS
        )
        client = await connection.__aenter__()
        opened.append(connection)
        return client, server

    yield connect
    for connection in opened:
        await connection.__aexit__(None, None, None)


def asked(request: web.Request) -> list[str]:
    return request.query["task_ids"].split(",")


async def test_a_create_sends_exactly_the_documented_body(standard: Any) -> None:
    client, server = await standard(lambda _request: TASK)
    answer = await client.create(
        create_request(
            model_name="kling-v3",
            prompt="@element_1 on a roof",
            element_id="829836802793406551",
            watermark=True,
            callback_url="https://back.example/kling",
            external_task_id="mine-1",
            keep_original_sound=False,
            mode="pro",
            image_url="QUJD",
            video_url="https://clips.example/a.mp4",
        )
    )
    assert server.requests[0].path == "/motion-control/kling-3.0"
    assert server.authorizations == [f"Bearer {API_KEY}"]
    assert json.loads(server.bodies[0]) == {
        "contents": [
            {"type": "prompt", "text": "@element_1 on a roof"},
            {"type": "element", "element_id": "829836802793406551", "id": "element_1"},
            {"type": "image", "url": "QUJD"},
            {"type": "video", "url": "https://clips.example/a.mp4"},
        ],
        "settings": {"character_orientation": "video", "audio": "off", "resolution": "1080p"},
        "options": {
            "watermark_info": {"enabled": True},
            "callback_url": "https://back.example/kling",
            "external_task_id": "mine-1",
        },
    }
    assert answer.value.task_id == "8001"
    assert answer.value.task_info.external_task_id == "mine-1"
    assert answer.value.status is TaskStatus.SUBMITTED


async def test_an_empty_prompt_is_left_out_and_2_6_has_its_own_path(standard: Any) -> None:
    client, server = await standard(lambda _request: TASK)
    named = {"external_task_id": "mine-1"}
    await client.create(create_request(image_url="QUJD", video_url="https://clips.example/a.mp4", **named))
    assert server.requests[0].path == "/motion-control/kling-2.6"
    body = json.loads(server.bodies[0])
    assert [item["type"] for item in body["contents"]] == ["image", "video"]
    assert body["settings"] == {
        "resolution": "720p",
        "character_orientation": "video",
        "audio": "original",
    }


async def test_a_finished_task_is_read_as_those_of_the_first_generation(standard: Any) -> None:
    video = {
        "type": "video",
        "id": "v1",
        "url": "https://r.example/v.mp4",
        "watermark_url": "https://r.example/w.mp4",
        "duration": "4.5",
    }
    done = TASK | {"status": "succeeded", "outputs": [{"type": "image", "url": "https://r.example/i"}, video]}
    client, _ = await standard(lambda _request: [done])
    task = (await client.get("8001")).value
    assert task.status is TaskStatus.SUCCEED
    assert task.video is not None
    assert (task.video.url, task.video.duration) == ("https://r.example/v.mp4", Decimal("4.5"))


async def test_a_failed_task_gives_its_own_reason(standard: Any) -> None:
    client, _ = await standard(
        lambda _request: [TASK | {"status": "failed", "message": "Image pixel is invalid"}]
    )
    task = (await client.get("8001")).value
    assert task.status is TaskStatus.FAILED
    assert task.failure_reason == "Image pixel is invalid."


UNITS = {"charge_type": "unit", "amount": "8", "package_type": "video"}
CASH = {"charge_type": "cash", "cash_type": "balance", "amount": "1.12", "currency": "USD"}


@pytest.mark.parametrize(
    ("billing", "units", "cash", "currency"),
    [
        ([UNITS, UNITS | {"amount": "3"}], "11", None, None),
        ([UNITS, UNITS | {"amount": "0"}], "8", None, None),
        ([UNITS, CASH], "8", "1.12", "USD"),
        ([UNITS | {"amount": "0"}, CASH], None, "1.12", "USD"),
        ([CASH, CASH], None, "2.24", "USD"),
        ([CASH, CASH | {"cash_type": "test_balance", "amount": "0"}], None, "1.12", "USD"),
        ([UNITS | {"amount": None}], None, None, None),
        ([UNITS | {"amount": 0}], "0", None, None),
        ([UNITS | {"amount": "0"}], "0", None, None),
        ([UNITS | {"amount": False}], None, None, None),
        ([CASH | {"amount": 0}], None, "0", "USD"),
        ([CASH | {"amount": 0}, CASH | {"amount": "0", "currency": "CNY"}], None, "0", "CNY"),
        ([None, {}, UNITS], "8", None, None),
        ([UNITS], "8", None, None),
        ([CASH], None, "1.12", "USD"),
        ([CASH | {"currency": "CNY"}], None, "1.12", "CNY"),
        ([CASH | {"cash_type": "test_balance"}], None, "1.12", "USD of a test balance"),
        ([], None, None, None),
        (None, None, None, None),
    ],
)
async def test_a_charge_is_units_or_money_by_its_type(
    standard: Any, billing: Any, units: str | None, cash: str | None, currency: str | None
) -> None:
    client, _ = await standard(lambda _request: [TASK | {"status": "succeeded", "billing": billing}])
    columns = charge_columns((await client.get("8001")).value, "global")
    assert columns == {
        "units_charged": units and Decimal(units),
        "cash_charged": cash and Decimal(cash),
        "currency": currency,
        "unread_charge": None,
    }


@pytest.mark.parametrize(
    "billing",
    [
        "8",
        8,
        {"unit": "8"},
        ["8"],
        [UNITS | {"charge_type": "units"}],
        [UNITS, UNITS | {"charge_type": "points"}],
        [UNITS, {"charge_type": "unit", "price": "8"}],
        [UNITS | {"charge_type": ["unit"]}],
        [UNITS | {"amount": "8 units"}],
        [UNITS | {"amount": ["8"]}],
        [UNITS | {"amount": "-8"}],
        [CASH, CASH | {"currency": "CNY"}],
        [CASH, CASH | {"cash_type": "test_balance"}],
    ],
    ids=str,
)
async def test_billing_that_cannot_be_added_up_is_a_charge_of_unknown_size(
    standard: Any, billing: Any
) -> None:
    client, _ = await standard(lambda _request: [TASK | {"status": "succeeded", "billing": billing}])
    columns = charge_columns((await client.get("8001")).value, "global")
    assert (columns["units_charged"], columns["cash_charged"]) == (None, None)
    assert "8" in columns["unread_charge"] or "1.12" in columns["unread_charge"]


async def test_an_empty_list_means_that_the_task_is_not_known(standard: Any) -> None:
    client, server = await standard(lambda _request: [])
    with pytest.raises(client.absent):
        await client.find("ko-none-1")
    assert dict(server.requests[0].query) == {"external_task_ids": "ko-none-1"}
    with pytest.raises(ResourceMissing):
        await client.get_task("8001")


async def test_a_refused_query_does_not_mean_that_the_task_is_not_known(standard: Any) -> None:
    refusal = json.dumps({"code": 1201, "message": "task_ids or external_task_ids is required"})
    client, _ = await standard(lambda _request: web.Response(status=400, text=refusal))
    with pytest.raises(InvalidValue) as caught:
        await client.find("ko-none-1")
    assert not isinstance(caught.value, client.absent)


@pytest.mark.parametrize("data", [None, {}, "nothing", [{"status": "submitted"}], [7]])
async def test_an_answer_without_a_list_of_tasks_is_unreadable(standard: Any, data: Any) -> None:
    client, _ = await standard(lambda _request: data)
    with pytest.raises(UnreadableAnswer):
        await client.find("mine-1")


async def test_a_name_is_looked_for_as_a_task_id_and_as_an_external_id(standard: Any) -> None:
    client, _ = await standard(lambda request: [TASK] if "external_task_ids" in request.query else [])
    assert (await client.get("mine-1")).value.task_id == "8001"


async def test_a_later_page_of_the_list_follows_the_cursor(standard: Any) -> None:
    pages = iter(
        [
            {"result": [TASK], "count": 1, "has_more": True, "next_cursor": "next"},
            {"result": [TASK | {"id": "8002"}], "count": 1, "has_more": False, "next_cursor": ""},
        ]
    )
    client, server = await standard(lambda _request: next(pages))
    answer = await client.list(2, 1)
    assert [task.task_id for task in answer.value] == ["8002"]
    assert [json.loads(body).get("cursor") for body in server.bodies] == [None, "next"]


async def test_a_page_past_the_last_is_empty(standard: Any) -> None:
    client, _ = await standard(lambda _request: {"result": [TASK], "has_more": False})
    assert (await client.list(2, 1)).value == ()


async def wait_for_all(client: StandardClient, names: list[str], polls: int) -> None:
    async def wait(name: str) -> None:
        for _ in range(polls):
            assert (await client.get_task(name)).value.task_id == name
            await asyncio.sleep(POLL_SECONDS)

    await asyncio.gather(*map(wait, names))


async def test_sixty_waiting_tasks_cost_three_calls_a_poll(standard: Any) -> None:
    client, server = await standard(lambda request: [TASK | {"id": name} for name in asked(request)])
    await wait_for_all(client, [f"80{number:02}" for number in range(60)], polls=3)
    assert len(server.requests) == 9
    assert all(len(asked(request)) == IDS_PER_CALL for request in server.requests)


async def test_a_task_that_joins_later_shares_the_calls_of_the_others(standard: Any) -> None:
    client, server = await standard(lambda request: [TASK | {"id": name} for name in asked(request)])

    async def wait_until_shared(name: str) -> None:
        while not any(sorted(asked(request)) == ["8001", "8002", "8009"] for request in server.requests):
            assert (await client.get_task(name)).value.task_id == name
            await asyncio.sleep(POLL_SECONDS)

    async def late() -> None:
        await asyncio.sleep(POLL_SECONDS / 2)
        await wait_until_shared("8009")

    async with asyncio.timeout(30):
        await asyncio.gather(wait_until_shared("8001"), wait_until_shared("8002"), late())


async def test_one_unknown_id_of_twenty_spoils_nothing(standard: Any) -> None:
    names = [f"80{number:02}" for number in range(20)]
    client, _ = await standard(
        lambda request: [TASK | {"id": name} for name in asked(request) if name != "8007"]
    )
    answers = await asyncio.gather(*map(client.get_task, names), return_exceptions=True)
    assert [type(answer) for answer in answers].count(ResourceMissing) == 1
    assert isinstance(answers[7], ResourceMissing)
    found = [answer.value.task_id for answer in answers if not isinstance(answer, BaseException)]
    assert found == [name for name in names if name != "8007"]


async def test_a_call_that_fails_tells_each_task_with_an_error_of_its_own(standard: Any) -> None:
    broken = json.dumps({"code": 5000, "message": "x"})
    client, _ = await standard(lambda _request: web.Response(status=500, text=broken))
    first, second = await asyncio.gather(
        client.get_task("8001"), client.get_task("8002"), return_exceptions=True
    )
    assert isinstance(first, ServerFault)
    assert isinstance(second, ServerFault)
    assert first is not second
    assert str(first) == str(second)
    first.task_id = "8001"
    assert second.task_id is None


async def test_a_look_that_is_given_up_leaves_the_others_alone(standard: Any) -> None:
    client, _ = await standard(lambda request: [TASK | {"id": name} for name in asked(request)])
    given_up = asyncio.create_task(client.get_task("8001"))
    other = asyncio.create_task(client.get_task("8002"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert (await other).value.task_id == "8002"


async def test_a_task_with_news_is_looked_at_at_once(standard: Any) -> None:
    client, server = await standard(lambda request: [TASK | {"id": name} for name in asked(request)])
    await client.get_task("8001")
    watch = Stopwatch()
    await client.get_task("8001")
    assert watch.seconds() < POLL_SECONDS
    assert len(server.requests) == 2


def test_what_one_generation_is_told_the_other_is_told_too() -> None:
    """A setting without its words for the second would be left out there, and nobody would notice."""
    told_to_one = {item.name for item in MOTION_SETTINGS if (item.wire is None) != (item.standard is None)}
    assert told_to_one == {"model"}, "the second names the model in the path"
