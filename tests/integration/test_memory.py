"""What preparing an order adds to a process's memory, measured by the kernel in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.media.codecs import x265

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.media,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel's own measure is Linux's"),
]

PREPARE = """
import asyncio, json, sys, tempfile
from pathlib import Path
import av, numpy.fft, numpy.ma, PIL.Image
from kling_once.jobs.services import MediaThreads
from kling_once.jobs.staging import stage
from kling_once.jobs.staging_area import StagingArea
from kling_once.order import Order, VideoFile

def highest_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6

# numpy and Pillow load these when first used: where Python keeps no compiled modules, compiling would count
PIL.Image.preinit()
order = Order(image=Path(sys.argv[1]), video=VideoFile(Path(sys.argv[2])))
before = highest_mb()

async def prepare(folder):
    media, area = MediaThreads(), StagingArea(Path(folder))
    staged = await stage(order, "embedded", area, media)
    await staged.fit(media, generation="legacy", china=False)
    media.close()
    return staged

with tempfile.TemporaryDirectory() as folder:
    prepared = asyncio.run(prepare(folder))
print(json.dumps({
    "added_mb": highest_mb() - before,
    "report": prepared.report,
    "violations": [violation.message for violation in prepared.violations],
    "seconds": float(prepared.price.seconds),
}))
"""
SIZE = "1920x1080"


@pytest.fixture
def prepared(tmp_path: Path, small_picture: Path) -> Callable[[Path], Any]:
    """Return what prepares a clip in a fresh process and tells what that took."""

    def prepare(clip: Path) -> Any:
        done = subprocess.run(
            [sys.executable, "-P", "-c", PREPARE, str(small_picture), str(clip)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return prepare


def test_a_clip_that_fits_is_prepared_with_at_most_60_mb(
    ffmpeg: Callable[..., None], tmp_path: Path, prepared: Callable[[Path], Any]
) -> None:
    two_seconds, clip = tmp_path / "two_seconds.mp4", tmp_path / "fits.mp4"
    pattern = ("-f", "lavfi", "-i", f"testsrc2=s={SIZE}:r=30:d=2")
    ffmpeg(*pattern, "-pix_fmt", "yuv420p", "-preset", "veryfast", "-bf", 0, "-refs", 3, two_seconds)
    tags = ("-color_primaries", 1, "-color_trc", 1, "-colorspace", 1)
    ffmpeg("-stream_loop", 14, "-i", two_seconds, "-c", "copy", *tags, clip)
    found = prepared(clip)
    assert (found["violations"], found["report"], found["seconds"]) == ([], [], 30.0)
    assert found["added_mb"] <= 60


def test_a_clip_is_conformed_with_at_most_250_mb(
    ffmpeg: Callable[..., None], tmp_path: Path, prepared: Callable[[Path], Any]
) -> None:
    # HLG in 10 bit is the heaviest kind. Few frames a second: memory does not grow with their number.
    second, clip = tmp_path / "second.mov", tmp_path / "phone.mov"
    codec = x265("bframes=0")
    color = ("-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc")
    pattern = ("-f", "lavfi", "-i", f"testsrc2=s={SIZE}:r=4:d=1")
    ffmpeg(*pattern, *codec, "-pix_fmt", "yuv420p10le", *color, second)
    sound = ("-f", "lavfi", "-i", "sine=d=30", "-c:a", "aac")
    ffmpeg("-stream_loop", 29, "-i", second, *sound, "-c:v", "copy", clip)
    found = prepared(clip)
    assert found["violations"] == []
    assert "Tone mapped from HDR (HLG) to ordinary BT.709 colours." in found["report"]
    assert found["seconds"] == pytest.approx(30, abs=0.1)
    assert found["added_mb"] <= 250
