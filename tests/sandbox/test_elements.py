"""The element library: the documented bodies and answers, its limits, and both generations over one store."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ELEMENTS = "/v1/general/advanced-custom-elements"
PRESETS = "/v1/general/advanced-presets-elements"
DELETE = "/v1/general/delete-advanced-elements"


@pytest.fixture
def views(astronaut: Image.Image, encode: Callable[..., bytes]) -> list[str]:
    mirrored, flipped = ImageOps.mirror(astronaut), ImageOps.flip(astronaut)
    turned = [mirrored, flipped, astronaut.rotate(90), astronaut.rotate(180)]
    return [base64.b64encode(encode(picture)).decode() for picture in turned]


@pytest.fixture
def body(image_text: str, views: list[str]) -> dict[str, Any]:
    return {
        "element_name": "Mia",
        "element_description": "A woman in an orange space suit",
        "reference_type": "image_refer",
        "element_image_list": {"frontal_image": image_text, "refer_images": [{"image_url": views[0]}]},
        "tag_list": [{"tag_id": "o_102"}],
        "external_task_id": "mine-1",
    }


async def create(bench: Any, body: dict[str, Any]) -> Any:
    return await bench.call("POST", ELEMENTS, json=body)


async def test_a_create_is_answered_and_its_element_found_by_either_id(
    bench: Any, body: dict[str, Any]
) -> None:
    created = await create(bench, body)
    assert created.status == 200, created
    assert set(created.data) == {"task_id", "task_info", "task_status", "created_at", "updated_at"}
    assert created.data["task_info"] == {"external_task_id": "mine-1"}
    by_id = await bench.call("GET", f"{ELEMENTS}/{created.data['task_id']}")
    by_name = await bench.call("GET", f"{ELEMENTS}/mine-1")
    assert by_id.data == by_name.data
    assert by_id.data["final_unit_deduction"] == "0"
    (element,) = by_id.data["task_result"]["elements"]
    assert set(element) == {
        *("element_id", "element_name", "element_description", "reference_type", "element_image_list"),
        *("tag_list", "owned_by", "status"),
    }
    assert isinstance(element["element_id"], int)
    assert len(str(element["element_id"])) == 18
    assert (element["element_name"], element["status"]) == ("Mia", "succeed")
    for url in (
        element["element_image_list"]["frontal_image"],
        element["element_image_list"]["refer_images"][0]["image_url"],
    ):
        assert (await bench.call("GET", url)).status == 200


async def test_pictures_that_were_uploaded_are_served_as_well(
    bench: Any, body: dict[str, Any], astronaut: Image.Image, encode: Callable[..., bytes]
) -> None:
    body["element_image_list"]["frontal_image"] = await bench.upload(encode(astronaut, "PNG"))
    await create(bench, body)
    (element,) = (await bench.call("GET", f"{ELEMENTS}/mine-1")).data["task_result"]["elements"]
    answer = await bench.call("GET", element["element_image_list"]["frontal_image"])
    assert answer.status == 200
    for name in ("nothing.png", "..%2Fstate-3.sqlite3", f"{'0' * 40}.png"):
        assert (await bench.call("GET", f"/sandbox/elements/{name}")).status == 404


async def test_the_standard_generation_shows_it_as_an_output_with_a_text_id(
    bench: Any, body: dict[str, Any]
) -> None:
    created = await create(bench, body)
    (task,) = (await bench.call("GET", f"/tasks?task_ids={created.data['task_id']}")).data
    (output,) = task["outputs"]
    legacy = (await bench.call("GET", f"{ELEMENTS}/mine-1")).data["task_result"]["elements"][0]
    assert output["id"] == str(legacy["element_id"])
    assert (output["type"], output["element_type"]) == ("element", "multi_image_elements")
    assert (task["status"], output["owned_by"]) == ("succeeded", legacy["owned_by"])
    assert (await bench.call("POST", "/tasks", json={})).data["count"] == 1
    videos = {"filters": [{"key": "product_type", "values": ["video"]}]}
    assert (await bench.call("POST", "/tasks", json=videos)).data["count"] == 0


async def test_elements_are_no_videos_to_the_legacy_endpoint(bench: Any, body: dict[str, Any]) -> None:
    await create(bench, body)
    assert await bench.tasks() == []
    assert (await bench.get("mine-1")).code == 1201


async def test_lists_are_paged_newest_first_and_presets_are_apart(bench: Any, body: dict[str, Any]) -> None:
    for number in range(5):
        body["external_task_id"] = f"mine-{number}"
        assert (await create(bench, body)).status == 200
    page = await bench.call("GET", f"{ELEMENTS}?pageNum=2&pageSize=2")
    assert [task["task_info"]["external_task_id"] for task in page.data] == ["mine-2", "mine-1"]
    presets = (await bench.call("GET", f"{PRESETS}?pageNum=1&pageSize=2")).data
    found = [task["task_result"]["elements"][0] for task in presets]
    assert [one["element_id"] for one in found] == [160, 161]
    assert {one["owned_by"] for one in found} == {"kling"}
    assert (await bench.call("GET", found[0]["element_image_list"]["frontal_image"])).status == 200


@pytest.mark.parametrize("path", [DELETE, "/v1/general/delete-elements"])
async def test_a_deleted_element_says_so_and_cannot_be_deleted_again(
    bench: Any, body: dict[str, Any], path: str
) -> None:
    await create(bench, body)
    element = (await bench.call("GET", f"{ELEMENTS}/mine-1")).data["task_result"]["elements"][0]
    answer = await bench.call("POST", path, json={"element_id": str(element["element_id"])})
    assert set(answer.data) == {"task_id", "task_status"}
    element = (await bench.call("GET", f"{ELEMENTS}/mine-1")).data["task_result"]["elements"][0]
    assert element["status"] == "deleted"
    again = await bench.call("POST", path, json={"element_id": str(element["element_id"])})
    assert (again.status, again.code) == (400, 1201)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"element_name": "x" * 21}, "cannot exceed 20 characters"),
        ({"element_name": ""}, "must not be empty"),
        ({"element_description": "x" * 101}, "cannot exceed 100 characters"),
        ({"element_description": ...}, "element_description: is required"),
        ({"reference_type": "images"}, "must be one of image_refer, video_refer"),
        ({"reference_type": "video_refer"}, "element_video_list: is required"),
        ({"element_image_list": ...}, "element_image_list: is required"),
        ({"tag_list": [{"tag_id": "o_1"}]}, "tag_list"),
        ({"colour": "red"}, "'colour': unknown field"),
    ],
)
async def test_every_documented_limit_of_a_field_is_checked(
    bench: Any, body: dict[str, Any], changes: dict[str, Any], told: str
) -> None:
    body = {name: value for name, value in (body | changes).items() if value is not ...}
    answer = await create(bench, body)
    assert (answer.status, answer.code) == (400, 1201)
    assert told in answer.message


async def test_one_to_three_views_that_differ_from_the_frontal_picture(
    bench: Any, body: dict[str, Any], image_text: str, views: list[str]
) -> None:
    for refer in ([], [*views], [image_text], [views[0], image_text]):
        listed = {"frontal_image": image_text, "refer_images": [{"image_url": text} for text in refer]}
        answer = await create(bench, body | {"element_image_list": listed})
        assert (answer.status, answer.code) == (400, 1201), refer
    listed = {"frontal_image": image_text, "refer_images": [{"image_url": text} for text in views[:3]]}
    assert (await create(bench, body | {"element_image_list": listed})).status == 200


async def test_a_picture_that_is_too_small_is_refused(
    bench: Any, body: dict[str, Any], encode: Callable[..., bytes]
) -> None:
    small = base64.b64encode(encode(Image.new("RGB", (299, 400)))).decode()
    body["element_image_list"]["refer_images"] = [{"image_url": small}]
    answer = await create(bench, body)
    assert "refer_images[0]: each side must be 300" in answer.message


@pytest.mark.parametrize(
    ("frames", "width", "height", "told"),
    [
        (30, 1920, 1080, ""),
        (30, 1080, 1920, ""),
        (80, 1920, 1080, ""),
        (29, 1920, 1080, "3 to 8 s"),
        (82, 1920, 1080, "3 to 8 s"),
        (30, 1280, 720, "1080p"),
        (30, 1440, 1080, "1080p"),
    ],
)
async def test_the_limits_of_a_clip(
    bench: Any, draw_clip: Callable[..., Path], frames: int, width: int, height: int, told: str
) -> None:
    url = await bench.upload(draw_clip(frames, width, height))
    answer = await create(
        bench,
        {
            "element_name": "Mia",
            "element_description": "turning",
            "reference_type": "video_refer",
            "element_video_list": {"refer_videos": [{"video_url": url}]},
        },
    )
    assert answer.status == (400 if told else 200), answer
    assert told in answer.message


async def test_a_repeated_external_id_is_refused_unless_the_switch_accepts_it(
    bench: Any, body: dict[str, Any]
) -> None:
    assert (await create(bench, body)).status == 200
    assert (await create(bench, body)).code == 1201
    await bench.control("PUT", "settings", {"duplicates-allowed": True})
    assert (await create(bench, body)).status == 200


@pytest.mark.parametrize("fault", ["reset-after-accept", "status-502-after-accept", "html-after-accept"])
async def test_faults_spoil_the_answer_and_not_the_element(
    bench: Any, body: dict[str, Any], fault: str
) -> None:
    await bench.script("create-element", fault)
    with contextlib.suppress(aiohttp.ClientError):  # the connection is reset
        await create(bench, body)
    assert await bench.pending() == []
    assert (await bench.call("GET", f"{ELEMENTS}/mine-1")).data["task_status"] == "succeed"


async def test_the_log_of_calls_holds_no_picture(bench: Any, body: dict[str, Any]) -> None:
    await create(bench, body)
    assert body["element_image_list"]["frontal_image"][:200] not in json.dumps(await bench.calls())


async def test_an_element_costs_nothing_and_takes_no_place(start: Any, body: dict[str, Any]) -> None:
    bench = await start(parallel_limit=1)
    assert (await create(bench, body)).status == 200
    assert (await bench.create()).status == 200
