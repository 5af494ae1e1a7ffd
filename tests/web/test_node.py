"""A node before it runs: its price, what would keep it from running, and whether it is paid."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kling_once.sandbox import DEFAULT_API_KEY
from tests.drawn_clips import write_clip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def price_of(served: Any, graph_of: Any) -> Any:
    def ask(**inputs: Any) -> dict[str, Any]:
        return served.post("/node", {"node_id": "3", "prompt": graph_of(**inputs)}).json()

    return ask


@pytest.mark.parametrize(
    ("model", "mode", "units", "usd"),
    [
        ("kling-v2-6", "std", 1.5, 0.21),
        ("kling-v2-6", "pro", 2.4, 0.336),
        ("kling-v3", "std", 2.7, 0.378),
        ("kling-v3", "pro", 3.6, 0.504),
    ],
)
def test_the_price_of_this_run_is_told_where_media_come_from_loaders(
    price_of: Any, model: str, mode: str, units: float, usd: float
) -> None:
    found = price_of(model=model, mode=mode)
    assert found["price"] == {"units": units, "cash": usd, "currency": "USD", "seconds": 3.0}
    assert found["rate"]["units"] == pytest.approx(units / 3)
    assert found["paid"] is False


def test_media_from_elsewhere_have_a_price_per_second(price_of: Any) -> None:
    found = price_of(image=["9", 0])
    assert found["price"] is None
    assert found["rate"] == {"units": 0.5, "cash": 0.07, "currency": "USD"}


@pytest.fixture
def split_graph(served: Any, graph_of: Any, long_clip: Path) -> Any:
    """Return a graph whose clip of 31 s comes through Split Video."""
    (served.folders["input"] / "long.mp4").write_bytes(long_clip.read_bytes())

    def make(split: dict[str, Any]) -> dict[str, Any]:
        graph = graph_of(**{"motion_source.video": ["4", 0]})
        loader = next(name for name, node in graph.items() if node["class_type"] == "LoadVideo")
        graph[loader]["inputs"]["file"] = "long.mp4"
        graph["4"] = {"class_type": "KlingOnce_SplitVideo", "inputs": {"video": [loader, 0]} | split}
        return graph

    return make


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a grey clip of 31 s."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    write_clip(path, [np.full((540, 360), 128, np.uint8)] * 62, rate=2)
    return path


@pytest.mark.parametrize(
    ("split", "note"),
    [
        ({}, "at least 2 for 0:31. On Kling all of them cost about 15.5 units (2.17 USD)."),
        ({"most_seconds": 15}, "at least 3 for 0:31. On Kling all of them"),
        ({"most_seconds": 15, "overlap": 1}, "at least 3 for 0:31. What they show twice is paid twice."),
        ({"character_orientation": "image"}, "at least 4 for 0:31. On Kling all of them"),
        (
            {"most_seconds": ["9", 0]},
            "Split Video; each is paid by itself.",
        ),
        ({"video": ["9", 0]}, "Split Video; each is paid by itself."),
    ],
)
def test_a_clip_in_parts_says_how_often_the_node_runs_and_what_all_cost(
    served: Any, split_graph: Any, split: dict[str, Any], note: str
) -> None:
    found = served.post("/node", {"node_id": "3", "prompt": split_graph(split)}).json()
    assert [told["message"] for told in found["notes"] if note in told["message"]]
    assert (found["price"], found["rate"]["units"]) == (None, 0.5)
    said = [piece for told in found["notes"] for piece in told["said"] if piece["message"].strip()]
    assert all(piece["rule"] for piece in said)


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ({"most_seconds": 5}, "most_seconds is 5; with orientation 'video' it may be 7 to 30"),
        ({"most_seconds": 10, "overlap": 8}, "overlap is 8 s; with parts of at most 10 s it may be 0 to 6."),
    ],
)
def test_what_split_would_refuse_is_said_where_the_parts_arrive(
    served: Any, split_graph: Any, split: dict[str, Any], words: str
) -> None:
    found = served.post("/node", {"node_id": "3", "prompt": split_graph(split)}).json()
    assert found["trouble"]["message"].startswith(words)
    assert found["rate"]["units"] == 0.5


def test_an_address_is_priced_by_the_orientations_maximum(price_of: Any) -> None:
    url = {"motion_source": "url", "motion_source.url": "https://example.org/clip.mp4"}
    assert price_of(**url)["price"]["seconds"] == 30.0
    assert price_of(character_orientation="image", **url)["price"]["seconds"] == 10.0


def test_broken_limits_are_told_before_the_run(served: Any, graph_of: Any, small_picture: Any) -> None:
    from PIL import Image  # noqa: PLC0415 - for this test alone

    Image.new("RGB", (200, 200)).save(served.folders["input"] / "figure.png")
    found = served.post("/node", {"node_id": "3", "prompt": graph_of(conform="off")}).json()
    assert "image" in [violation["field"] for violation in found["violations"]]


def test_widgets_that_contradict_each_other_say_so(price_of: Any) -> None:
    found = price_of(element_id="123", character_orientation="image", model="kling-v3")
    assert any("orientation of the video" in note["message"] for note in found["notes"])


def test_the_price_of_a_china_profile_is_in_its_own_money(served: Any, price_of: Any) -> None:
    served.post("/keys", {"profile": "china", "api_key": "key-of-china", "region": "china"})
    assert price_of(profile="china")["price"]["currency"] == "CNY"


def test_paid_is_said_only_of_a_graph_that_the_ledger_knows(served: Any, graph_of: Any, part: Any) -> None:
    graph = graph_of(service="sandbox")
    signature = served.host.signature(graph, "3")
    ask = {"node_id": "3", "prompt": graph}
    assert served.post("/node", ask).json()["paid"] is False
    key = served.run(graph=part("kling_once.order").Graph(signature))
    assert served.post("/node", ask).json()["paid"] is True
    changed = graph_of(service="sandbox", prompt="another")
    assert served.post("/node", {"node_id": "3", "prompt": changed}).json()["paid"] is False
    served.post(f"/jobs/{key}/forget", {"delete_file": True})
    assert served.post("/node", ask).json()["paid"] is False


def graph_that_ordered(served: Any, part: Any, graph: dict[str, Any]) -> Any:
    """Return the pack's own Graph of an API prompt's node 3."""
    return part("kling_once.order").Graph(served.host.signature(graph, "3"))


def test_a_list_is_not_paid_while_one_of_its_jobs_has_failed(
    served: Any, graph_of: Any, part: Any, sandbox: Any
) -> None:
    prompt = graph_of(service="sandbox")
    graph = graph_that_ordered(served, part, prompt)
    served.run(graph=graph)
    sandbox.script("create", "task-failed")
    with pytest.raises(part("kling_once.errors").TaskFailed):
        served.run(graph=graph, prompt="the second item")
    ask = {"node_id": "3", "prompt": prompt}
    assert served.post("/node", ask).json()["paid"] is False
    served.run(graph=graph, prompt="the second item")
    assert served.post("/node", ask).json()["paid"] is True


def test_a_list_is_not_paid_while_one_of_its_jobs_was_never_begun(
    serve: Any, sandbox: Any, graph_of: Any, part: Any
) -> None:
    served = serve(max_units_per_prompt=2)
    prompt = graph_of(service="sandbox")
    graph = graph_that_ordered(served, part, prompt)
    served.run(graph=graph)
    with pytest.raises(part("kling_once.errors").BudgetReached):
        served.run(graph=graph, prompt="the second item")
    assert served.post("/node", {"node_id": "3", "prompt": prompt}).json()["paid"] is False


def test_what_was_paid_in_another_region_is_not_paid_here(
    serve: Any, sandbox: Any, graph_of: Any, part: Any, monkeypatch: pytest.MonkeyPatch, small_clip: Any
) -> None:
    monkeypatch.setenv("KLINGAI_BASE_URL", sandbox.origin)
    monkeypatch.setenv("KLINGAI_API_KEY", DEFAULT_API_KEY)
    first, job = serve(), part("kling_once.order")
    prompt = graph_of()
    graph = graph_that_ordered(first, part, prompt)
    first.run(graph=graph, service=job.Service.KLING, video=job.VideoUrl(sandbox.upload(small_clip)))
    ask = {"node_id": "3", "prompt": prompt}
    assert first.post("/node", ask).json()["paid"] is True
    monkeypatch.delenv("KLINGAI_BASE_URL")
    assert serve().post("/node", ask).json()["paid"] is False


def counted_checks(served: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows with every time that the media are measured."""
    made, check = [], served.engine.check
    monkeypatch.setattr(served.engine, "check", lambda order: (made.append(order), check(order))[1])
    return made


