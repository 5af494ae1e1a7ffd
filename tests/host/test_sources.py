"""Every kind of motion source gives the right request, and is measured as what it is."""

from __future__ import annotations

import os
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, Any

import av
import httpx
import numpy as np
import pytest

from kling_once.media.probe import probe_clip

if TYPE_CHECKING:
    from pathlib import Path


def sent(sandbox: Any) -> dict[str, Any]:
    return sandbox.creates()[-1]["body"]


def clip_sent(sandbox: Any) -> tuple[int, int, float, bool]:
    """Return width, height, seconds and whether there is sound, of the clip that the service was given."""
    data = httpx.get(sent(sandbox)["video_url"]).content
    with av.open(BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        width, height = frame.width, frame.height
        if abs(frame.rotation) == 90:
            width, height = height, width
        return width, height, (container.duration or 0) / av.time_base, bool(container.streams.audio)


def write_turned(path: Path) -> None:
    """Write 4 s of 640 x 480 and mark them as turned by a quarter, as a phone does."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(100):
            picture = np.full((480, 640, 3), 40, np.uint8)
            picture[:, number * 5 : number * 5 + 60] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    upright, turned = (
        b"".join((value & 0xFFFFFFFF).to_bytes(4, "big") for value in matrix)
        for matrix in (
            (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000),
            (0, 0x10000, 0, -0x10000, 0, 0, 480 << 16, 0, 0x40000000),
        )
    )
    place = data.index(upright, data.index(b"tkhd"))
    data[place : place + len(turned)] = turned
    path.write_bytes(data)


def test_a_trimmed_video_is_sent_and_priced_trimmed(comfy: Any, sandbox: Any, graphs: Any) -> None:
    prompt = graphs.motion(**{"motion_source": "video", "motion_source.video": ["trim", 0]})
    inputs = {"video": ["clip", 0], "start_time": 0.5, "duration": 3.2, "strict_duration": False}
    prompt["trim"] = {"class_type": "Video Slice", "inputs": inputs}
    prompt["report"] = graphs.show("motion", 8)
    ended = comfy.succeed(prompt)
    _width, _height, seconds, has_sound = clip_sent(sandbox)
    assert seconds == pytest.approx(3.2, abs=0.1)
    assert has_sound
    assert "3.2 s" in ended.seen("report")[0]


def test_a_video_in_memory_is_the_same_job_as_its_file(comfy: Any, sandbox: Any, graphs: Any) -> None:
    take = graphs.new_take()
    comfy.succeed(graphs.motion(take=take))
    before = len(sandbox.creates())
    prompt = graphs.motion(take=take, **{"motion_source": "video", "motion_source.video": ["bytes", 0]})
    prompt["bytes"] = {"class_type": "Probe_BytesVideo", "inputs": {"video": ["clip", 0]}}
    comfy.succeed(prompt)
    assert len(sandbox.creates()) == before


def test_a_video_in_memory_serves_a_list_and_two_nodes_at_once(comfy: Any, sandbox: Any, graphs: Any) -> None:
    before = len(sandbox.creates())
    source = {"motion_source": "video", "motion_source.video": ["bytes", 0]}
    prompt = graphs.motion(image=["many", 0], **source)
    other = graphs.motion(**source)
    prompt |= {"motion2": other["motion"], "save2": graphs.save("motion2")}
    prompt["bytes"] = {"class_type": "Probe_BytesVideo", "inputs": {"video": ["clip", 0]}}
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 4, "seed": graphs.new_take()}}
    for path in (comfy.base / "temp" / "kling_once").glob("clip_*"):
        path.unlink()
    ended = comfy.succeed(prompt)
    assert len(ended.entry["outputs"]["save"]["images"]) == 4
    assert len(sandbox.creates()) == before + 5
    assert len(list((comfy.base / "temp" / "kling_once").glob("clip_*"))) == 1, "no part is left"


def test_a_video_of_an_older_comfyui_is_sent_as_it_is_unless_it_is_trimmed(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    source = {"motion_source": "video", "motion_source.video": ["old", 0]}
    take = graphs.new_take()
    comfy.succeed(graphs.motion(take=take))
    before = len(sandbox.creates())
    prompt = graphs.motion(take=take, **source)
    prompt["old"] = {"class_type": "Probe_OldVideo", "inputs": {"video": ["clip", 0], "seconds": 0.0}}
    comfy.succeed(prompt)
    assert len(sandbox.creates()) == before, "the same job as the file itself"
    prompt["old"]["inputs"]["seconds"] = 3.2
    comfy.succeed(prompt)
    assert clip_sent(sandbox)[2] == pytest.approx(3.2, abs=0.1)


def test_a_phone_clip_turned_by_90_degrees_arrives_upright(comfy: Any, sandbox: Any, graphs: Any) -> None:
    path = comfy.base / "input" / "turned.mp4"
    write_turned(path)
    facts = probe_clip(path)
    assert (facts.width_px, facts.height_px) == (480, 640)
    prompt = graphs.motion()
    prompt["clip"]["inputs"]["file"] = "turned.mp4"
    comfy.succeed(prompt)
    width, height, _seconds, _sound = clip_sent(sandbox)
    assert (width, height) == (480, 640)


def test_frames_without_sound_are_sent_as_a_silent_clip(comfy: Any, sandbox: Any, graphs: Any) -> None:
    source = {
        "motion_source": "frames",
        "motion_source.frames": ["parts", 0],
        "motion_source.fps": ["parts", 2],
    }
    prompt = graphs.motion(**source)
    prompt["parts"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["clip", 0]}}
    comfy.succeed(prompt)
    _width, _height, seconds, has_sound = clip_sent(sandbox)
    assert seconds == pytest.approx(4.0, abs=0.1)
    assert not has_sound
    assert sent(sandbox)["keep_original_sound"] == "yes"


def test_frames_with_sound_carry_it(comfy: Any, sandbox: Any, graphs: Any) -> None:
    source = {
        "motion_source": "frames",
        "motion_source.frames": ["parts", 0],
        "motion_source.audio": ["parts", 1],
        "motion_source.fps": ["parts", 2],
    }
    prompt = graphs.motion(**source)
    prompt["parts"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["clip", 0]}}
    comfy.succeed(prompt)
    assert clip_sent(sandbox)[3]


def test_the_loaded_rate_of_video_helper_suite_wins_over_the_widget(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    source = {
        "motion_source": "frames",
        "motion_source.frames": ["parts", 0],
        "motion_source.fps": 30.0,
        "motion_source.video_info": ["info", 0],
    }
    prompt = graphs.motion(**source)
    prompt["parts"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["clip", 0]}}
    prompt["info"] = {"class_type": "Probe_VideoInfo", "inputs": {"fps": 12.5}}
    comfy.succeed(prompt)
    assert clip_sent(sandbox)[2] == pytest.approx(8.0, abs=0.1), "100 frames at 12.5 per second"
    prompt["info"]["inputs"]["fps"] = 0.0
    refused = comfy.run(prompt)
    assert "video_info is 0 frames per second" in refused.error["exception_message"]


def test_frames_of_video_helper_suite_itself_keep_their_rate(
    own_comfy: Any, sandbox: Any, graphs: Any
) -> None:
    """VIDEO_HELPER_SUITE names the pack's folder; what it needs is on PYTHONPATH or in ComfyUI."""
    suite = os.environ.get("VIDEO_HELPER_SUITE")
    if not suite:
        pytest.skip("VIDEO_HELPER_SUITE names no folder of that pack")
    comfy = own_comfy()
    comfy.prepare()
    (comfy.base / "custom_nodes" / "video-helper-suite").symlink_to(suite, target_is_directory=True)
    comfy.start()
    source = {
        "motion_source": "frames",
        "motion_source.frames": ["load", 0],
        "motion_source.audio": ["load", 2],
        "motion_source.video_info": ["load", 3],
    }
    prompt = graphs.motion(**source)
    clip = str(comfy.base / "input" / "kling_once" / "motion.mp4")
    inputs = {"video": clip, "force_rate": 8, "custom_width": 0, "custom_height": 0}
    inputs |= {"frame_load_cap": 0, "skip_first_frames": 0, "select_every_nth": 1}
    prompt["load"] = {"class_type": "VHS_LoadVideoPath", "inputs": inputs}
    comfy.succeed(prompt)
    _width, _height, seconds, has_sound = clip_sent(sandbox)
    assert seconds == pytest.approx(4.0, abs=0.2)
    assert has_sound


def test_a_video_made_of_frames_is_sent_as_one(comfy: Any, sandbox: Any, graphs: Any) -> None:
    prompt = graphs.motion(**{"motion_source": "video", "motion_source.video": ["made", 0]})
    prompt["parts"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["clip", 0]}}
    inputs = {"images": ["parts", 0], "fps": 25.0, "audio": ["parts", 1]}
    prompt["made"] = {"class_type": "CreateVideo", "inputs": inputs}
    comfy.succeed(prompt)
    assert clip_sent(sandbox)[3]


