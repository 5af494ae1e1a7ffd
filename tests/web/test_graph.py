"""What is read from an API prompt."""

from __future__ import annotations

from typing import Any

import pytest

from kling_once.web import graph


def prompt(**changes: Any) -> dict[str, Any]:
    inputs = {"image": ["1", 0], "take": 0, "motion_source": "video", "motion_source.video": ["2", 0]}
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "people/anna.png [input]"}},
        "2": {"class_type": "LoadVideo", "inputs": {"file": "dance.mp4"}},
        "3": {"class_type": "KlingOnce_MotionControl", "inputs": inputs | changes},
        "4": {"class_type": "SaveVideo", "inputs": {"video": ["3", 0]}},
    }


def renumbered(given: dict[str, Any]) -> dict[str, Any]:
    def moved(value: Any) -> Any:
        return [f"sub:{value[0]}", value[1]] if isinstance(value, list) else value

    return {
        f"sub:{name}": {**node, "inputs": {key: moved(value) for key, value in node["inputs"].items()}}
        for name, node in reversed(list(given.items()))
    }


def never(_name: str) -> None:
    return None


def test_a_slot_is_wired_only_where_an_input_takes_it() -> None:
    assert graph.is_wired(prompt(), "3", 0)
    assert not graph.is_wired(prompt(), "3", 1)


def test_a_node_that_the_prompt_does_not_know_counts_as_wired() -> None:
    assert graph.is_wired({}, "3", 1)
    assert graph.is_wired(prompt(), "12:3", 1)


def test_inputs_are_called_after_the_files_that_are_loaded() -> None:
    assert graph.file_name_of(prompt(), "3", "image") == "anna"
    assert graph.file_name_of(prompt(), "3", "motion_source.video") == "dance"
    assert graph.file_name_of(prompt(), "4", "video") == ""
    assert graph.file_name_of({}, "3", "image") == ""


def test_the_signature_is_that_of_the_graph_and_not_of_its_numbers() -> None:
    one = graph.signature(prompt(), "3", never)
    assert graph.signature(renumbered(prompt()), "sub:3", never) == one
    assert graph.signature(prompt(take=1), "3", never) != one
    follower = prompt() | {"5": {"class_type": "Other", "inputs": {"value": ["3", 1]}}}
    assert graph.signature(follower, "3", never) == one


def test_the_signature_does_not_hang_on_a_player_that_the_page_has_loaded() -> None:
    shown = prompt()
    for node in shown.values():
        node["inputs"] |= {"video-preview": "", "audioUI": ""}
    assert graph.signature(shown, "3", never) == graph.signature(prompt(), "3", never)


def test_the_signature_changes_with_a_file_that_is_named() -> None:
    def dated(moment: float) -> Any:
        return lambda name: moment if name == "dance.mp4" else None

    assert graph.signature(prompt(), "3", dated(1.0)) != graph.signature(prompt(), "3", dated(2.0))
    assert graph.signature(prompt(), "3", dated(1.0)) == graph.signature(prompt(), "3", dated(1.0))


def test_a_loop_in_a_prompt_ends() -> None:
    looped = {"1": {"class_type": "A", "inputs": {"x": ["1", 0]}}}
    assert len(graph.signature(looped, "1", never)) == 64


def test_a_long_chain_has_a_signature() -> None:
    chain = {
        str(number): {"class_type": "A", "inputs": {"x": [str(number - 1), 0]}} for number in range(1, 5000)
    }
    assert len(graph.signature(chain, "4999", never)) == 64
    assert graph.signature(chain, "4999", never) != graph.signature(chain, "4998", never)


@pytest.mark.parametrize("odd", [None, "text", ["list"], 5, {"class_type": ["A"], "inputs": None}])
def test_whatever_somebody_queued_is_read_without_an_error(odd: Any) -> None:
    given = prompt() | {"1": odd, "5": odd, "6": {"class_type": {"a": 1}, "inputs": {"x": [{"b": 2}, 0]}}}
    assert graph.is_wired(given, "3", 0)
    assert not graph.is_wired(given, "5", 0)
    assert graph.file_name_of(given, "3", "image") == ""
    assert graph.source_of(given, "5", "image") is None
    assert all(len(graph.signature(given, name, never)) == 64 for name in given)


def test_a_node_is_asked_who_takes_its_output() -> None:
    assert graph.takers_of(prompt(), "3", 0) == ["4"]
    assert graph.takers_of(prompt(), "3", 1) == []
    assert graph.class_of(prompt(), "4") == "SaveVideo"
    given: Any = {"4": None}
    assert graph.class_of(given, "4") is None
