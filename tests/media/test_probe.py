from __future__ import annotations

import gc
import io
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from kling_once.errors import MediaStopped, UnreadableMedia
from kling_once.media.conform import conform_clip
from kling_once.media.picture import probe_picture
from kling_once.media.probe import probe_clip
from kling_once.media.types import ConformMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.media.types import ClipBounds


def png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, options.pop("format", "PNG"), **options)
    return buffer.getvalue()


def test_a_real_clip_is_measured(real_clips: Path) -> None:
    facts = probe_clip(real_clips / "bigbuckbunny.mp4")
    assert (facts.container, facts.video_codec, facts.pixel_format) == ("mp4", "h264", "yuv420p")
    assert (facts.width_px, facts.height_px, facts.frame_count) == (1280, 720, 132)
    assert facts.frame_rate == Fraction(25)
    assert not facts.is_variable_rate
    assert facts.container_duration_seconds == pytest.approx(5.312)
    assert facts.duration_seconds == pytest.approx(5.28)
    assert facts.sound is not None
    assert (facts.sound.codec, facts.sound.channels, facts.sound.sample_rate_hz) == ("aac", 6, 48000)


@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001", "50", "60000/1001", "120"])
def test_the_frame_rate_is_the_exact_fraction(clips: Any, rate: str) -> None:
    for suffix in ("mp4", "mkv"):  # Matroska rounds its times to milliseconds
        path = clips.pattern(f"rate_{rate.replace('/', '_')}.{suffix}", 3, rate=rate, size="128x96")
        facts = probe_clip(path)
        assert facts.frame_rate == Fraction(rate)
        assert not facts.is_variable_rate


def test_a_title_that_is_no_utf_8_is_no_reason_to_refuse_a_clip(clips: Any, tmp_path: Path) -> None:
    titled = clips.pattern("titled.mp4", 3, "-metadata", "title=Tanzxxxx", size="128x96").read_bytes()
    assert b"Tanzxxxx" in titled
    path = tmp_path / "titled.mp4"
    path.write_bytes(titled.replace(b"Tanzxxxx", b"T\xe4nz\xff\xfe\xe9\xe8"))
    assert probe_clip(path).frame_count == 75


def test_a_changing_rate_is_noticed(clips: Any) -> None:
    path = clips.pattern(
        "variable.mp4", 4, "-vf", "select='lt(t,2)+not(mod(n,3))'", "-vsync", "vfr", size="128x96"
    )
    assert probe_clip(path).is_variable_rate


def test_square_pixels_are_assumed_of_nobody(clips: Any) -> None:
    facts = probe_clip(clips.pattern("sar.mp4", 3, "-vf", "setsar=4/3", size="480x480"))
    assert (facts.width_px, facts.height_px) == (640, 480)
    assert (facts.stored_width_px, facts.stored_height_px) == (480, 480)
    assert not facts.has_square_pixels


def test_what_an_edit_list_hides_does_not_count(clips: Any) -> None:
    path = clips.pattern("edit_source.mp4", 6, "-g", "250", size="128x96")
    cut = clips.make("edit.mp4", "-ss", "1.5", "-i", str(path), "-c", "copy")
    facts = probe_clip(cut)
    assert facts.duration_seconds == pytest.approx(4.5, abs=0.05)


def test_a_name_with_a_colon_is_no_protocol(
    clips: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video_bounds: ClipBounds
) -> None:
    source = clips.pattern("colon.mkv", 3.04, size="400x400")
    (tmp_path / "Take:1.mkv").write_bytes(source.read_bytes())
    monkeypatch.chdir(tmp_path)
    path = Path("Take:1.mkv")
    assert probe_clip(path).width_px == 400
    made = conform_clip(path, Path("out:put"), video_bounds, mode=ConformMode.AUTO)
    assert (made.violations, made.is_original) == ((), False)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(UnreadableMedia, match=r"empty\.mp4 is empty"):
        probe_clip(tmp_path / "empty.mp4")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match=r"gone\.mp4 does not exist"):
        probe_clip(tmp_path / "gone.mp4")


@pytest.mark.parametrize("probe", [probe_clip, probe_picture])
def test_a_name_that_the_system_refuses_is_told(tmp_path: Path, probe: Callable[[Path], object]) -> None:
    with pytest.raises(UnreadableMedia, match=r"x\.mp4 cannot be opened: File name too long"):
        probe(tmp_path / f"{'x' * 300}.mp4")