def test_equal_questions_at_once_measure_the_media_once(
    served: Any, graph_of: Any, part: Any, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    fit_image = part("kling_once.jobs.staging")._fitted_image
    asked, sign = [], part("kling_once.web.node").signature

    def held(*values: Any, **named: Any) -> Any:
        eventually(lambda: len(asked) == 2, "both have asked")
        return fit_image(*values, **named)

    monkeypatch.setattr(part("kling_once.jobs.staging"), "_fitted_image", held)
    monkeypatch.setattr(
        part("kling_once.web.node"), "signature", lambda *of: (asked.append(of), sign(*of))[1]
    )
    made = counted_checks(served, monkeypatch)
    body = {"node_id": "3", "prompt": graph_of()}
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: served.post("/node", body).json(), range(2))
    assert first == second
    assert first["price"]["seconds"] == 3.0
    assert len(made) == 1


def test_media_are_measured_anew_only_when_they_or_how_they_are_sent_change(
    served: Any, price_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = counted_checks(served, monkeypatch)
    price_of()
    assert price_of(model="kling-v3")["price"]["units"] == 2.7
    price_of(prompt="on a beach", take=3, project="cats", mode="pro")
    assert len(made) == 1
    price_of(character_orientation="image")
    price_of(conform="off")
    price_of(cuts="send")
    assert len(made) == 4
    os.utime(served.folders["input"] / "walk.mp4", (1, 1))
    price_of()
    assert len(made) == 5


def test_a_price_follows_the_region_of_its_profile(served: Any, price_of: Any) -> None:
    key = {"profile": "studio", "api_key": "key-of-the-studio"}
    served.post("/keys", key | {"region": "global"})
    assert price_of(profile="studio")["price"]["currency"] == "USD"
    served.post("/keys", key | {"region": "china", "replace": True})
    assert price_of(profile="studio")["price"]["currency"] == "CNY"


URL = {"motion_source": "url", "motion_source.url": "https://example.org/clip.mp4"}


@pytest.mark.parametrize("source", [URL, {"image": ["9", 0], "service": "sandbox"}])
@pytest.mark.parametrize(
    ("widgets", "rule"),
    [
        ({"prompt": "x" * 2501}, "prompt.length"),
        ({"element_id": "many"}, "element_id.form"),
        ({"external_task_id": "no blanks"}, "external_task_id.form"),
        ({"callback_url": "https://elsewhere.example/"}, "callback_url.origin"),
        ({"wait_minutes": 100_000}, "wait_minutes.range"),
    ],
)
def test_limits_of_the_settings_are_told_wherever_the_media_come_from(
    price_of: Any, source: dict[str, Any], widgets: dict[str, Any], rule: str
) -> None:
    assert price_of(**source)["violations"] == []
    assert [one["rule"] for one in price_of(**source, **widgets)["violations"]] == [rule]


def test_a_widget_that_cannot_be_read_counts_as_its_default(price_of: Any) -> None:
    odd = {"take": "many", "max_units": {}, "wait_minutes": 10**400, "cuts": "maybe", "conform": 7}
    assert price_of(**odd) == price_of()


def test_an_address_that_cannot_be_one_is_told(price_of: Any) -> None:
    found = price_of(**URL | {"motion_source.url": "http://example.org/clip.mp4"})
    assert [one["field"] for one in found["violations"]] == ["video"]


def test_an_address_that_is_wired_is_not_found_wanting(price_of: Any) -> None:
    found = price_of(**URL | {"motion_source.url": ["7", 0]})
    assert found["violations"] == []
    assert found["price"]["seconds"] == 30.0


def test_a_clip_that_kling_could_not_fetch_is_told(price_of: Any) -> None:
    assert [one["rule"] for one in price_of()["violations"]] == ["video.hosting"]
    assert price_of(service="sandbox")["violations"] == []


@pytest.mark.parametrize("broken", [{}, [], 7])
@pytest.mark.parametrize("node_id", ["2", "3"])
def test_a_node_of_no_class_is_refused_in_words(
    served: Any, graph_of: Any, node_id: str, broken: Any
) -> None:
    graph = graph_of()
    graph[node_id]["class_type"] = broken
    answer = served.post("/node", {"node_id": "3", "prompt": graph})
    assert answer.status_code == 422
    assert f"node '{node_id}'" in answer.json()["message"]


@pytest.mark.parametrize("broken", ["text", [], None, {"class_type": "LoadVideo", "inputs": None}])
def test_a_node_that_is_none_is_refused_in_words(served: Any, graph_of: Any, broken: Any) -> None:
    graph = graph_of() | {"2": broken}
    answer = served.post("/node", {"node_id": "3", "prompt": graph})
    assert answer.status_code == 422
    assert "prompt" in answer.json()["message"]


def test_another_node_is_not_known(served: Any, graph_of: Any) -> None:
    answer = served.post("/node", {"node_id": "1", "prompt": graph_of()})
    assert answer.json() == {"known": False}


def test_a_widget_that_is_wired_makes_the_price_unknown_until_the_run(price_of: Any) -> None:
    found = price_of(model=["7", 0])
    assert found["wired"] == ["model"]
    assert found["price"] is found["rate"] is None


def test_a_number_that_comfyui_makes_a_float_of_is_the_same_graph(served: Any, graph_of: Any) -> None:
    of_the_page, of_the_run = graph_of(max_units=0, take=1), graph_of(max_units=0.0, take=1)
    sign = served.host.signature
    assert sign(of_the_page, "3") == sign(of_the_run, "3")
    assert sign(of_the_page, "3") != sign(graph_of(max_units=0.5, take=1), "3")