def test_a_url_is_sent_as_it_is(comfy: Any, sandbox: Any, graphs: Any) -> None:
    url = sandbox.upload(comfy.base / "input" / "kling_once" / "motion.mp4")
    comfy.succeed(graphs.motion(**{"motion_source": "url", "motion_source.url": url}))
    assert sent(sandbox)["video_url"] == url


def test_every_setting_reaches_the_request(comfy: Any, sandbox: Any, graphs: Any) -> None:
    own_id = f"host-lane-{graphs.new_take()}"
    comfy.succeed(
        graphs.motion(
            prompt="a red coat, slow dolly",
            model="kling-v3",
            mode="pro",
            character_orientation="image",
            keep_original_sound=False,
            element_id="9007199254740993",
            watermark=True,
            external_task_id=own_id,
        )
    )
    body = sent(sandbox)
    assert body["prompt"] == "a red coat, slow dolly"
    assert (body["model_name"], body["mode"], body["character_orientation"]) == ("kling-v3", "pro", "image")
    assert body["keep_original_sound"] == "no"
    assert str(body["element_list"][0]["element_id"]) == "9007199254740993"
    assert body["watermark_info"] == {"enabled": True}
    assert body["external_task_id"] == own_id


def test_an_id_of_ones_own_is_refused_for_a_list(comfy: Any, sandbox: Any, graphs: Any) -> None:
    before = len(sandbox.creates())
    prompt = graphs.motion(image=["many", 0], external_task_id=f"host-lane-{graphs.new_take()}")
    prompt["many"] = {"class_type": "Probe_Pictures", "inputs": {"count": 2, "seed": 5}}
    assert "names one task" in comfy.run(prompt).error["exception_message"]
    assert len(sandbox.creates()) == before


