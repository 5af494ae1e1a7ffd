"""The documented limits of the two reference files, at their edges."""

from __future__ import annotations

import asyncio
import base64
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from kling_once.sandbox.references import probe_clip
from kling_once.sandbox.rules import (
    ClipFacts,
    PictureFacts,
    judge_clip,
    judge_picture,
    units_for,
)

if TYPE_CHECKING:
    from pathlib import Path


async def image(
    bench: Any, encode: Any, width: int, height: int, kind: str = "PNG", mode: str = "RGB"
) -> Any:
    text = base64.b64encode(encode(Image.new(mode, (width, height)), kind)).decode()
    return await bench.create(image_url=text)


@pytest.mark.parametrize("size", [(300, 300), (300, 750), (750, 300), (4000, 1600)])
async def test_an_image_at_the_limits_is_accepted(bench: Any, encode: Any, size: tuple[int, int]) -> None:
    assert (await image(bench, encode, *size)).status == 200


@pytest.mark.parametrize("size", [(299, 300), (300, 299), (300, 751), (751, 300), (65537, 300), (1, 1)])
async def test_an_image_past_the_limits_is_named(bench: Any, encode: Any, size: tuple[int, int]) -> None:
    answer = await image(bench, encode, *size, mode="1")
    assert (answer.status, answer.code) == (400, 1201)
    assert answer.message.startswith("image_url: ")


async def test_a_picture_too_large_to_decode_is_judged_by_its_header(bench: Any, encode: Any) -> None:
    text = base64.b64encode(encode(Image.new("1", (16000, 12000)), "PNG")).decode()
    data = await bench.finished(image_url=text)
    answer = await bench.call("GET", data["task_result"]["videos"][0]["url"])
    assert answer.body[4:8] == b"ftyp"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP", "TIFF"])
async def test_another_image_format_is_refused_whatever_it_is_called(
    bench: Any, encode: Any, kind: str
) -> None:
    answer = await image(bench, encode, 400, 400, kind)
    assert answer.code == 1201
    assert ".jpg, .jpeg or .png" in answer.message