@pytest.mark.parametrize("probe", [probe_clip, probe_picture])
def test_a_file_that_may_not_be_looked_at_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probe: Callable[[Path], object]
) -> None:
    def refuse(path: Path, **_options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(UnreadableMedia, match=r"locked\.mp4 may not be opened"):
        probe(tmp_path / "locked.mp4")


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("layout", ["+faststart", "0"])
def test_a_truncated_clip_is_refused(clips: Any, tmp_path: Path, share: float, layout: str) -> None:
    whole = clips.pattern(f"whole_{layout}.mp4", 5, "-movflags", layout)
    part = tmp_path / "part.mp4"
    part.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    with pytest.raises(UnreadableMedia, match=r"part\.mp4 is (cut off|damaged)"):
        probe_clip(part)


def test_a_truncated_matroska_file_is_refused(clips: Any, tmp_path: Path) -> None:
    whole = clips.pattern("whole.mkv", 5)
    part = tmp_path / "part.mkv"
    part.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.5)])
    with pytest.raises(UnreadableMedia, match="cut off"):
        probe_clip(part)


def test_an_encrypted_clip_is_refused(clips: Any) -> None:
    path = clips.pattern(
        "encrypted.mp4",
        3,
        *("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"),
        *("-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"),
    )
    with pytest.raises(UnreadableMedia, match="encrypted"):
        probe_clip(path)


def test_sound_alone_is_no_clip(clips: Any) -> None:
    path = clips.make("sound.m4a", "-f", "lavfi", "-i", "sine=d=4")
    with pytest.raises(UnreadableMedia, match="no moving picture"):
        probe_clip(path)


@pytest.mark.parametrize("name", ["swapped.png", "swapped.jpg", "swapped.webp", "swapped.tif", "swapped.bmp"])
def test_a_picture_in_the_place_of_the_clip_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (400, 400), "red").save(path, icc_profile=profile)
    with pytest.raises(UnreadableMedia, match=rf"{name} is a picture, not a clip"):
        probe_clip(path)
    gc.collect()


@pytest.mark.parametrize(("kind", "degrees"), [("png", 0), ("png", 90), ("png", 180), ("jpg", 0)])
def test_what_pictures_in_a_clip_carry_does_no_harm(
    clips: Any, tmp_path: Path, kind: str, degrees: int
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 1
    for number in range(75):
        picture = Image.new("RGB", (96, 64), (3 * number, 0, 0))
        picture.save(tmp_path / f"{number}.{kind}", icc_profile=profile, exif=exif if kind == "jpg" else None)
    frames = ("-framerate", "25", "-i", str(tmp_path / f"%d.{kind}"), "-c", "copy")
    turned = ("-metadata:s:v:0", f"rotate={-degrees % 360}")  # FFmpeg 5's counts against the clock
    facts = probe_clip(clips.make(f"pictures_{kind}_{degrees}.mov", *frames, then=("-c", "copy", *turned)))
    gc.collect()  # where PyAV would free the profile's name a second time, and end the process
    assert (facts.frame_count, facts.rotation_degrees) == (75, degrees)
    assert (facts.width_px, facts.height_px) == ((64, 96) if degrees == 90 else (96, 64))


def test_probing_stops_when_asked(clips: Any) -> None:
    with pytest.raises(MediaStopped):
        probe_clip(clips.pattern("plain.mp4"), stop=lambda: True)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_measured_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = png(Image.new("RGB", (40, 30), "red"), format="JPEG", exif=exif)
    facts = probe_picture(data)
    assert (facts.width_px, facts.height_px) == ((30, 40) if orientation >= 5 else (40, 30))
    assert (facts.format, facts.exif_orientation, facts.size_bytes) == ("JPEG", orientation, len(data))


def test_transparency_depth_and_animation_are_seen(tmp_path: Path) -> None:
    assert probe_picture(png(Image.new("RGBA", (4, 4)))).has_alpha
    assert not probe_picture(png(Image.new("RGB", (4, 4)))).has_alpha
    assert probe_picture(png(Image.fromarray(np.zeros((4, 4), np.uint16)))).bit_depth == 16
    frames = [Image.new("L", (4, 4), shade) for shade in (0, 128, 255)]
    data = png(frames[0], format="GIF", save_all=True, append_images=frames[1:])
    path = tmp_path / "moving.gif"
    path.write_bytes(data)
    assert probe_picture(path).frame_count == 3


def test_a_folder_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, Path()):
        with pytest.raises(UnreadableMedia, match=r"is a folder, not a picture"):
            probe_picture(folder)


@pytest.mark.parametrize("content", [b"", b"not a picture", None])
def test_what_is_no_picture_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is None:
        content = png(Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)))[
            :4000
        ]
    with pytest.raises(UnreadableMedia):
        probe_picture(content)
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(UnreadableMedia, match=r"bad\.png"):
        probe_picture(path)
