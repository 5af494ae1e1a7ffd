"""The element library on the wire: the documented bodies field by field, and ids that keep every digit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from kling_once.accounts.accounts import ApiKey
from kling_once.api.client import KlingClient
from kling_once.api.elements import ElementClient, ElementRequest
from kling_once.api.standard import StandardClient
from kling_once.clock import SystemClock
from kling_once.errors import InvalidValue
from kling_once.sandbox.elements import read_element_order
from kling_once.sandbox.standard import CREATE_PATHS, read_standard_order
from tests.api.conftest import API_KEY
from tests.create_request import create_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LONG_ID = "829836802793406551"
LEGACY_TASK = {
    "task_id": "8001",
    "task_status": "succeed",
    "task_info": {"external_task_id": "mine-1"},
    "task_result": {
        "elements": [
            {
                "element_id": int(LONG_ID),
                "element_name": "Mia",
                "element_description": "In orange",
                "reference_type": "image_refer",
                "element_image_list": {
                    "frontal_image": "https://cdn.example/mia.png",
                    "refer_images": [{"image_url": "https://cdn.example/mia-2.png"}],
                },
                "owned_by": "77",
                "status": "succeed",
            }
        ]
    },
    "created_at": 1_800_000_000_000,
}
STANDARD_TASK = {
    "id": "8001",
    "status": "succeeded",
    "message": "",
    "create_time": 1_800_000_000_000,
    "external_id": "mine-1",
    "outputs": [
        {
            "type": "element",
            "id": LONG_ID,
            "name": "Mia",
            "description": "In orange",
            "element_type": "multi_image_elements",
            "references": [],
            "owned_by": "77",
            "status": "succeed",
            "tags": [],
        }
    ],
    "billing": [],
}


@pytest.fixture
async def library(serve: Any) -> AsyncIterator[Callable[..., Any]]:
    """Connect the element library of a generation to a server that answers by path."""
    opened = []

    async def connect(kind: type[KlingClient], answers: dict[str, Any]) -> tuple[ElementClient, Any]:
        async def handler(request: web.Request) -> web.Response:
            status, envelope = 200, {"code": 0, "message": "SUCCEED", "request_id": "req-1"}
            await request.read()
            data = answers.get(request.path)
            if data is None:
                status, envelope = 400, {"code": 1201, "message": "not found", "request_id": "req-1"}
            return web.json_response(envelope | {"data": data}, status=status)

        server = await serve(handler)
        connection = kind.connect(server.origin, ApiKey(API_KEY), SystemClock(), poll_seconds=0.1)
        client = await connection.__aenter__()
        opened.append(connection)
        return ElementClient.beside(client), server

    yield connect
    for connection in opened:
        await connection.__aexit__(None, None, None)


def test_the_body_of_an_element_of_pictures_is_the_documented_one() -> None:
    request = ElementRequest(
        name="Mia",
        description="In orange",
        frontal_image="QUJD",
        views=("REVG", "R0hJ"),
        external_task_id="mine-1",
    )
    assert json.loads(request.encode()) == {
        "element_name": "Mia",
        "element_description": "In orange",
        "reference_type": "image_refer",
        "element_image_list": {
            "frontal_image": "QUJD",
            "refer_images": [{"image_url": "REVG"}, {"image_url": "R0hJ"}],
        },
        "external_task_id": "mine-1",
    }
    order = read_element_order(json.loads(request.encode()))
    assert order.pictures == ("QUJD", "REVG", "R0hJ")


def test_the_body_of_an_element_of_a_clip_is_the_documented_one() -> None:
    request = ElementRequest(name="Mia", description="In orange", video_url="https://clips.example/mia.mp4")
    assert json.loads(request.encode()) == {
        "element_name": "Mia",
        "element_description": "In orange",
        "reference_type": "video_refer",
        "element_video_list": {"refer_videos": [{"video_url": "https://clips.example/mia.mp4"}]},
    }
    assert read_element_order(json.loads(request.encode())).video_url == "https://clips.example/mia.mp4"


def test_motion_control_names_an_element_by_a_number_on_legacy_and_by_text_on_standard() -> None:
    request = create_request(
        image_url="QUJD",
        video_url="https://x.example/y.mp4",
        element_id=LONG_ID,
        model="kling-v3",
        character_orientation="video",
        mode="std",
    )
    assert f'"element_list": [{{"element_id": {LONG_ID}}}]' in request.encode().decode()
    path, content = request.standard_call()
    assert {"type": "element", "element_id": LONG_ID, "id": "element_1"} in json.loads(content)["contents"]
    assert read_standard_order(CREATE_PATHS[path], json.loads(content)).element_id == int(LONG_ID)


@pytest.mark.parametrize("kind", [KlingClient, StandardClient])
async def test_an_id_of_18_digits_survives_on_both_generations(library: Any, kind: type[KlingClient]) -> None:
    path = "/v1/general/advanced-custom-elements"
    answers = {f"{path}/8001": LEGACY_TASK, "/tasks": [STANDARD_TASK], f"{path}/mine-1": LEGACY_TASK}
    elements, server = await library(kind, answers)

    asked = (await elements.get_task("8001", "mine-1")).value
    found = (await elements.find("mine-1")).value

    assert asked.element.element_id == found.element.element_id == LONG_ID
    assert (asked.element.element_name, asked.element.reference_type) == ("Mia", "image_refer")
    assert asked.status == found.status == "succeed"
    waited_by = f"{path}/8001" if kind is KlingClient else "/tasks"
    assert server.requests[0].path == waited_by


@pytest.mark.parametrize("kind", [KlingClient, StandardClient])
async def test_creates_lists_and_deletes_use_the_one_library_of_both_generations(
    library: Any, kind: type[KlingClient]
) -> None:
    answers = {
        "/v1/general/advanced-custom-elements": LEGACY_TASK,
        "/v1/general/advanced-presets-elements": [LEGACY_TASK, {"task_id": "1", "task_result": {}}, "odd"],
        "/v1/general/delete-advanced-elements": {"task_id": "8001", "task_status": "succeed"},
    }
    elements, server = await library(kind, answers)

    request = ElementRequest(name="M", description="d", frontal_image="QUJD", views=("REVG",))
    assert (await elements.create(request.model_copy(update={"external_task_id": "mine-1"}))).value.task_id
    assert [one.element_id for one in (await elements.list_presets(2, 7)).value] == [LONG_ID]
    await elements.delete(LONG_ID)

    assert [request.path for request in server.requests] == [*answers]
    assert dict(server.requests[1].query) == {"pageNum": "2", "pageSize": "7"}
    assert await server.requests[2].json() == {"element_id": LONG_ID}


async def test_an_unknown_element_task_is_absent_and_nothing_else(library: Any) -> None:
    elements, _server = await library(KlingClient, {})
    with pytest.raises(InvalidValue) as caught:
        await elements.find("mine-1")
    assert isinstance(caught.value, elements.absent)


@pytest.mark.parametrize("value", [True, 8.3e17, "12 34", "", None, 0, -5, 2**63, ["1"], "x"])
async def test_an_id_that_is_none_makes_no_element(library: Any, value: Any) -> None:
    task = json.loads(json.dumps(LEGACY_TASK))
    task["task_result"]["elements"][0]["element_id"] = value
    elements, _server = await library(KlingClient, {"/v1/general/advanced-custom-elements/8001": task})
    assert (await elements.get_task("8001")).value.element is None


def test_no_representation_shows_a_picture() -> None:
    request = ElementRequest(name="M", description="d", frontal_image="QUJD", views=("REVG",))
    assert "QUJD" not in repr(request)
    assert "REVG" not in repr(request)
