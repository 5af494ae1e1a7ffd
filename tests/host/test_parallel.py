"""Lists and neighbours: at the same time, within the limit, and without freezing the page."""

from __future__ import annotations

import math
import statistics
import threading
import time
from typing import Any

import httpx

TASK_SECONDS = 10.0
LIMIT = 3


def probe(url: str, seconds: float, stop: threading.Event | None = None) -> list[float]:
    """Return how long /system_stats takes, asked every 50 ms."""
    took, end = [], time.monotonic() + seconds
    with httpx.Client() as client:
        while time.monotonic() < end and not (stop and stop.is_set()):
            began = time.monotonic()
            client.get(f"{url}/system_stats")
            took.append(time.monotonic() - began)
            time.sleep(0.05)
    return took


def percentile_95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def test_two_nodes_of_one_graph_overlap(comfy: Any, sandbox: Any, graphs: Any) -> None:
    sandbox.tasks_take(seconds=6)
    prompt = graphs.motion()
    other = graphs.motion()
    prompt |= {"motion2": other["motion"], "save2": graphs.save("motion2")}
    comfy.succeed(prompt)
    one, other = sorted(sandbox.tasks(), key=lambda task: int(task["created_at"]))[-2:]
    assert int(other["created_at"]) < int(one["updated_at"]), "the second began before the first ended"


def test_eight_items_at_a_limit_of_three_take_little_longer_than_they_must(
    comfy: Any, sandbox: Any, graphs: Any, figure: Any
) -> None:
    def seconds_of_eight() -> float:
        prompt = graphs.motion(image=["many", 0])
        prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 8, "seed": graphs.new_take()}}
        began = time.monotonic()
        ended = comfy.succeed(prompt)
        assert len(ended.entry["outputs"]["save"]["images"]) == 8
        return time.monotonic() - began

    idle = percentile_95(probe(comfy.url, 3))
    sandbox.tasks_take(seconds=0)
    work = seconds_of_eight()
    sandbox.tasks_take(seconds=TASK_SECONDS)
    done, busy = threading.Event(), []
    watcher = threading.Thread(target=lambda: busy.extend(probe(comfy.url, 240, done)))
    watcher.start()
    took = seconds_of_eight()
    done.set()
    watcher.join()
    ideal = math.ceil(8 / LIMIT) * TASK_SECONDS
    figure(
        f"8 items at a limit of 3: {took:.1f} s, ideally {ideal:.0f} s and {work:.1f} s of work;"
        f" 95th percentile of /system_stats {percentile_95(busy) * 1000:.0f} ms, idle {idle * 1000:.0f} ms"
    )
    assert took <= 1.15 * (ideal + work)
    assert percentile_95(busy) <= max(0.1, 5 * idle)


def test_equal_items_of_a_list_share_one_job(comfy: Any, sandbox: Any, graphs: Any) -> None:
    before = len(sandbox.creates())
    prompt = graphs.motion(image=["many", 0])
    inputs = {"count": 4, "equal": 1, "seed": graphs.new_take()}
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": inputs}
    ended = comfy.succeed(prompt)
    assert len(ended.entry["outputs"]["save"]["images"]) == 4
    assert len(sandbox.creates()) == before + 1


def test_an_item_that_is_skipped_is_missing_from_the_next_node_and_nothing_else_is(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    sandbox.set(quick_results=False)
    sandbox.script("create", "code-1301")
    before = len(sandbox.creates())
    prompt = graphs.motion(image=["many", 0], on_failure="skip")
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 2, "seed": graphs.new_take()}}
    source = {"motion_source": "video", "motion_source.video": ["motion", 0]}
    own_id = f"host-lane-{graphs.new_take()}"
    prompt["next"] = graphs.motion(external_task_id=own_id, **source)["motion"]
    prompt["save_next"] = graphs.save("next")
    ended = comfy.succeed(prompt)
    assert len(ended.entry["outputs"]["save"]["images"]) == 1
    assert len(ended.entry["outputs"]["save_next"]["images"]) == 1, "one item is left, so it may have the id"
    assert len(sandbox.creates()) == before + 3


def test_max_units_holds_over_all_items_of_a_list(comfy: Any, sandbox: Any, graphs: Any) -> None:
    before = len(sandbox.creates())
    prompt = graphs.motion(image=["many", 0], max_units=5.0, on_failure="skip")
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 4, "seed": graphs.new_take()}}
    ended = comfy.succeed(prompt)
    assert len(ended.entry["outputs"]["save"]["images"]) == 2, "2 units each"
    assert len(sandbox.creates()) == before + 2


