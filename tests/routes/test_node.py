"""A node before it runs: its price, what would keep it from running, and whether it is paid."""

from __future__ import annotations

from typing import Any

import pytest


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
    assert any("orientation of the video" in note for note in found["notes"])


def test_the_price_of_a_china_profile_is_in_its_own_money(served: Any, price_of: Any) -> None:
    served.post("/keys", {"profile": "china", "api_key": "key-of-china", "region": "china"})
    assert price_of(profile="china")["price"]["currency"] == "CNY"


def test_paid_is_said_only_of_a_graph_that_the_ledger_knows(served: Any, graph_of: Any, part: Any) -> None:
    graph = graph_of(service="sandbox")
    signature = served.place().signature(graph, "3")
    ask = {"node_id": "3", "prompt": graph}
    assert served.post("/node", ask).json()["paid"] is False
    key = served.run(graph=part("kling_direct.jobs.graphs").Graph(signature))
    assert served.post("/node", ask).json()["paid"] is True
    changed = graph_of(service="sandbox", prompt="another")
    assert served.post("/node", {"node_id": "3", "prompt": changed}).json()["paid"] is False
    served.post(f"/jobs/{key}/forget", {"delete_file": True})
    assert served.post("/node", ask).json()["paid"] is False


def test_another_node_is_not_known(served: Any, graph_of: Any) -> None:
    answer = served.post("/node", {"node_id": "1", "prompt": graph_of()})
    assert answer.json() == {"known": False}


def test_a_widget_that_is_wired_makes_the_price_unknown_until_the_run(price_of: Any) -> None:
    found = price_of(model=["7", 0])
    assert found["wired"] == ["model"]
    assert found["price"] is None


def test_a_number_that_comfyui_makes_a_float_of_is_the_same_graph(served: Any, graph_of: Any) -> None:
    of_the_page, of_the_run = graph_of(max_units=0, take=1), graph_of(max_units=0.0, take=1)
    sign = served.place().signature
    assert sign(of_the_page, "3") == sign(of_the_run, "3")
    assert sign(of_the_page, "3") != sign(graph_of(max_units=0.5, take=1), "3")
