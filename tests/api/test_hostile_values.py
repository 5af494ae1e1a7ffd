"""What Kling says is checked and cleaned where it comes in, once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from kling_once.api.client import OtherTask
from kling_once.api.models import Task
from kling_once.errors import AnswerLost, UnreadableAnswer
from tests.create_request import create_request
from tests.slowness import Stopwatch

EXTERNAL_ID = "ko-0123456789abcdef0123456789abcdef-1"


def request() -> Any:
    return create_request(image_url="QUJD", video_url="https://x/y", external_task_id=EXTERNAL_ID, mode="std")


def answer(**data: Any) -> dict[str, Any]:
    return {"code": 0, "message": "SUCCEED", "request_id": "r", "data": data}


async def serve_data(serve: Any, **data: Any) -> Any:
    async def say(_request: web.Request) -> web.StreamResponse:
        return web.json_response(answer(**data))

    return await serve(say)


@pytest.mark.parametrize("task_id", ["a/b", "a+b=", "a b", "x" * 129, ".", "..", "\x1b[31m", "a\ud800"])
async def test_a_create_named_by_an_id_that_cannot_be_asked_for_is_lost(
    connect: Any, serve: Any, task_id: str
) -> None:
    server = await serve_data(serve, task_id=task_id, task_status="submitted")
    with pytest.raises(UnreadableAnswer) as caught:
        await (await connect(server.origin)).create(request())
    assert len(server.requests) == 1
    assert caught.value.message.isprintable()


async def test_a_create_answered_with_another_external_id_is_lost(connect: Any, serve: Any) -> None:
    server = await serve_data(serve, task_id="8001", task_info={"external_task_id": "somebody-elses"})
    with pytest.raises(OtherTask):
        await (await connect(server.origin)).create(request())
    assert len(server.requests) == 1


async def test_a_create_that_names_no_external_id_is_ours(connect: Any, serve: Any) -> None:
    server = await serve_data(serve, task_id="8001", task_status="submitted")
    assert (await (await connect(server.origin)).create(request())).value.task_id == "8001"


async def test_a_look_answered_with_another_external_id_is_about_another_task(
    connect: Any, serve: Any
) -> None:
    server = await serve_data(serve, task_id="8001", task_info={"external_task_id": "somebody-elses"})
    client = await connect(server.origin)
    with pytest.raises(OtherTask):
        await client.get_task("8001", EXTERNAL_ID)
    assert (await client.get_task("8001")).value.task_id == "8001"


async def test_a_task_may_be_asked_for_by_its_external_id(connect: Any, serve: Any) -> None:
    server = await serve_data(serve, task_id="a/b", task_info={"external_task_id": EXTERNAL_ID})
    assert not (await (await connect(server.origin)).get_task(EXTERNAL_ID)).value.is_askable


async def test_a_create_that_is_answered_byte_by_byte_ends_at_its_limit(connect: Any, serve: Any) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    server = await serve(drip)
    client = await connect(server.origin, create_seconds=0.3)
    watch = Stopwatch()
    with pytest.raises(AnswerLost, match="did not answer in time"):
        await client.create(request())
    assert watch.seconds() < 10
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("units", "balance", "charge"),
    [
        (None, None, (None, None, "")),
        ("", {}, (None, None, "")),
        ("0", None, ("0", None, "")),
        ("-0", None, ("0", None, "")),
        ("0", {"quota": "0"}, ("0", "0", "")),
        ("0", {"quota": "1.5"}, (None, "1.5", "")),
        ("2", {"quota": "1.5", "list_price": "2"}, ("2", "1.5", "")),
        ([], {"quota": "", "list_price": ""}, (None, None, "")),
        ("2 units", None, (None, None, "2 units")),
        (["2"], None, (None, None, "['2']")),
        ({"units": 2}, None, (None, None, "{'units': 2}")),
        ("NaN", None, (None, None, "NaN")),
        (True, None, (None, None, "True")),
        ("1e99", None, (None, None, "1e99")),
        ("-2", None, (None, None, "-2")),
        ("-2", {"quota": "0"}, (None, None, "-2")),
        ("-2", {"quota": "1.5"}, (None, "1.5", "-2")),
        ("0.0000000000000000", None, ("0E-16", None, "")),
        (None, "2 USD", (None, None, "2 USD")),
        ("0", "0.5", (None, "0.5", "")),
        ("0", 0.5, (None, "0.5", "")),
        ("0", ["0.5"], (None, None, "['0.5']")),
        ("0", "0", ("0", "0", "")),
        (None, {"quota": "-0.5"}, (None, None, "-0.5")),
        (None, {"quota": "2 USD"}, (None, None, "2 USD")),
        ("0", {"quota": "-1.5"}, (None, None, "-1.5")),
        ("0", {"quota": "2 USD"}, (None, None, "2 USD")),
        ("2", {"quota": "2 USD"}, ("2", None, "2 USD")),
        (None, {"amount": "2"}, (None, None, "{'amount': '2'}")),
        ("2\x1b[31m units", None, (None, None, "2 [31m units")),
    ],
)
def test_a_deduction_that_is_no_charge_is_one_of_unknown_size_and_makes_no_task_free(
    units: Any, balance: Any, charge: tuple[str | None, str | None, str]
) -> None:
    task = Task.model_validate(
        {"task_id": "8", "final_unit_deduction": units, "final_balance_deduction": balance}
    )
    amounts = (task.final_unit_deduction, task.final_balance_deduction.quota)
    assert (*(None if amount is None else str(amount) for amount in amounts), task.unread_charge) == charge


def test_an_answer_cannot_set_what_we_derive_from_it() -> None:
    assert not Task.model_validate({"task_id": "8", "unread_charge": "x"}).unread_charge


@pytest.mark.parametrize("written", [1_722_769_557, "1722769557", 0, -5, 10**18, 4_200_000_000_000])
def test_an_implausible_time_is_ignored(written: Any) -> None:
    assert Task.model_validate({"task_id": "8", "created_at": written}).created_at is None


@pytest.mark.parametrize("text", ["\x1b[31mred", "half \ud800 of it", "a\nb", "\u202eback"])
def test_no_text_of_kling_reaches_us_with_what_cannot_be_shown(text: str) -> None:
    task = Task.model_validate(
        {
            "task_id": text,
            "task_status": text,
            "task_status_msg": text,
            "task_info": {"external_task_id": text},
            "task_result": {"videos": [{"id": text, "url": f"https://x/{text}"}]},
        }
    )
    video = task.task_result.videos[0]
    for said in (task.task_id, task.task_status, task.failure_reason, video.id, video.url):
        assert said.isprintable()
        said.encode()
    assert task.task_info.external_task_id.isprintable()
    assert task.video is None


def test_an_amount_stays_exact() -> None:
    task = Task.model_validate({"task_id": "8", "final_unit_deduction": "2.10"})
    assert task.final_unit_deduction == Decimal("2.1")