def test_a_list_that_cannot_be_afforded_buys_nothing(comfy: Any, sandbox: Any, graphs: Any) -> None:
    before = len(sandbox.creates())
    prompt = graphs.motion(image=["many", 0], max_units=5.0)
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 4, "seed": graphs.new_take()}}
    ended = comfy.run(prompt)
    assert not ended.ok
    message = ended.error["exception_message"]
    assert "The 4 items of this node together would reserve 8 units" in message
    assert "limit of 5 units (max_units)" in message
    assert len(sandbox.creates()) == before
    prompt["many"]["inputs"]["equal"] = 1
    ended = comfy.succeed(prompt)
    assert len(ended.entry["outputs"]["save"]["images"]) == 4, "equal items are one job of 2 units"


def test_the_items_that_a_limit_stops_say_what_was_submitted(comfy: Any, sandbox: Any, graphs: Any) -> None:
    prompt = graphs.motion(image=["many", 0], max_units=5.0, on_failure="skip")
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 3, "seed": graphs.new_take()}}
    with comfy.listening() as listener:
        assert comfy.ended(comfy.queue(prompt, listener.client_id)).ok
        last = listener.texts()[-1]
    assert last.startswith("3 items: 2 done, 1 failed")
    assert "This item was not submitted." in last
    assert "Nothing was submitted" not in last


def test_fifty_characters_survive_a_refusal_and_a_kill(own_comfy: Any, sandbox: Any, graphs: Any) -> None:
    comfy = own_comfy(KLING_ONCE_MAX_PARALLEL="5").start()
    before = len(sandbox.creates())
    sandbox.script("create", *["ok"] * 7, "code-1301")
    prompt = graphs.motion(image=["many", 0], on_failure="skip")
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 50, "seed": graphs.new_take()}}
    comfy.queue(prompt)
    deadline = time.monotonic() + 120
    while len(sandbox.creates()) < before + 20:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    comfy.kill()
    comfy.start()
    ended = comfy.succeed(prompt, 240)
    assert len(ended.entry["outputs"]["save"]["images"]) == 49
    assert len(sandbox.creates()) == before + 50


def test_the_page_reads_how_many_items_are_done_and_failed(comfy: Any, sandbox: Any, graphs: Any) -> None:
    sandbox.script("create", "code-1301", "ok", "ok", "stall-3-after-accept")
    prompt = graphs.motion(image=["many", 0], on_failure="skip")
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 4, "seed": graphs.new_take()}}
    prompt["motion"]["class_type"] = "KlingOnce_SubmitMotionControl"
    del prompt["save"]
    with comfy.listening() as listener:
        assert comfy.ended(comfy.queue(prompt, listener.client_id)).ok
        texts = listener.texts()
    last = [text for text in texts if text.startswith("4 items: 2 done, 1 failed")][-1].splitlines()
    assert len(last) == 3, "the one that is under way, and the one that failed"
    assert "submitting" in last[1]
    assert "moderation" in last[2]


def test_the_page_reads_that_frames_are_decoded(comfy: Any, sandbox: Any, graphs: Any) -> None:
    sandbox.set(quick_results=False)
    prompt = graphs.motion(mode="pro") | {"show": graphs.show("motion", 1)}
    with comfy.listening() as listener:
        assert comfy.ended(comfy.queue(prompt, listener.client_id)).ok
        assert any(text.startswith("decoding | ") for text in listener.texts())


def test_the_page_of_the_client_that_queued_is_told(comfy: Any, sandbox: Any, graphs: Any) -> None:
    sandbox.tasks_take(seconds=3)
    with comfy.listening() as mine, comfy.listening() as other:
        comfy.ended(comfy.queue(graphs.motion(), mine.client_id))
        texts = mine.texts()
        assert any("waiting for Kling" in text and "task " in text and "units" in text for text in texts)
        assert any("of about" in text for text in texts), "learned from this ledger's past"
        progress = [
            event.data["nodes"]["motion"]["value"]
            for event in mine.of("progress_state")
            if "motion" in event.data["nodes"]
        ]
        assert progress == sorted(progress)
        assert len(set(progress)) > 3
        assert other.texts() == []
