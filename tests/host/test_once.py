"""One job, one create: however often it is queued, whatever is wired, whatever is restarted or killed."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.host.relay import Relay
from tests.slowness import Stopwatch


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
    ledger = Path(comfy.environment["KLING_ONCE_HOME"]) / "ledger.db"
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
    "settle": "finding out what became of the submit",
    "wait": "waiting for Kling",
    "download": "downloading",
}


def interrupted_after(comfy: Any, prompt: Any, node: str, text: str, pause_seconds: float = 0.0) -> float:
    """Interrupt when a node tells that text, or begins; return how long ComfyUI took to end the prompt.

    Seconds are those of a machine that does nothing else.
    """
    watch = Stopwatch()
    with comfy.listening() as listener:
        comfy.queue(prompt, listener.client_id)
        if text:
            listener.wait_for("progress_text", lambda data: data[0] == node and text in data[1])
        else:
            listener.wait_for("executing", lambda data: data["node"] == node)
            time.sleep(pause_seconds)
        watch.restart()
        comfy.post("/interrupt")
        return watch.seconds(listener.wait_for("execution_interrupted").at)


@pytest.mark.parametrize("stage", STAGES)
def test_interrupt_ends_within_a_second_and_the_next_queueing_submits_once(
    comfy: Any, sandbox: Any, graphs: Any, stage: str
) -> None:
    if stage == "submit":
        sandbox.script("create", "stall-3-after-accept")
    elif stage == "settle":
        sandbox.script("create", "accept-late-2")
    elif stage == "wait":
        sandbox.tasks_take(seconds=6)
    elif stage == "download":
        sandbox.script("result", "stall-6")
    elif stage == "queue":
        sandbox.tasks_take(seconds=6)
        comfy.succeed(submits(graphs, 3))
    before = len(sandbox.creates())
    prompt = graphs.motion()
    assert interrupted_after(comfy, prompt, "motion", STAGES[stage]) < 1.0
    comfy.succeed(prompt)
    assert len(sandbox.creates()) == before + 1


def submits(graphs: Any, count: int) -> Any:
    """Return a prompt that ends when its tasks exist; they hold all places of this server until they end."""
    prompt = graphs.inputs()
    for number in range(count):
        node = graphs.motion()["motion"]
        prompt[f"submit{number}"] = node | {"class_type": "KlingOnce_SubmitMotionControl"}
    return prompt


def test_interrupt_while_the_clip_is_handed_over_sends_nothing(
    own_comfy: Any, sandbox: Any, graphs: Any
) -> None:
    with Relay(sandbox.origin, b"POST /sandbox/files ") as relay:
        comfy = own_comfy(KLING_ONCE_SANDBOX_URL=relay.origin).start()
        comfy.succeed(graphs.motion())
        relay.hold()
        before = creates(sandbox)
        prompt = graphs.motion()
        assert interrupted_after(comfy, prompt, "motion", "handing the clip over") < 1.0
        relay.let_through()
        comfy.succeed(prompt)
        assert creates(sandbox) == before + 1


OTHERS = {"submit": "submitting", "collect": "waiting for Kling", "fetch": "waiting for Kling"}


@pytest.mark.parametrize("node", OTHERS)
def test_interrupt_of_the_other_waiting_nodes_ends_within_a_second(
    comfy: Any, sandbox: Any, graphs: Any, node: str
) -> None:
    prompt = graphs.motion()
    del prompt["save"]
    prompt["submit"] = prompt.pop("motion") | {"class_type": "KlingOnce_SubmitMotionControl"}
    handle = {"job": ["submit", 0]}
    prompt["collect"] = {"class_type": "KlingOnce_CollectMotionControl", "inputs": handle}
    if node == "fetch":
        del prompt["collect"]
        inputs = {"id": ["submit", 1], "service": "sandbox"}
        prompt["fetch"] = {"class_type": "KlingOnce_FetchTask", "inputs": inputs}
    prompt["save"] = graphs.save("fetch" if node == "fetch" else "collect")
    if node == "submit":
        sandbox.script("create", "stall-3-after-accept")
    else:
        sandbox.tasks_take(seconds=6)
    before = creates(sandbox)
    assert interrupted_after(comfy, prompt, node, OTHERS[node]) < 1.0
    comfy.succeed(prompt)
    assert creates(sandbox) == before + 1


def test_interrupt_of_a_check_in_an_encode_ends_within_two_seconds(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    prompt = graphs.motion(**{"motion_source": "video", "motion_source.video": ["made", 0]})
    del prompt["save"]
    prompt["motion"]["class_type"] = "KlingOnce_CheckMotionControl"
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 90, "equal": 1, "side": 1080}}
    prompt["made"] = {"class_type": "CreateVideo", "inputs": {"images": ["many", 1], "fps": 30.0}}
    before = len(sandbox.calls())
    assert interrupted_after(comfy, prompt, "motion", "", 0.5) < 2.0
    assert len(sandbox.calls()) == before


def test_interrupt_of_video_frames_ends_within_a_second(comfy: Any, sandbox: Any, graphs: Any) -> None:
    sandbox.set(quick_results=False)
    prompt = graphs.motion(mode="pro")
    comfy.succeed(prompt)
    frames = {"frames": {"class_type": "KlingOnce_VideoFrames", "inputs": {"video": ["motion", 0]}}}
    prompt |= frames | {"show": graphs.show("frames", 0)}
    assert interrupted_after(comfy, prompt, "frames", "", 0.5) < 1.0
    assert comfy.succeed(prompt).seen("show")[0]["shape"][0] == 120


def test_interrupt_in_an_encode_ends_within_two_seconds_and_spends_nothing(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    before = creates(sandbox)
    prompt = graphs.motion(**{"motion_source": "video", "motion_source.video": ["made", 0]})
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 90, "equal": 1, "side": 1080}}
    prompt["made"] = {"class_type": "CreateVideo", "inputs": {"images": ["many", 1], "fps": 30.0}}
    assert interrupted_after(comfy, prompt, "motion", "conforming") < 2.0
    assert creates(sandbox) == before


def test_interrupt_in_a_decode_ends_within_a_second(comfy: Any, sandbox: Any, graphs: Any) -> None:
    sandbox.set(quick_results=False)
    prompt = graphs.motion(mode="pro")
    comfy.succeed(prompt)
    before = creates(sandbox)
    shown = prompt | {"show": graphs.show("motion", 1)}
    assert interrupted_after(comfy, shown, "motion", "", 0.7) < 1.0, "the decode has begun by then"
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
