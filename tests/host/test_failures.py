"""Failures as ComfyUI shows them: one message with the task and the next step."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

FAULTS = {
    "code-1000": "Check the key",
    "code-1100": "abnormal state",
    "code-1101": "in arrears",
    "code-1102": "resource pack is used up",
    "code-1103": "no right to this API or model",
    "code-1201": "a value is not valid",
    "code-1301": "moderation",
    "code-1304": "not on the account's IP list",
    "status-503 status-503 status-503": "every answer was lost",
    "reset-before-accept reset-before-accept reset-before-accept": "Nothing more was submitted",
    "task-failed": "Task failed due to an internal error",
    "task-failed-input": "No complete upper body",
    "task-failed-charged": "At Kling the charge would be: 2 units.",
}


def assert_plain(ended: Any, *, wanted: str, task: bool) -> str:
    error = ended.error
    message = error["exception_message"].strip()
    assert wanted in message
    assert "\n" not in message
    assert "Traceback" not in message
    assert error["exception_type"] == "kling_once.KlingOnceFailure"
    ours = [line for line in error["traceback"] if "kling-once" in line]
    assert len(ours) <= 1, "nothing but the line that raises"
    assert not any("kling_once/" in line for line in ours)
    if task:
        assert "Task " in message or "task " in message
    assert message.endswith((".", ")"))
    return message


@pytest.mark.parametrize("fault", FAULTS)
def test_what_kling_refuses_or_fails_ends_in_one_message(
    comfy: Any, sandbox: Any, graphs: Any, fault: str
) -> None:
    sandbox.script("create", *fault.split())
    ended = comfy.run(graphs.motion())
    assert_plain(ended, wanted=FAULTS[fault], task=fault.startswith("task"))


URL = {"motion_source": "url", "motion_source.url": "https://example.com/dance.mp4"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a limit to spending": ({"max_units": 1.0}, "limit of 1 units (max_units)"),
    "no media host": ({"service": "kling"}, "KLING_ONCE_PUBLIC_URL"),
    "an unknown profile": ({"service": "kling", "profile": "studio"} | URL, "Profile 'studio' is not in"),
    "a callback to a stranger": (
        {"callback_url": "https://stranger.example.com/x"},
        "KLING_ONCE_CALLBACK_ORIGINS",
    ),
    "a link that is none": ({"motion_source": "url", "motion_source.url": "ftp://example.com/x"}, "https"),
    "a clip that changes its shot": ({"motion_source.video": ["cut", 0]}, "changes its shot at 0:02"),
    "a clip that cannot be read": ({"motion_source.video": ["broken", 0]}, "broken"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_before_anything_is_sent_ends_in_one_message(
    comfy: Any, sandbox: Any, graphs: Any, what: str
) -> None:
    inputs, wanted = REFUSED[what]
    write_cut(comfy.base / "input" / "cut.mp4")
    (comfy.base / "input" / "broken.mp4").write_bytes(b"no video at all" * 100)
    prompt = graphs.motion(**{"motion_source": "video", "motion_source.video": ["clip", 0]} | inputs)
    for name in ("cut", "broken"):
        prompt[name] = {"class_type": "LoadVideo", "inputs": {"file": f"{name}.mp4"}}
    before = len(sandbox.creates())
    assert_plain(comfy.run(prompt), wanted=wanted, task=False)
    assert len(sandbox.creates()) == before


def write_cut(path: Path) -> None:
    """Write 4 s of 640 x 480 whose second half is another place."""
    random = np.random.default_rng(1)
    places = [random.integers(0, 255, (480, 640, 3), np.uint8) for _ in range(2)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(places[number // 50] // 2 + number // 50 * 120, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_a_task_id_of_ones_own_that_is_taken_names_the_task(comfy: Any, sandbox: Any, graphs: Any) -> None:
    own_id = f"host-lane-{graphs.new_take()}"
    comfy.succeed(graphs.motion(external_task_id=own_id))
    before = len(sandbox.creates())
    ended = comfy.run(graphs.motion(external_task_id=own_id))
    assert_plain(ended, wanted="belongs to another job", task=True)
    assert len(sandbox.creates()) == before


def test_a_link_to_a_private_place_is_not_followed_and_queueing_again_delivers(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    sandbox.script("result", "redirect-private")
    prompt = graphs.motion()
    before = len(sandbox.creates())
    assert_plain(comfy.run(prompt), wanted="not an https link", task=True)
    comfy.succeed(prompt)
    assert len(sandbox.creates()) == before + 1


def test_a_refusal_by_moderation_is_repeated_and_nothing_is_submitted(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    sandbox.script("create", "code-1301")
    prompt = graphs.motion()
    comfy.run(prompt)
    before = len(sandbox.creates())
    message = assert_plain(comfy.run(prompt), wanted="nothing was submitted again", task=False)
    assert "raise take" in message
    assert len(sandbox.creates()) == before


def test_a_result_that_kling_has_cleared_is_told_with_date_and_price_and_only_a_new_take_pays(
    own_comfy: Any, own_sandbox: Any, graphs: Any
) -> None:
    comfy = own_comfy(KLING_ONCE_SANDBOX_URL=own_sandbox.origin).start()
    prompt = graphs.motion()
    comfy.succeed(prompt)
    (task,) = own_sandbox.creates()
    for path in (comfy.base / "output" / "kling_once").rglob("*.mp4"):
        path.unlink()
    own_sandbox.stop()
    own_sandbox.start("--days-ahead", "31")

    for _ in range(2):
        message = assert_plain(comfy.run(prompt), wanted="past the 30 days", task=True)
        assert f"{datetime.now(UTC):%Y-%m-%d}" in message
        assert "units" in message
        assert "raise take" in message
        assert task["answer"]["data"]["task_id"] in message
    assert len(own_sandbox.creates()) == 1

    comfy.succeed(graphs.motion())
    assert len(own_sandbox.creates()) == 2


def test_what_went_wrong_stays_under_the_node(comfy: Any, sandbox: Any, graphs: Any) -> None:
    sandbox.script("create", "task-failed")
    with comfy.listening() as listener:
        ended = comfy.ended(comfy.queue(graphs.motion(), listener.client_id))
        message = assert_plain(ended, wanted="internal error. Task ", task=True)
        assert listener.texts()[-1] == message


def test_a_full_account_is_waited_for(comfy: Any, sandbox: Any, graphs: Any) -> None:
    sandbox.script("create", "code-1303", "code-1302")
    comfy.succeed(graphs.motion())


def test_a_damaged_download_says_how_to_go_on_and_queueing_again_delivers(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    sandbox.script("result", "not-a-video")
    prompt = graphs.motion()
    before = len(sandbox.creates())
    message = assert_plain(comfy.run(prompt), wanted="not a playable video", task=True)
    assert "again" in message
    comfy.succeed(prompt)
    assert len(sandbox.creates()) == before + 1


def test_a_wait_that_is_over_names_the_task_and_queueing_again_collects(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    sandbox.tasks_take(seconds=4)
    prompt = graphs.motion(wait_minutes=0.01)
    before = len(sandbox.creates())
    assert_plain(comfy.run(prompt), wanted="goes on at Kling", task=True)
    prompt["motion"]["inputs"]["wait_minutes"] = 1.0
    comfy.succeed(prompt)
    assert len(sandbox.creates()) == before + 1


def test_a_batch_is_refused_with_advice(comfy: Any, sandbox: Any, graphs: Any) -> None:
    prompt = graphs.motion(image=["many", 1])
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 4}}
    before = len(sandbox.creates())
    message = assert_plain(comfy.run(prompt), wanted="batch of 4 pictures", task=False)
    assert "Rebatch Images" in message
    assert len(sandbox.creates()) == before


def test_inputs_that_break_limits_are_all_named_and_nothing_is_sent(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    prompt = graphs.motion(prompt="x" * 2501, element_id="abc", conform="off", image=["many", 0])
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 1, "side": 200}}
    before = len(sandbox.creates())
    message = assert_plain(comfy.run(prompt), wanted="2501", task=False)
    assert "abc" in message
    assert "200" in message
    assert len(sandbox.creates()) == before


def test_kling_without_a_key_says_where_to_put_one(own_comfy: Any, graphs: Any) -> None:
    comfy = own_comfy(KLINGAI_API_KEY="", KLINGAI_BASE_URL="").start()
    prompt = graphs.motion(
        service="kling", motion_source="url", **{"motion_source.url": "https://example.com/dance.mp4"}
    )
    message = assert_plain(comfy.run(prompt), wanted="No Kling key is configured", task=False)
    assert "KLINGAI_API_KEY" in message
    assert "credentials.json" in message
    assert "sandbox needs no key" in message


def test_a_service_that_cannot_be_reached_says_that_nothing_was_submitted(comfy: Any, graphs: Any) -> None:
    ended = comfy.run(graphs.motion(service="kling", **URL), 60)
    message = assert_plain(ended, wanted="127.0.0.1:9", task=False)
    assert "othing was s" in message


def test_skip_blocks_one_item_and_delivers_the_others(comfy: Any, sandbox: Any, graphs: Any) -> None:
    prompt = graphs.motion(image=["many", 0], on_failure="skip")
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 3, "seed": 77}}
    sandbox.script("create", "ok", "code-1301", "ok")
    with comfy.listening() as listener:
        ended = comfy.ended(comfy.queue(prompt, listener.client_id))
        assert ended.ok
        blocked = listener.wait_for("execution_error")
    assert len(ended.entry["outputs"]["save"]["images"]) == 2
    assert "moderation" in blocked.data["exception_message"]
    before = len(sandbox.creates())
    comfy.succeed(prompt)
    assert len(sandbox.creates()) == before


def test_a_failure_that_stops_lets_the_other_items_go_unsent(
    own_comfy: Any, sandbox: Any, graphs: Any
) -> None:
    comfy = own_comfy().start()  # its ledger has not learned from the refusals of other tests
    sandbox.tasks_take(seconds=120)
    sandbox.script("create", "ok", "code-1301")
    before = len(sandbox.creates())
    prompt = graphs.motion(image=["many", 0])
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 20, "seed": graphs.new_take()}}
    assert_plain(comfy.run(prompt, 100), wanted="moderation", task=False)
    assert len(sandbox.creates()) <= before + 4, "3 at once, and the one that got the refused one's place"


ODD = (
    ("max_units", "nan", "max_units is 'nan'; it must be a number"),
    ("mode", "text", "mode is 'no such thing'"),
    ("cuts", "text", "cuts is 'no such thing'; it may be: refuse; send"),
    ("take", "text", "take is 'no such thing'; it must be a number"),
    ("image", "none", "Nothing came over image"),
    ("image", "text", "image is a tensor, one picture as ComfyUI's IMAGE; a str came"),
    ("motion_source.video", "none", "Nothing came over motion_source.video"),
    ("motion_source.video", "text", "video is a clip, as ComfyUI's VIDEO; a str came"),
)


@pytest.mark.parametrize(("name", "kind", "wanted"), ODD)
def test_a_wired_value_that_cannot_be_meant_is_answered_in_words(
    comfy: Any, sandbox: Any, graphs: Any, name: str, kind: str, wanted: str
) -> None:
    before = len(sandbox.creates())
    prompt = graphs.motion(**{"motion_source": "video", "motion_source.video": ["clip", 0], name: ["odd", 0]})
    prompt["odd"] = {"class_type": "Probe_Odd", "inputs": {"kind": kind}}
    assert_plain(comfy.run(prompt), wanted=wanted, task=False)
    assert len(sandbox.creates()) == before


def test_nothing_wired_counts_as_the_default(comfy: Any, sandbox: Any, graphs: Any) -> None:
    names = ("prompt", "model", "service", "keep_original_sound", "max_units", "wait_minutes", "conform")
    prompt = graphs.motion(**{name: ["odd", 0] for name in names})
    prompt["odd"] = {"class_type": "Probe_Odd", "inputs": {"kind": "none"}}
    comfy.succeed(prompt)
    body = sandbox.creates()[-1]["body"]
    assert not body.get("prompt")
    assert (body["model_name"], body["keep_original_sound"]) == ("kling-v2-6", "yes")


def test_frames_of_a_list_that_would_not_fit_are_refused_before_money_is_spent(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    before = len(sandbox.creates())
    many = {"class_type": "Probe_Pictures", "inputs": {"count": 300, "seed": 1, "side": 300}}
    direct = graphs.motion(image=["many", 0], mode="pro") | {"many": many, "show": graphs.show("motion", 1)}
    later = graphs.motion(image=["many", 0], mode="pro") | {"many": many, "show": graphs.show("collect", 1)}
    later["motion"]["class_type"] = "KlingOnce_SubmitMotionControl"
    later["collect"] = {"class_type": "KlingOnce_CollectMotionControl", "inputs": {"job": ["motion", 0]}}
    del later["save"]
    for prompt in (direct, later):
        assert_plain(comfy.run(prompt, 300), wanted="of memory", task=False)
    assert len(sandbox.creates()) == before


def test_disable_api_nodes_refuses_kling_and_leaves_the_sandbox_alone(own_comfy: Any, graphs: Any) -> None:
    comfy = own_comfy("--disable-api-nodes").start()
    live = graphs.motion(
        service="kling", motion_source="url", **{"motion_source.url": "https://example.com/dance.mp4"}
    )
    assert_plain(comfy.run(live), wanted="--disable-api-nodes", task=False)
    listing = {"list": {"class_type": "KlingOnce_ListTasks", "inputs": {"service": "kling"}}}
    assert_plain(comfy.run(listing), wanted="--disable-api-nodes", task=False)
    assert "--disable-api-nodes" in comfy.get("/kling_once/account?service=kling")["message"]
    comfy.succeed(graphs.motion())
