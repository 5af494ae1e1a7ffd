"""Results: real videos of the right length, size and sound, served like any file server would."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import av
import numpy as np
import pytest
from PIL import Image

from tests.slowness import Stopwatch, slowness

if TYPE_CHECKING:
    from pathlib import Path


async def download(bench: Any, data: Any, kind: str = "url", **headers: str) -> Any:
    return await bench.call("GET", data["task_result"]["videos"][0][kind], headers=headers)


def opened(content: bytes) -> Any:
    return av.open(io.BytesIO(content))


def pictures(content: bytes) -> list[np.ndarray]:
    with opened(content) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def looks_like_band(picture: np.ndarray) -> bool:
    """Tell whether the band at the foot has its colour, with the white words on it."""
    band = picture[-(picture.shape[0] // 10) :]
    red = (band[..., 0] > 110) & (band[..., 1] < 80)
    white = band.min(axis=2) > 180
    return bool(red.mean() > 0.5 and 0.01 < white.mean() < 0.4)


@pytest.mark.media
async def test_a_result_is_what_a_real_task_would_give(start: Any, bunny: Path) -> None:
    bench = await start(quick_results=False)
    data = await bench.finished(video_url=await bench.upload(bunny), watermark_info={"enabled": True})
    watch = Stopwatch()
    content = (await download(bench, data)).body
    assert watch.seconds() < 10
    with opened(content) as container:
        stream, sound = container.streams.video[0], container.streams.audio[0]
        assert (stream.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert (stream.width, stream.height) == (960, 960)
        assert stream.average_rate == 30
        assert stream.frames == 158
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
        assert container.duration == 5_266_667
        assert abs(float(sound.duration * sound.time_base) - 5.267) < 0.03
    assert content.index(b"moov") < content.index(b"mdat")
    marked = (await download(bench, data, "watermark_url")).body
    plain_frame, marked_frame = pictures(content)[40], pictures(marked)[40]
    assert looks_like_band(plain_frame)
    corner = (slice(-200, -120), slice(-200, None))
    assert np.abs(plain_frame[corner].astype(int) - marked_frame[corner]).mean() > 20


async def test_nothing_covers_the_upper_third_where_a_head_is(
    bench: Any, draw_clip: Any, encode: Any, bunny: Path
) -> None:
    green = base64.b64encode(encode(Image.new("RGB", (400, 711), (0, 180, 0)), "PNG")).decode()
    for clip in (draw_clip(30), bunny):
        data = await bench.finished(
            image_url=green, video_url=await bench.upload(clip), watermark_info={"enabled": True}
        )
        for name in ("url", "watermark_url"):
            for frame in pictures((await download(bench, data, name)).body)[::5]:
                upper = frame[: len(frame) // 3].astype(int)
                assert np.abs(upper - (0, 180, 0)).max() < 40


async def test_the_reference_picture_and_the_motion_are_in_the_result(
    bench: Any, draw_clip: Any, encode: Any
) -> None:
    green = base64.b64encode(encode(Image.new("RGB", (400, 400), (0, 180, 0)), "PNG")).decode()
    data = await bench.finished(image_url=green, video_url=await bench.upload(draw_clip(30)))
    frames = pictures((await download(bench, data)).body)
    for frame in frames:
        assert np.abs(frame[80, 5].astype(int) - (0, 180, 0)).max() < 30
    first, later = frames[0].astype(int), frames[12].astype(int)
    assert np.abs(first - later).max(axis=2).mean() > 5


@pytest.mark.parametrize(
    ("size", "mode", "expected"),
    [
        ((720, 1280), "std", (720, 1280)),
        ((1280, 720), "pro", (1920, 1088)),
        ((300, 750), "std", (608, 1520)),
        ((512, 512), "pro", (1440, 1440)),
    ],
)
async def test_the_size_follows_mode_and_picture(
    start: Any, encode: Any, size: tuple[int, int], mode: str, expected: tuple[int, int]
) -> None:
    bench = await start(quick_results=False)
    text = base64.b64encode(encode(Image.new("RGB", size, "blue"), "PNG")).decode()
    data = await bench.finished(image_url=text, mode=mode)
    with opened((await download(bench, data)).body) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == expected


@pytest.mark.parametrize("kind", ["L", "LA", "P", "RGBA", "I;16", "CMYK", "turned"])
async def test_every_kind_of_picture_is_drawn(bench: Any, astronaut: Any, encode: Any, kind: str) -> None:
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        content = encode(astronaut.resize((800, 400)), exif=exif)
    elif kind == "I;16":
        content = encode(Image.fromarray(np.full((400, 400), 40000, np.uint16)), "PNG")
    else:
        content = encode(astronaut.convert(kind), "JPEG" if kind == "CMYK" else "PNG")
    data = await bench.finished(image_url=base64.b64encode(content).decode())
    frame = pictures((await download(bench, data)).body)[0]
    assert (frame.shape[0] > frame.shape[1]) is (kind == "turned")
    assert frame[60:].mean() > 30


async def test_sound_is_kept_when_asked_for_and_there_is_some(bench: Any, bunny: Path) -> None:
    url = await bench.upload(bunny)
    tracks = []
    for changes in (
        {"video_url": url},
        {"video_url": url, "keep_original_sound": "yes"},
        {"video_url": url, "keep_original_sound": "no"},
        {"keep_original_sound": "yes"},
    ):
        data = await bench.finished(**changes)
        with opened((await download(bench, data)).body) as container:
            tracks.append(len(container.streams.audio))
    assert tracks == [1, 1, 0, 0]


async def test_quick_results_keep_length_and_sound(bench: Any, bunny: Path) -> None:
    data = await bench.finished(video_url=await bench.upload(bunny))
    with opened((await download(bench, data)).body) as container:
        assert container.duration == 5_266_667
        assert container.streams.video[0].frames == 53
        loud = [frame.to_ndarray() for frame in container.decode(audio=0)]
    assert abs(sum(piece.shape[1] for piece in loud) / 48000 - 5.3) < 0.05
    assert max(np.abs(piece).max() for piece in loud) > 0.01


@pytest.mark.parametrize("frames", [31, 32, 30])
async def test_the_length_is_exact_to_a_thirtieth(bench: Any, draw_clip: Any, frames: int) -> None:
    data = await bench.finished(video_url=await bench.upload(draw_clip(frames)))
    with opened((await download(bench, data)).body) as container:
        assert container.duration == pytest.approx(frames * 100_000, abs=1000)
    assert float(data["task_result"]["videos"][0]["duration"]) == frames / 10


async def test_a_result_is_rendered_once_and_stays_the_same(bench: Any) -> None:
    data = await bench.finished()
    answers = await asyncio.gather(*(download(bench, data) for _ in range(4)))
    assert len({answer.body for answer in answers}) == 1
    assert (await download(bench, data)).headers["Etag"] == answers[0].headers["Etag"]


@pytest.mark.process
async def test_polls_are_answered_while_a_result_is_rendered(start: Any, bunny: Path) -> None:
    bench = await start(quick_results=False)
    data = await bench.finished(video_url=await bench.upload(bunny), mode="pro")
    rendering = asyncio.create_task(download(bench, data))
    await asyncio.sleep(0.05)
    slowest = 0.0
    while not rendering.done():
        began = time.monotonic()
        await bench.get(data["task_id"])
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.01)
    assert (await rendering).status == 200
    assert slowest / slowness() < 0.5


async def test_ranges(bench: Any) -> None:
    data = await bench.finished()
    whole = await download(bench, data)
    size = len(whole.body)
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Content-Length"] == str(size)
    assert whole.headers["Content-Type"] == "video/mp4"
    for asked, expected in {
        "bytes=0-0": whole.body[:1],
        "bytes=10-19": whole.body[10:20],
        f"bytes={size - 5}-": whole.body[-5:],
        "bytes=-7": whole.body[-7:],
        f"bytes=5-{size * 2}": whole.body[5:],
    }.items():
        part = await download(bench, data, Range=asked)
        assert (part.status, part.body) == (206, expected), asked
        assert part.headers["Content-Range"].endswith(f"/{size}")
    for asked in (f"bytes={size}-", "bytes=5-2", "bytes=x-y", "bytes=--1"):
        assert (await download(bench, data, Range=asked)).status == 416, asked


async def test_a_result_needs_its_whole_name(bench: Any) -> None:
    data = await bench.finished()
    url = data["task_result"]["videos"][0]["url"]
    other = await bench.finished()
    swapped = url.replace(data["task_id"], other["task_id"])
    wrong = url[:-5] + ("0" if url[-5] != "0" else "1") + ".mp4"
    for path in (swapped, wrong, url.rsplit("/", 1)[0] + "/..%2f..%2fstate-2.sqlite3"):
        assert (await bench.call("GET", path, headers={})).status in {401, 404}


async def test_results_are_cleared_after_thirty_days(bench: Any) -> None:
    data = await bench.finished()
    bench.clock.seconds += 30 * 86_400 - 1
    assert (await download(bench, data)).status == 200
    bench.clock.seconds += 2
    assert (await download(bench, data)).status == 404


async def test_a_broken_stream_sends_so_many_bytes_and_can_be_resumed(bench: Any) -> None:
    data = await bench.finished()
    whole = (await download(bench, data)).body
    url = data["task_result"]["videos"][0]["url"]
    await bench.script("result", "broken-stream-after-5000", "broken-stream-after-7")
    for start_at, length in ((0, 5000), (100, 7)):
        received = bytearray()
        with pytest.raises(aiohttp.ClientPayloadError):
            await _read_into(received, bench, url, start_at, len(whole))
        assert bytes(received) == whole[start_at : start_at + length]
    assert (await download(bench, data)).body == whole


async def _read_into(received: bytearray, bench: Any, url: str, start_at: int, size: int) -> None:
    async with bench.session.get(url, headers={"Range": f"bytes={start_at}-"}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {start_at}-{size - 1}/{size}"
        async for chunk in answer.content.iter_any():
            received += chunk


async def test_other_faults_of_a_download(bench: Any) -> None:
    data = await bench.finished()
    url = data["task_result"]["videos"][0]["url"]
    await bench.script(
        "result",
        "expired-url",
        "redirect-private",
        "not-a-video",
        "status-503",
        "html",
        "stall-0.01",
        "reset",
    )
    assert (await download(bench, data)).status == 403
    async with bench.session.get(url, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "http://10.0.0.1/private.mp4")
    lie = await download(bench, data)
    assert lie.headers["Content-Type"] == "video/mp4"
    assert b"text" in lie.body
    assert (await download(bench, data)).status == 503
    assert b"doctype" in (await download(bench, data)).body
    assert (await download(bench, data)).status == 200
    with pytest.raises(aiohttp.ClientError):
        await download(bench, data)
    assert await bench.pending() == []


async def test_an_endless_stream_goes_on_until_the_client_has_enough(bench: Any) -> None:
    data = await bench.finished()
    await bench.script("result", "endless-stream")
    received = 0
    async with bench.session.get(data["task_result"]["videos"][0]["url"]) as answer:
        assert "Content-Length" not in answer.headers
        async for chunk in answer.content.iter_any():
            received += len(chunk)
            if received > 5_000_000:
                break
    assert received > 5_000_000


async def test_a_turned_clip_stands_upright(bench: Any, draw_clip: Any, tmp_path: Path) -> None:
    """A clip stored 704x352 with a quarter turn is shown upright: higher than wide."""
    path = tmp_path / "turned.mp4"
    content = bytearray(draw_clip(30, width=704, height=352).read_bytes())
    matrix = b"".join(
        number.to_bytes(4, "big", signed=True)
        for number in (0, 1 << 16, 0, -(1 << 16), 0, 0, 704 << 16, 0, 1 << 30)
    )
    tkhd = content.index(b"tkhd")
    content[tkhd + 4 + 40 : tkhd + 4 + 76] = matrix
    path.write_bytes(content)
    green = Image.new("RGB", (400, 400), (0, 180, 0))
    buffer = io.BytesIO()
    green.save(buffer, "PNG")
    data = await bench.finished(
        image_url=base64.b64encode(buffer.getvalue()).decode(), video_url=await bench.upload(path)
    )
    frame = pictures((await download(bench, data)).body)[0].astype(int)
    inset = np.abs(frame - (0, 180, 0)).max(axis=2) > 60
    inset[-frame.shape[0] // 7 :] = False
    rows, columns = np.nonzero(inset)
    assert np.ptp(rows) > np.ptp(columns)
