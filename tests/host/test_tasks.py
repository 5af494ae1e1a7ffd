"""Submit, collect, fetch and list."""

from __future__ import annotations

import base64
from typing import Any

import httpx

from kling_once.sandbox import DEFAULT_API_KEY
from tests.host.waiting import eventually

CREATE = "/v1/videos/motion-control"


def submitted(graphs: Any, **inputs: Any) -> dict[str, Any]:
    prompt = graphs.motion(**inputs)
    prompt["motion"]["class_type"] = "KlingOnce_SubmitMotionControl"
    prompt["collect"] = {"class_type": "KlingOnce_CollectMotionControl", "inputs": {"job": ["motion", 0]}}
    prompt["save"] = graphs.save("collect")
    return prompt


def foreign_task(comfy: Any, sandbox: Any, external_id: str = "") -> str:
    """Make a task as another program would, and return its id."""
    folder = comfy.base / "input" / "kling_once"
    body = {
        "model_name": "kling-v2-6",
        "image_url": base64.b64encode((folder / "character.png").read_bytes()).decode(),
        "video_url": sandbox.upload(folder / "motion.mp4"),
        "character_orientation": "video",
        "mode": "std",
    }
    if external_id:
        body["external_task_id"] = external_id
    headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
    answer = httpx.post(f"{sandbox.origin}{CREATE}", json=body, headers=headers)
    return answer.json()["data"]["task_id"]


def fetching(graphs: Any, name: str, by: str = "task_id") -> dict[str, Any]:
    inputs = {"id": name, "by": by, "service": "sandbox"}
    return {
        "fetch": {"class_type": "KlingOnce_FetchTask", "inputs": inputs},
        "save": graphs.save("fetch"),
        "id": graphs.show("fetch", 4),
    }


def test_submit_goes_on_before_the_task_ends_and_collect_waits(comfy: Any, sandbox: Any, graphs: Any) -> None:
    sandbox.tasks_take(seconds=4)
    prompt = submitted(graphs) | {"id": graphs.show("motion", 1), "report": graphs.show("collect", 8)}
    before = len(sandbox.creates())
    with comfy.listening() as listener:
        ended = comfy.ended(comfy.queue(prompt, listener.client_id))
        assert ended.ok
        order = [event.data["node"] for event in listener.of("executing")]
        texts = listener.texts()
    assert order.index("collect") > order.index("motion")
    assert ended.seen("id")[0]
    assert len(sandbox.creates()) == before + 1
    task = ended.seen("id")[0]
    assert f"submitted | task {task}" in texts
    assert texts[-1].startswith("kept | ")
    assert texts[-1].endswith(f"free (would be 2 units) | task {task}")
    assert ended.seen("report")[0].startswith("Submitted and made once.")
    prompt["motion"]["inputs"]["project"] = "again"  # so that both run again
    again = comfy.succeed(prompt)
    assert again.seen("report")[0].startswith("Reused: ")


