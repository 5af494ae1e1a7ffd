"""The example workflows, as ComfyUI's own page queues them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from kling_once.sandbox.backdrop import output_size

ROOT = Path(__file__).resolve().parents[2]
QUEUED = Path(__file__).parent / "queued"
NAMES = sorted(path.stem for path in QUEUED.glob("*.json"))
KEY = "host-lane-key-that-must-never-be-seen"
MOTION_SECONDS, LONG_MOTION_SECONDS = 4.0, 75.0


def prompt_of(name: str, take: int) -> dict[str, Any]:
    prompt = json.loads((QUEUED / f"{name}.json").read_text())
    for node in prompt.values():
        if "take" in node["inputs"]:
            node["inputs"]["take"] = take
    return prompt


def saved(comfy: Any, ended: Any, prompt: dict[str, Any]) -> list[Path]:
    nodes = [name for name, node in prompt.items() if node["class_type"] == "SaveVideo"]
    files = [item for name in nodes for item in ended.entry["outputs"][name]["images"]]
    return [comfy.base / "output" / item["subfolder"] / item["filename"] for item in files]


@pytest.mark.parametrize("name", NAMES)
def test_every_example_runs_to_the_end_and_its_video_plays(
    comfy: Any, sandbox: Any, graphs: Any, name: str
) -> None:
    is_long = "long" in name
    sandbox.set(quick_results=is_long)
    workflow = json.loads((ROOT / "examples" / "workflows" / f"{name}.json").read_text())
    prompt = prompt_of(name, graphs.new_take())
    ended = comfy.run(prompt, 240, workflow)
    assert ended.ok, ended.messages
    videos = saved(comfy, ended, prompt)
    assert len(videos) == len([node for node in prompt.values() if node["class_type"] == "SaveVideo"])
    scale = next((node["inputs"]["scale_by"] for node in prompt.values() if "scale_by" in node["inputs"]), 1)
    with Image.open(ROOT / "kling_once" / "demo" / "character.png") as picture:
        wanted = tuple(int(side * scale) for side in output_size(*picture.size, "std", quick=is_long))
    seconds = LONG_MOTION_SECONDS if is_long else MOTION_SECONDS
    for path in videos:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = sum(1 for _ in container.decode(stream))
            assert frames / float(stream.average_rate or 0) == pytest.approx(seconds, abs=0.2)
            assert (stream.width, stream.height) == wanted
            assert container.streams.audio
            assert "workflow" in container.metadata
        assert KEY.encode() not in path.read_bytes()


def test_the_configured_key_is_seen_nowhere(comfy: Any, graphs: Any) -> None:
    live = graphs.motion(
        service="kling", motion_source="url", **{"motion_source.url": "https://example.com/dance.mp4"}
    )
    comfy.run(live)
    comfy.succeed(graphs.motion())
    assert KEY not in json.dumps(comfy.get("/history"))
    assert KEY not in json.dumps(comfy.get("/settings"))
    assert KEY not in comfy.log
    for folder in ("output", "temp", "user", "input"):
        for path in (comfy.base / folder).rglob("*"):
            assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    home = Path(comfy.environment["KLING_ONCE_HOME"])
    assert not [path for path in home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_the_ledger_keeps_signature_and_workflow(comfy: Any, graphs: Any) -> None:
    prompt = graphs.motion()
    workflow = {"nodes": [], "mark": f"workflow {prompt['motion']['inputs']['take']}"}
    assert comfy.run(prompt, workflow=workflow).ok
    ledger = Path(comfy.environment["KLING_ONCE_HOME"]) / "ledger.db"
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT graphs.signature, workflows.text FROM graphs JOIN jobs USING (job_key)"
            " JOIN workflows ON workflows.digest = graphs.workflow WHERE jobs.take = ?",
            (prompt["motion"]["inputs"]["take"],),
        ).fetchall()
    connection.close()
    assert len(rows) == 1
    assert len(rows[0][0]) == 64
    assert json.loads(rows[0][1]) == workflow


def test_the_api_example_runs_through_its_script(comfy: Any) -> None:
    script = ROOT / "examples" / "api" / "queue_motion_control.py"
    ended = subprocess.run(
        [sys.executable, "-P", script, comfy.url], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ".mp4" in ended.stdout
