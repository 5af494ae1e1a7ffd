"""Everything that takes long asks often whether it shall stop, in real time."""

from __future__ import annotations

import io
import itertools
import time
from fractions import Fraction
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

from kling_once.errors import MediaStopped
from kling_once.media.conform import conform_clip
from kling_once.media.conform_picture import conform_picture
from kling_once.media.decode import decode_clip, decode_sound
from kling_once.media.digest import copy_and_digest, frames_digest, picture_digest
from kling_once.media.picture import probe_picture
from kling_once.media.probe import probe_clip
from kling_once.media.survey import survey_clip
from kling_once.media.types import ClipBounds, ConformMode, Frames
from tests.media.codecs import X264, X265
from tests.slowness import slowness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.media.types import PictureBounds, Stop

pytestmark = pytest.mark.media

MOST_SECONDS = 0.5
needs_torch = pytest.mark.skipif(
    find_spec("torch") is None, reason="decoding makes torch tensors, and torch is not installed"
)


def longest_silence(
    work: Callable[[Stop], object], clock: Callable[[], float] = time.monotonic, runs: int = 2
) -> float:
    """Return for how long `work` goes on without asking at most, had it the machine alone; the best run's."""
    found = []
    for _ in range(runs):
        busy = slowness() if clock is time.monotonic else 1.0
        asked = [clock()]

        def stop(asked: list[float] = asked) -> bool:
            asked.append(clock())
            return False

        work(stop)
        asked.append(clock())
        busy = max(busy, slowness()) if clock is time.monotonic else 1.0
        found.append(max(later - earlier for earlier, later in itertools.pairwise(asked)) / busy)
    return min(found)


@pytest.fixture(scope="module")
def photo(astronaut: np.ndarray) -> bytes:
    """24 million pixels, turned and with transparency: every step is needed."""
    exif = Image.Exif()
    exif[0x0112] = 6
    large = Image.fromarray(astronaut).resize((6000, 4000))
    large.putalpha(200)
    data = io.BytesIO()
    large.save(data, "PNG", exif=exif, compress_level=1)
    return data.getvalue()


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda photo, bounds, stop: probe_picture(photo, stop=stop), id="probe"),
        pytest.param(lambda photo, bounds, stop: picture_digest(photo, stop=stop), id="digest"),
        pytest.param(lambda photo, bounds, stop: conform_picture(photo, bounds, stop=stop), id="conform"),
    ],
)
def test_a_large_photo_may_be_stopped_at_any_moment(
    work: Callable[..., object], photo: bytes, picture_bounds: PictureBounds
) -> None:
    # All of it is this thread's own work: its processor time does not depend on what else the machine does.
    quiet = longest_silence(lambda stop: work(photo, picture_bounds, stop), time.thread_time, runs=1)
    assert quiet < MOST_SECONDS


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda clip, stop: probe_clip(clip, stop=stop), id="probe"),
        pytest.param(
            lambda clip, stop: copy_and_digest(clip, clip.with_name("copy"), stop=stop).path.unlink(),
            id="digest",
        ),
        pytest.param(lambda clip, stop: survey_clip(clip, stop=stop), id="survey"),
        pytest.param(
            lambda clip, stop: decode_clip(clip, count=20, stop=stop), id="frames", marks=needs_torch
        ),
        pytest.param(lambda clip, stop: decode_sound(clip, stop=stop), id="sound", marks=needs_torch),
    ],
)
def test_reading_a_clip_may_be_stopped_at_any_moment(work: Callable[..., object], clips: Any) -> None:
    clip = clips.pattern("stop.mp4", 3, *X264, size="1920x1080")
    assert longest_silence(lambda stop: work(clip, stop)) < MOST_SECONDS


@pytest.mark.parametrize(("name", "codec"), [("stop_hevc.mp4", X265), ("stop_repack.mkv", X264)])
def test_conforming_a_clip_may_be_stopped_at_any_moment(
    name: str, codec: tuple[str, ...], clips: Any, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    clip = clips.pattern(name, 3, *codec, size="640x480")
    auto = ConformMode.AUTO
    quiet = longest_silence(lambda stop: conform_clip(clip, tmp_path, video_bounds, mode=auto, stop=stop))
    assert quiet < MOST_SECONDS


def test_frames_may_be_stopped_at_any_moment(tmp_path: Path, video_bounds: ClipBounds) -> None:
    frames = Frames(np.zeros((40, 720, 1280, 3), np.float32), Fraction(10))
    auto = ConformMode.AUTO
    quiet = longest_silence(lambda stop: conform_clip(frames, tmp_path, video_bounds, mode=auto, stop=stop))
    assert quiet < MOST_SECONDS
    assert longest_silence(lambda stop: frames_digest(frames, stop=stop)) < MOST_SECONDS


def test_a_picture_that_stands_for_half_a_minute_may_be_stopped(
    tmp_path: Path, video_bounds: ClipBounds
) -> None:
    source = tmp_path / "standing.mp4"
    with av.open(str(source), "w") as output:
        stream: Any = output.add_stream("mpeg4", rate=60)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 60)
        for moment in (*range(60), 29 * 60):  # one second of motion, then nothing until the end
            frame = av.VideoFrame.from_ndarray(np.full((1080, 1280), moment % 200, np.uint8), "yuv420p")
            frame.pts, frame.time_base = moment, Fraction(1, 60)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    written: list[int] = []
    with pytest.raises(MediaStopped):
        conform_clip(
            source,
            tmp_path / "out",
            video_bounds,
            mode=ConformMode.AUTO,
            stop=lambda: len(written) > 100,
            on_progress=lambda done, _total: written.append(done),
        )
    assert written[-1] == 101
    assert list((tmp_path / "out").iterdir()) == []
