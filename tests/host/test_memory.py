"""What a result costs in memory, with and without its frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

MEGABYTE = 1_000_000


def long_clip(path: Path, seconds: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 360, 640, "yuv420p"
        for number in range(seconds * 25):
            picture = np.full((640, 360, 3), 60, np.uint8)
            place = abs((number * 3) % 600 - 300)  # there and back: a jump would be a cut
            picture[200:400, place : place + 60] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def growth(comfy: Any, prompt: Any) -> tuple[int, Any]:
    """Return by how many bytes the process grew at its peak while a prompt ran."""
    Path(f"/proc/{comfy.process.pid}/clear_refs").write_text("5")
    before = comfy.rss_bytes()
    ended = comfy.succeed(prompt, 500)
    return comfy.rss_bytes("VmHWM") - before, ended


def test_a_long_result_costs_little_while_only_its_video_is_wired(
    comfy: Any, sandbox: Any, graphs: Any, figure: Any
) -> None:
    comfy.succeed(graphs.motion())
    sandbox.set(quick_results=False)
    long_clip(comfy.base / "input" / "thirty.mp4", 30)
    prompt = graphs.motion(mode="pro")
    prompt["clip"]["inputs"]["file"] = "thirty.mp4"
    grew, ended = growth(comfy, prompt | {"show": graphs.show("motion", 0)})
    width, height = ended.seen("show")[0]["size"]
    assert width * height == pytest.approx(1920 * 1080, rel=0.05)
    figure(f"30 s of 1080p, only video wired: grew by {grew / MEGABYTE:.0f} MB")
    assert grew <= 300 * MEGABYTE


def test_frames_cost_little_more_than_their_tensor(
    comfy: Any, sandbox: Any, graphs: Any, figure: Any
) -> None:
    comfy.succeed(graphs.motion())
    sandbox.set(quick_results=False)
    long_clip(comfy.base / "input" / "ten.mp4", 10)
    prompt = graphs.motion(mode="pro")
    prompt["clip"]["inputs"]["file"] = "ten.mp4"
    comfy.succeed(prompt, 300)
    grew, ended = growth(comfy, prompt | {"show": graphs.show("motion", 1)})
    frames, height, width, channels = ended.seen("show")[0]["shape"]
    tensor = frames * height * width * channels * 4
    figure(
        f"{frames} frames {width}x{height}: tensor {tensor / MEGABYTE:.0f} MB,"
        f" grew by {grew / MEGABYTE:.0f} MB"
    )
    assert frames == 300
    assert grew <= 1.1 * tensor


def test_frames_that_would_not_fit_are_refused_before_money_is_spent(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    needed = 30 * 30 * 1920 * 1080 * 12
    total = comfy.get("/system_stats")["system"]["ram_total"]
    if total > needed:  # what is free changes while ComfyUI lets go of earlier frames
        pytest.skip(
            "the frames of the longest result fit into this machine; test_failures.py has a list of them"
        )
    before = len(sandbox.creates())
    long_clip(comfy.base / "input" / "thirty.mp4", 30)
    prompt = graphs.motion(mode="pro", model="kling-v3") | {"show": graphs.show("motion", 1)}
    prompt["clip"]["inputs"]["file"] = "thirty.mp4"
    ended = comfy.run(prompt)
    assert "of memory" in ended.error["exception_message"]
    assert "Nothing was submitted" in ended.error["exception_message"]
    assert len(sandbox.creates()) == before
