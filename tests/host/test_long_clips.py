"""A clip that is longer than the limit: split, one task for each part, and joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.media.probe import probe_clip
from tests.media.long_clips import claps_heard, long_dance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLAPS = [float(second) for second in range(1, 75)]
STEP_SECONDS = 0.04


@pytest.fixture(scope="module")
def dance(comfy: Any) -> Iterator[str]:
    """Put 75 s of dance into ComfyUI's input folder."""
    path = comfy.base / "input" / "long_dance.mp4"
    long_dance(path, 75, rests=(26.4, 51.2), claps=CLAPS)
    yield path.name
    path.unlink()


def long_graph(graphs: Any, dance: str, *, overlap: float = 0.0, **inputs: Any) -> dict[str, Any]:
    source = {"motion_source": "video", "motion_source.video": ["split", 0]}
    prompt = graphs.motion(**source, **inputs)
    prompt["clip"]["inputs"]["file"] = dance
    prompt["split"] = {
        "class_type": "KlingOnce_SplitVideo",
        "inputs": {"video": ["clip", 0], "overlap": overlap},
    }
    prompt["join"] = joined("motion")
    prompt["save"] = graphs.save("join")
    prompt["report"] = graphs.show("join", 1)
    return prompt


def joined(source: str) -> dict[str, Any]:
    inputs = {"videos": [source, 0], "overlap": ["split", 1]}
    return {"class_type": "KlingOnce_JoinVideos", "inputs": inputs}


def saved(comfy: Any, ended: Any) -> Path:
    file = ended.file("save")
    return comfy.base / "output" / file["subfolder"] / file["filename"]


def test_75_seconds_become_three_tasks_and_one_video_and_are_never_bought_again(
    comfy: Any, sandbox: Any, graphs: Any, dance: str
) -> None:
    before = len(sandbox.creates())
    prompt = long_graph(graphs, dance)
    ended = comfy.succeed(prompt, 300)
    assert len(sandbox.creates()) == before + 3
    video = saved(comfy, ended)
    facts = probe_clip(video)
    assert facts.duration_seconds == pytest.approx(75, abs=1 / 30)
    assert claps_heard(video) == pytest.approx(CLAPS, abs=STEP_SECONDS)
    assert ended.seen("report")[0] == "Joined 3 videos: 1:15 (75.00 s)."
    assert ended.file("join")["type"] == "temp", "it is played at the node"
    comfy.succeed(prompt, 300)
    prompt["motion"]["inputs"]["project"] = "queued again"  # runs the nodes anew
    comfy.succeed(prompt, 300)
    assert len(sandbox.creates()) == before + 3


def test_a_part_that_moderation_refuses_is_named_and_the_others_are_joined(
    comfy: Any, sandbox: Any, graphs: Any, dance: str
) -> None:
    sandbox.script("create", "ok", "code-1301")
    before = len(sandbox.creates())
    prompt = long_graph(graphs, dance, on_failure="skip")
    ended = comfy.succeed(prompt, 300)
    assert len(sandbox.creates()) == before + 3
    first, second, *others = ended.seen("report")[0].splitlines()
    assert first.startswith("Joined 2 of 3 videos")
    assert second.split(" is missing: ")[0] in {f"Part {number} of 3" for number in (1, 2, 3)}
    assert "moderation" in second
    assert others == []
    assert 45 < probe_clip(saved(comfy, ended)).duration_seconds < 55
    comfy.succeed(prompt, 300)
    assert len(sandbox.creates()) == before + 3, "a refusal stands, and the others are kept"


def test_what_else_takes_a_skipped_video_is_blocked_in_words(
    comfy: Any, sandbox: Any, graphs: Any, dance: str
) -> None:
    sandbox.script("create", "ok", "code-1301")
    prompt = long_graph(graphs, dance, on_failure="skip") | {"other": graphs.save("motion")}
    with comfy.listening() as listener:
        ended = comfy.ended(comfy.queue(prompt, listener.client_id), 300)
        assert ended.ok
        assert len(ended.entry["outputs"]["other"]["images"]) == 2
        assert "save" not in ended.entry["outputs"]
        assert any("Skipped: " in str(event.data) for event in listener.of("execution_error"))


def test_parts_are_submitted_collected_and_joined_too(
    comfy: Any, sandbox: Any, graphs: Any, dance: str
) -> None:
    sandbox.script("create", "ok", "ok", "code-1301")
    prompt = long_graph(graphs, dance, on_failure="skip")
    prompt["motion"]["class_type"] = "KlingOnce_SubmitMotionControl"
    prompt["collect"] = {"class_type": "KlingOnce_CollectMotionControl", "inputs": {"job": ["motion", 0]}}
    prompt["join"] = joined("collect")
    ended = comfy.succeed(prompt, 300)
    assert ended.seen("report")[0].startswith("Joined 2 of 3 videos")
    assert " of 3 is missing: " in ended.seen("report")[0]


def test_an_overlap_is_paid_but_shown_once(comfy: Any, sandbox: Any, graphs: Any, dance: str) -> None:
    prompt = long_graph(graphs, dance, overlap=1.0)
    ended = comfy.succeed(prompt, 300)
    video = saved(comfy, ended)
    assert probe_clip(video).duration_seconds == pytest.approx(75, abs=0.1)
    assert claps_heard(video) == pytest.approx(CLAPS, abs=STEP_SECONDS)
    assert "encoded anew" in ended.seen("report")[0]


def test_frames_in_memory_are_split_and_joined(comfy: Any, graphs: Any, dance: str) -> None:
    few = {"video": ["clip", 0], "start_seconds": 0.0, "count": 300, "every_nth": 1, "longest_side": 64}
    prompt = graphs.inputs() | {
        "few": {"class_type": "KlingOnce_VideoFrames", "inputs": few},
        "made": {
            "class_type": "CreateVideo",
            "inputs": {"images": ["few", 0], "audio": ["few", 1], "fps": ["few", 2]},
        },
        "split": {
            "class_type": "KlingOnce_SplitVideo",
            "inputs": {"video": ["made", 0], "character_orientation": "image"},
        },
        "join": joined("split"),
        "save": graphs.save("join"),
        "report": graphs.show("join", 1),
    }
    prompt["clip"]["inputs"]["file"] = dance
    ended = comfy.succeed(prompt)
    assert ended.seen("report")[0].startswith("Joined 2 videos: 0:12")
    assert probe_clip(saved(comfy, ended)).duration_seconds == pytest.approx(12.0, abs=0.04)
    assert claps_heard(saved(comfy, ended)) == pytest.approx(CLAPS[:11], abs=STEP_SECONDS)
