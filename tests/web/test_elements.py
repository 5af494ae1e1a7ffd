"""The library's routes: pages of many elements, small pictures, and deleting from the server itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.order import SERVICES_OFF
from kling_once.sandbox import DEFAULT_API_KEY
from tests.slowness import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sandbox_control import SandboxControl


@pytest.fixture
def make(served: Any, part: Any, small_picture: Path, small_view: Path) -> Callable[..., Any]:
    """Make an element with the engine of the routes."""

    def run(name: str = "Mia") -> Any:
        job = part("kling_once.order")
        order = job.ElementOrder(name, "A disc in front of a gradient", small_picture, (small_view,))
        return served.engine.create_element(order).result(60)

    return run


def make_elsewhere(sandbox: SandboxControl, pictures: list[str], count: int) -> None:
    """Make elements that the ledger does not know."""
    frontal, view = pictures
    for number in range(count):
        answer = sandbox.http.post(
            f"{sandbox.origin}/v1/general/advanced-custom-elements",
            headers={"Authorization": f"Bearer {DEFAULT_API_KEY}"},
            json={
                "element_name": f"Number {number:03d}",
                "element_description": "made elsewhere",
                "reference_type": "image_refer",
                "element_image_list": {"frontal_image": frontal, "refer_images": [{"image_url": view}]},
            },
        )
        assert answer.json()["code"] == 0
        task_id = answer.json()["data"]["task_id"]
        path = f"{sandbox.origin}/v1/general/advanced-custom-elements/{task_id}"
        sandbox.http.get(path, headers={"Authorization": f"Bearer {DEFAULT_API_KEY}"})


@pytest.mark.both_generations
def test_an_element_is_listed_with_its_text_id_and_its_picture(
    served: Any, make: Any, sandbox: SandboxControl
) -> None:
    made = make()
    answer = served.get("/elements").json()
    (element,) = answer["elements"]
    assert element == {
        "element_id": made.element_id,
        "name": "Mia",
        "description": "A disc in front of a gradient",
        "kind": "image_refer",
        "is_preset": False,
        "has_picture": True,
    }
    assert (answer["total"], answer["browse"]) == (1, "all")
    assert len(element["element_id"]) == 18
    picture = served.get(f"/elements/{made.element_id}/picture")
    assert picture.headers["Content-Type"] == "image/jpeg"
    assert picture.content[:3] == b"\xff\xd8\xff"


def test_official_ones_have_pictures_fetched_once_and_no_answer_holds_a_link(
    served: Any, sandbox: SandboxControl
) -> None:
    answer = served.get("/elements", of="presets")
    assert "http" not in answer.text
    assert [one["element_id"] for one in answer.json()["elements"]] == ["160", "161", "163"]
    assert all(one["is_preset"] for one in answer.json()["elements"])
    first = served.get("/elements/160/picture").content
    sandbox.reset()
    assert served.get("/elements/160/picture").content == first
    assert served.get("/elements/162/picture").status_code == 404


@pytest.mark.process
def test_300_elements_come_in_pages_from_one_call_to_kling(
    served: Any, sandbox: SandboxControl, small_picture: Path, small_view: Path
) -> None:
    pictures = [sandbox.upload(path) for path in (small_picture, small_view)]
    make_elsewhere(sandbox, pictures, 300)
    before = len(sandbox.calls())
    names = []
    for offset in range(0, 300, 30):
        page = served.get("/elements", offset=offset, limit=30).json()
        assert page["total"] == 300
        names += [one["name"] for one in page["elements"]]
    assert names == [f"Number {number:03d}" for number in reversed(range(300))]
    found = served.get("/elements", search="NUMBER 299").json()["elements"]
    assert found[0]["name"] == "Number 299"
    assert all("299" in f"{one['name']} {one['element_id']}" for one in found)
    assert len(sandbox.calls()) == before + 1
    watch = Stopwatch()
    served.get("/elements", limit=30)
    assert watch.seconds() < 2.0
    newest = served.get("/elements", limit=1).json()["elements"][0]["element_id"]
    assert served.get(f"/elements/{newest}/picture").headers["Content-Type"] == "image/jpeg"
    assert served.get("/elements", is_fresh=True).json()["total"] == 300
    assert len(sandbox.calls()) == before + 2


def test_a_deleted_element_is_gone_from_the_list_and_the_page_is_told(
    served: Any, make: Any, sandbox: SandboxControl
) -> None:
    made, other = make(), make("Noa")
    path = f"/elements/{made.element_id}/delete"
    assert served.post(path, {"service": "sandbox"}).json()["deleted"] is True
    assert [one["element_id"] for one in served.get("/elements").json()["elements"]] == [other.element_id]
    assert ("", "elements") in served.events
    (job,) = [one for one in served.get("/jobs").json()["jobs"] if one["element_name"] == "Mia"]
    assert (job["state"], job["made_element_id"], job["reason"]) == (
        "expired",
        made.element_id,
        "The element was deleted.",
    )
    assert served.post("/elements/12345/delete", {}).status_code == 404


def test_deleting_from_another_machine_needs_a_code(served: Any, make: Any, code_of: Any) -> None:
    made = make()
    path = f"/elements/{made.element_id}/delete"
    far = {"X_Forwarded_For": "192.0.2.7"}
    assert served.post(path, {}, **far).status_code == 403
    assert served.post(path, {"code": code_of(served)}, **far).status_code == 200


def test_browsing_own_shows_and_deletes_the_ledgers_elements_alone(
    serve: Any, sandbox: SandboxControl, small_picture: Path, small_view: Path
) -> None:
    pictures = [sandbox.upload(path) for path in (small_picture, small_view)]
    make_elsewhere(sandbox, pictures, 1)
    served = serve(account_browse="own")
    assert served.get("/elements").json() == {"total": 0, "offset": 0, "elements": [], "browse": "own"}
    assert served.get("/elements", of="presets").json()["total"] == 3
    element_id = str(sandbox.elements()[0]["element_id"])
    answer = served.post(f"/elements/{element_id}/delete", {})
    assert (answer.status_code, sandbox.elements()[0]["status"]) == (404, "succeed")


def test_an_elements_job_is_shown_with_what_it_makes_and_its_charge(served: Any, make: Any) -> None:
    made = make()
    (job,) = served.get("/jobs").json()["jobs"]
    assert (job["kind"], job["element_name"], job["made_element_id"]) == ("element", "Mia", made.element_id)
    assert (job["units_charged"], job["has_file"], job["has_picture"]) == (0, False, True)
    detail = served.get(f"/jobs/{job['job_key']}").json()
    assert detail["prompt"] == "A disc in front of a gradient"


def test_where_paid_services_are_off_nobody_is_asked(served: Any) -> None:
    served.is_off = True
    for answer in (
        served.get("/elements", service="kling"),
        served.get("/elements/160/picture", service="kling"),
        served.post("/elements/160/delete", {"service": "kling"}),
    ):
        assert (answer.status_code, answer.json()["message"]) == (409, SERVICES_OFF)