def test_after_a_failed_task_queueing_again_makes_the_next_attempt(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    sandbox.script("create", "task-failed")
    prompt = submitted(graphs)
    before = len(sandbox.creates())
    assert "Task failed" in comfy.run(prompt).error["exception_message"]
    comfy.succeed(prompt)
    assert len(sandbox.creates()) == before + 2


def test_a_wait_that_is_skipped_is_picked_up_by_the_next_queueing(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    sandbox.tasks_take(seconds=4)
    prompt = submitted(graphs)
    prompt["collect"]["inputs"] |= {"wait_minutes": 0.01, "on_failure": "skip"}
    before = len(sandbox.creates())
    assert "save" not in comfy.succeed(prompt).entry["outputs"]
    assert "is skipped: The task is not done" in comfy.log, "those without a page read it there"
    sandbox.tasks_take(polls=0)

    def delivered() -> bool:
        return "save" in comfy.succeed(prompt).entry["outputs"]

    eventually(delivered, "the video is delivered", pause=1)
    assert len(sandbox.creates()) == before + 1


def test_a_list_of_no_tasks_runs_nothing_behind_it(comfy: Any, graphs: Any) -> None:
    prompt = {
        "list": {"class_type": "KlingOnce_ListTasks", "inputs": {"page": 1000, "page_size": 500}},
        "ids": graphs.show("list", 1),
    }
    ended = comfy.succeed(prompt)
    assert ended.entry["outputs"]["list"]["text"] == ["No tasks on this page."]
    assert ended.seen("ids") == []


def test_a_task_that_another_program_made_is_fetched_by_either_id(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    task_id = foreign_task(comfy, sandbox)
    assert comfy.succeed(fetching(graphs, task_id)).seen("id") == [task_id]
    assert comfy.succeed(fetching(graphs, task_id)).seen("id") == [task_id]
    own_id = f"theirs-{graphs.new_take()}"
    task_id = foreign_task(comfy, sandbox, own_id)
    assert comfy.succeed(fetching(graphs, own_id, "external_task_id")).seen("id") == [task_id]


def test_an_id_that_nobody_knows_is_answered_in_words(comfy: Any, sandbox: Any, graphs: Any) -> None:
    message = comfy.run(fetching(graphs, "1234567890")).error["exception_message"]
    assert "Neither the ledger nor this sandbox account knows" in message
    message = comfy.run(fetching(graphs, "../../account/costs")).error["exception_message"]
    assert "is not a task's id" in message


def test_the_list_shows_every_task_and_never_a_link(comfy: Any, sandbox: Any, graphs: Any) -> None:
    older, newer = foreign_task(comfy, sandbox), foreign_task(comfy, sandbox)
    prompt = {
        "list": {"class_type": "KlingOnce_ListTasks", "inputs": {"page": 1, "page_size": 2}},
        "ids": graphs.show("list", 1),
    }
    ended = comfy.succeed(prompt)
    table = ended.entry["outputs"]["list"]["text"][0]
    assert older in table
    assert newer in table
    assert "http" not in table
    assert ended.seen("ids") == [newer, older]


def test_a_check_tells_price_and_problems_and_sends_nothing(comfy: Any, sandbox: Any, graphs: Any) -> None:
    before = len(sandbox.calls())
    prompt = graphs.motion(model="kling-v3", mode="pro")
    prompt["motion"]["class_type"] = "KlingOnce_CheckMotionControl"
    del prompt["save"]
    for slot, name in enumerate(("report", "ok", "seconds", "units", "usd", "image", "video")):
        prompt[f"show_{name}"] = graphs.show("motion", slot)
    ended = comfy.succeed(prompt)
    assert ended.seen("show_ok") == [True]
    assert ended.seen("show_seconds") == [4.0]
    assert ended.seen("show_units") == [4.8]
    assert ended.seen("show_usd") == [0.672]
    assert ended.seen("show_image")[0]["shape"] == [1, 640, 480, 3]
    assert ended.seen("show_video")[0]["seconds"] == 4.0
    prompt["motion"]["inputs"]["prompt"] = "x" * 2501
    refused = comfy.succeed(prompt)
    assert refused.seen("show_ok") == [False]
    assert "2501" in refused.seen("show_report")[0]
    assert len(sandbox.calls()) == before


def test_what_a_check_would_not_send_blocks_what_follows_in_words(comfy: Any, graphs: Any) -> None:
    prompt = graphs.motion(image=["many", 1])
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 4}}
    prompt["motion"]["class_type"] = "KlingOnce_CheckMotionControl"
    prompt["show_report"] = graphs.show("motion", 0)
    prompt["save"] = {"class_type": "SaveImage", "inputs": {"images": ["motion", 5], "filename_prefix": "x"}}
    with comfy.listening() as listener:
        comfy.ended(comfy.queue(prompt, listener.client_id))
        error = listener.wait_for("execution_error", lambda data: data["node_id"] == "save")
    assert "Nothing would be sent as image. image is a batch of 4 pictures" in error.data["exception_message"]


def test_a_check_answers_a_batch_and_a_limit_instead_of_failing(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    before = len(sandbox.calls())
    prompt = graphs.motion(image=["many", 1])
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 4}}
    prompt["motion"]["class_type"] = "KlingOnce_CheckMotionControl"
    del prompt["save"]
    prompt |= {"report": graphs.show("motion", 0), "ok": graphs.show("motion", 1)}
    ended = comfy.succeed(prompt)
    assert ended.seen("ok") == [False]
    assert "batch of 4 pictures" in ended.seen("report")[0]
    prompt["motion"]["inputs"] |= {"image": ["image", 0], "max_units": 0.5}
    ended = comfy.succeed(prompt)
    assert ended.seen("ok") == [False]
    assert "max_units" in ended.seen("report")[0]
    assert len(sandbox.calls()) == before