def test_video_frames_picks_what_is_asked_for(comfy: Any, graphs: Any) -> None:
    prompt = graphs.inputs()
    inputs = {"video": ["clip", 0], "start_seconds": 1.0, "count": 10, "every_nth": 2, "longest_side": 320}
    prompt["frames"] = {"class_type": "KlingOnce_VideoFrames", "inputs": inputs}
    trim = {"video": ["clip", 0], "start_time": 0.5, "duration": 1.0, "strict_duration": False}
    prompt["trim"] = {"class_type": "Video Slice", "inputs": trim}
    prompt["trimmed"] = {"class_type": "KlingOnce_VideoFrames", "inputs": {"video": ["trim", 0]}}
    prompt["core"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["trim", 0]}}
    for node, slot in (("frames", 0), ("frames", 1), ("frames", 2), ("trimmed", 0), ("core", 0)):
        prompt[f"show_{node}{slot}"] = graphs.show(node, slot)
    ended = comfy.succeed(prompt)
    shape = ended.seen("show_frames0")[0]["shape"]
    assert shape[0] == 10
    assert max(shape[1:3]) == 320
    sound = ended.seen("show_frames1")[0]
    fps = Fraction(ended.seen("show_frames2")[0]).limit_denominator(1001)
    assert sound["waveform"][-1] / sound["sample_rate"] == pytest.approx(float(10 / fps), abs=0.05)
    assert ended.seen("show_trimmed0")[0]["shape"] == ended.seen("show_core0")[0]["shape"]
