"""One job, one create: however often it is queued, whatever is wired, whatever is restarted or killed."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest


def creates(sandbox: Any) -> int:
    return len([call for call in sandbox.creates() if call["status"] == 200])


def test_queueing_again_restarting_and_wiring_frames_later_submit_once(
    own_comfy: Any, sandbox: Any, graphs: Any
) -> None:
    before = creates(sandbox)
    comfy = own_comfy().start()
    prompt = graphs.motion()
    comfy.succeed(prompt)
    again = comfy.succeed(prompt)
    assert "motion" in again.messages["execution_cached"]["nodes"]
    comfy.kill()
    comfy.start()
    comfy.succeed(prompt)
    wired = comfy.succeed(prompt | {"show": graphs.show("motion", 1), "hear": graphs.show("motion", 2)})
    frames, sound = wired.seen("show")[0], wired.seen("hear")[0]
    assert frames["shape"][0] > 30
    assert frames["shape"][-1] == 3
    assert sound["waveform"][:1] == [1]
    assert "motion" not in wired.messages["execution_cached"]["nodes"]
    still_wired = comfy.succeed(prompt | {"show": graphs.show("motion", 1), "hear": graphs.show("motion", 2)})
    assert "motion" in still_wired.messages["execution_cached"]["nodes"]
    assert creates(sandbox) == before + 1


def test_sound_alone_is_decoded_without_frames(comfy: Any, graphs: Any) -> None:
    prompt = graphs.motion() | {"hear": graphs.show("motion", 2), "fps": graphs.show("motion", 3)}
    ended = comfy.succeed(prompt)
    sound = ended.seen("hear")[0]
    assert sound["waveform"][-1] / sound["sample_rate"] == pytest.approx(4.0, abs=0.2)
    silent = graphs.motion(keep_original_sound=False) | {"hear": graphs.show("motion", 2)}
    assert comfy.succeed(silent).seen("hear") == [None]


def test_a_result_file_that_is_deleted_is_fetched_again_free(comfy: Any, sandbox: Any, graphs: Any) -> None:
    prompt = graphs.motion() | {"report": graphs.show("motion", 8), "file": graphs.show("motion", 0)}
    first = comfy.succeed(prompt)
    before = creates(sandbox)
    kept = first.seen("file")[0]["file"]
    (comfy.base / "output" / kept).unlink()
    second = comfy.succeed(prompt)
    assert second.seen("file")[0]["file"] == kept
    third = comfy.succeed(prompt)
    assert "motion" in third.messages["execution_cached"]["nodes"]
    assert creates(sandbox) == before


def test_a_node_that_another_node_puts_in_is_paid_once_and_knows_its_wires(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    prompt = graphs.inputs()
    inputs = {"image": ["image", 0], "video": ["clip", 0], "take": graphs.new_take()}
    prompt["loop"] = {"class_type": "Probe_Expand", "inputs": inputs}
    prompt["save"] = graphs.save("loop")
    before = creates(sandbox)
    comfy.succeed(prompt)
    prompt["report"] = graphs.show("loop", 1)
    comfy.succeed(prompt)
    assert creates(sandbox) == before + 1
    rows = signatures(comfy)
    prompt["loop"]["inputs"]["take"] = graphs.new_take()
    comfy.succeed(prompt)
    assert len(signatures(comfy)) == len(rows) + 1, "two graphs are two graphs"


def signatures(comfy: Any) -> set[str]:
    ledger = Path(comfy.environment["KLING_DIRECT_HOME"]) / "ledger.db"
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as connection:
        found = {row[0] for row in connection.execute("SELECT signature FROM graphs")}
    connection.close()
    return found


def test_killed_in_mid_wait_the_next_queueing_picks_the_task_up(
    own_comfy: Any, sandbox: Any, graphs: Any
) -> None:
    before = creates(sandbox)
    sandbox.tasks_take(seconds=8)
    comfy = own_comfy().start()
    prompt = graphs.motion() | {"report": graphs.show("motion", 8)}
    with comfy.listening() as listener:
        comfy.queue(prompt, listener.client_id)
        listener.wait_for("progress_text", lambda data: "waiting for Kling" in data[1])
        comfy.kill()
    comfy.start()
    ended = comfy.succeed(prompt)
    assert "nothing was submitted" in ended.seen("report")[0]
    assert creates(sandbox) == before + 1


STAGES = {
    "check": "",
    "queue": "waiting for a place",
    "submit": "submitting",
    "wait": "waiting for Kling",
    "download": "downloading",
}


@pytest.mark.parametrize("stage", STAGES)
def test_interrupt_ends_within_a_second_and_the_next_queueing_submits_once(
    comfy: Any, sandbox: Any, graphs: Any, stage: str
) -> None:
    before = creates(sandbox)
    blocking = None
    if stage == "submit":
        sandbox.script("create", "stall-3-after-accept")
    elif stage == "wait":
        sandbox.tasks_take(seconds=6)
    elif stage == "download":
        sandbox.script("result", "stall-6")
    elif stage == "queue":
        sandbox.tasks_take(seconds=6)
        blocking = [graphs.motion() for _ in range(3)]
    prompt = graphs.motion()
    if blocking:
        for number, other in enumerate(blocking):
            prompt[f"motion{number}"] = other["motion"]
            prompt[f"save{number}"] = graphs.save(f"motion{number}")
        prompt["motion"] = prompt.pop("motion")
        prompt["save"] = prompt.pop("save")
    with comfy.listening() as listener:
        comfy.queue(prompt, listener.client_id)
        if STAGES[stage]:
            listener.wait_for("progress_text", lambda data: STAGES[stage] in data[1])
        else:
            listener.wait_for("executing", lambda data: data["node"] == "motion")
        asked = time.monotonic()
        comfy.post("/interrupt")
        interrupted = listener.wait_for("execution_interrupted")
    assert interrupted.at - asked < 1.0
    comfy.succeed(prompt)
    assert creates(sandbox) == before + 1 + len(blocking or ())


def test_interrupt_in_an_encode_ends_within_two_seconds_and_spends_nothing(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    before = creates(sandbox)
    prompt = graphs.motion(**{"motion_source": "video", "motion_source.video": ["made", 0]})
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 90, "equal": 1, "side": 1080}}
    prompt["made"] = {"class_type": "CreateVideo", "inputs": {"images": ["many", 1], "fps": 30.0}}
    with comfy.listening() as listener:
        comfy.queue(prompt, listener.client_id)
        listener.wait_for("progress_text", lambda data: "conforming" in data[1])
        asked = time.monotonic()
        comfy.post("/interrupt")
        interrupted = listener.wait_for("execution_interrupted")
    assert interrupted.at - asked < 2.0
    assert creates(sandbox) == before


def test_interrupt_in_a_decode_ends_within_a_second(comfy: Any, sandbox: Any, graphs: Any) -> None:
    sandbox.set(quick_results=False)
    prompt = graphs.motion(mode="pro")
    comfy.succeed(prompt)
    before = creates(sandbox)
    with comfy.listening() as listener:
        comfy.queue(prompt | {"show": graphs.show("motion", 1)}, listener.client_id)
        listener.wait_for("executing", lambda data: data["node"] == "motion")
        time.sleep(0.7)  # the decode has begun by then, and takes seconds
        asked = time.monotonic()
        comfy.post("/interrupt")
        interrupted = listener.wait_for("execution_interrupted")
    assert interrupted.at - asked < 1.0
    comfy.succeed(prompt | {"show": graphs.show("motion", 1)})
    assert creates(sandbox) == before


def test_a_neighbour_that_fails_during_a_slow_create_loses_nothing(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    before = creates(sandbox)
    sandbox.script("create", "stall-4-after-accept")
    prompt = graphs.motion()
    failing = prompt | {"fail": {"class_type": "Probe_FailAfter", "inputs": {"seconds": 2.5}}}
    ended = comfy.run(failing)
    assert "on purpose" in ended.error["exception_message"]
    report = comfy.succeed(prompt | {"report": graphs.show("motion", 8)}).seen("report")[0]
    assert "Task " in report
    assert creates(sandbox) == before + 1