async def test_a_cut_off_image_is_refused(bench: Any, image_text: str) -> None:
    answer = await bench.create(image_url=image_text[: len(image_text) // 8 * 4])
    assert answer.code == 1201
    assert "damaged" in answer.message


async def test_an_image_by_url_is_counted_in_bytes(
    bench: Any, tmp_path: Path, astronaut: Any, encode: Any
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(astronaut))
    assert (await bench.create(image_url=await bench.upload(path))).status == 200
    path.write_bytes(encode(astronaut) + bytes(10_000_000))
    answer = await bench.create(image_url=await bench.upload(path))
    assert "10 MB" in answer.message


async def clip(
    bench: Any, draw_clip: Any, frames: int = 30, orientation: str = "video", **options: Any
) -> Any:
    url = await bench.upload(draw_clip(frames, **options))
    return await bench.create(video_url=url, character_orientation=orientation)


async def test_durations_at_the_limits(bench: Any, draw_clip: Any) -> None:
    assert (await clip(bench, draw_clip, 29)).code == 1201
    assert (await clip(bench, draw_clip, 100, "image")).code == 0
    assert (await clip(bench, draw_clip, 101, "image")).code == 1201
    assert (await clip(bench, draw_clip, 300)).code == 0
    answer = await clip(bench, draw_clip, 301)
    assert "3 to 30 s, got 30.100 s" in answer.message


async def test_sides_at_the_limits(bench: Any, draw_clip: Any) -> None:
    assert (await clip(bench, draw_clip, width=340, height=340)).code == 0
    assert (await clip(bench, draw_clip, width=338, height=340)).code == 1201
    assert (await clip(bench, draw_clip, width=3850, height=340)).code == 0
    assert (await clip(bench, draw_clip, width=3852, height=340)).code == 1201


@pytest.mark.media
@pytest.mark.parametrize(
    "options",
    [
        ["-movflags", "+faststart"],
        ["-movflags", "frag_keyframe+empty_moov"],
        ["-movflags", "frag_keyframe+empty_moov+default_base_moof"],
        ["-bf", "3"],
        ["-bf", "3", "-movflags", "frag_keyframe+empty_moov"],
        ["-f", "mov"],
    ],
)
@pytest.mark.parametrize(
    "sound", [["-t", "9"], ["-itsoffset", "1.5", "-t", "2"], ["-itsoffset", "-0.1", "-t", "3"]]
)
async def test_the_seconds_are_those_of_the_picture_track(
    bench: Any, ffmpeg: Any, tmp_path: Path, options: list[str], sound: list[str]
) -> None:
    path = tmp_path / "clip.mp4"
    ffmpeg(
        *("-f", "lavfi", "-t", "3.2", "-i", "testsrc2=s=352x352:r=25"),
        *("-f", "lavfi", *sound, "-i", "sine"),
        *("-pix_fmt", "yuv420p", "-preset", "ultrafast", *options),
        path,
    )
    # without an edit list FFmpeg makes the first picture wait for the sound that was encoded before it
    waits = {"-0.1": 0.13, "1.5": 0.0}.get(sound[1], 0.025) if "empty_moov" in options[-1] else 0.0
    assert 0 <= float(probe_clip(path).duration_seconds) - 3.2 <= waits
    data = await bench.finished(video_url=await bench.upload(path), keep_original_sound="yes")
    assert data["final_unit_deduction"] == "1.5"
    assert float(data["task_result"]["videos"][0]["duration"]) == pytest.approx(3.2, abs=0.14)


@pytest.mark.media
async def test_what_an_edit_list_leaves_out_does_not_count(ffmpeg: Any, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    source = ("-f", "lavfi", "-t", "6", "-i", "testsrc2=s=352x352:r=25")
    ffmpeg(*source, "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-g", "100", whole)
    ffmpeg("-ss", "1", "-i", whole, "-c", "copy", cut)
    assert probe_clip(cut).duration_seconds == pytest.approx(5, abs=0.001)


async def test_a_picture_track_that_is_too_short_is_refused_however_long_the_sound(
    bench: Any, ffmpeg: Any, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    ffmpeg(
        *("-f", "lavfi", "-t", "2.9", "-i", "testsrc2=s=352x352:r=10"),
        *("-f", "lavfi", "-t", "9", "-i", "sine"),
        *("-pix_fmt", "yuv420p", "-preset", "ultrafast"),
        path,
    )
    answer = await bench.create(video_url=await bench.upload(path))
    assert "3 to 30 s, got 2.900 s" in answer.message


async def test_mov_is_accepted_and_other_containers_are_not(bench: Any, draw_clip: Any) -> None:
    assert (await clip(bench, draw_clip, suffix=".mov")).code == 0
    others: list[dict[str, Any]] = [{"suffix": ".mkv"}, {"suffix": ".3gp", "codec": "mpeg4"}]
    for options in others:
        answer = await clip(bench, draw_clip, **options)
        assert answer.code == 1201
        assert "Video format is invalid" in answer.message


async def test_real_clips_are_judged_as_the_page_says(bench: Any, bunny: Path, bikes: Path) -> None:
    assert (await bench.create(video_url=await bench.upload(bunny))).status == 200
    answer = await bench.create(video_url=await bench.upload(bikes))
    assert "640x272" in answer.message


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9])
async def test_a_cut_off_clip_is_refused(bench: Any, bunny: Path, share: float) -> None:
    content = await asyncio.to_thread(bunny.read_bytes)
    answer = await bench.create(video_url=await bench.upload(content[: int(len(content) * share)]))
    assert answer.code == 1201
    assert "video_url" in answer.message


async def test_a_clip_is_not_refused_for_the_letters_of_its_tags(bench: Any, draw_clip: Any) -> None:
    content = await asyncio.to_thread(draw_clip().read_bytes)
    assert b"Lavf" in content
    latin = content.replace(b"Lavf", b"\xff\xfe\xe9\xe8")
    assert (await bench.create(video_url=await bench.upload(latin))).status == 200


async def test_a_text_and_an_image_are_no_clip(bench: Any, astronaut: Any, encode: Any) -> None:
    for content in (b"hello", encode(astronaut), b"\x00\x00\x00\x18ftypmp42" + bytes(1000)):
        answer = await bench.create(video_url=await bench.upload(content))
        assert answer.code == 1201


async def test_both_files_are_named_when_both_are_wrong(bench: Any, encode: Any, bikes: Path) -> None:
    text = base64.b64encode(encode(Image.new("RGB", (10, 10)), "PNG")).decode()
    answer = await bench.create(image_url=text, video_url=await bench.upload(bikes))
    assert "image_url" in answer.message
    assert "video_url" in answer.message


def test_sizes_and_sides_are_exact() -> None:
    assert judge_picture(PictureFacts(10_000_000, 65536, 26215)) == []
    assert len(judge_picture(PictureFacts(10_000_001, 65537, 299))) == 3
    assert judge_clip(ClipFacts(100_000_000, 340, 3850, Fraction(3), has_sound=False), "image") == []
    assert (
        len(judge_clip(ClipFacts(100_000_001, 339, 3851, Fraction(2999, 1000), has_sound=False), "image"))
        == 3
    )


@pytest.mark.parametrize(
    ("seconds", "model", "mode", "units"),
    [
        ("3.041", "kling-v2-6", "std", "1.5"),
        ("3.5", "kling-v2-6", "std", "2.0"),
        ("10", "kling-v3", "pro", "12.0"),
        ("30", "kling-v3", "std", "27.0"),
        ("4.5", "kling-v2-6", "pro", "4.0"),
    ],
)
def test_units_are_whole_seconds_half_up_times_the_rate(
    seconds: str, model: str, mode: str, units: str
) -> None:
    assert str(units_for(model, mode, Fraction(seconds))) == units
