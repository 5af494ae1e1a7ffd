"""Nothing of a clip's file but pictures, sound and colour tags is sent; its colours are those of players."""

from __future__ import annotations

import re
import shutil
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

from kling_once.errors import UnreadableMedia
from kling_once.media.conform import conform_clip
from kling_once.media.decode import decode_clip
from kling_once.media.digest import frames_digest
from kling_once.media.frame_folder import FrameFolder
from kling_once.media.probe import probe_clip
from kling_once.media.types import ConformMode, Frames
from tests.media.codecs import x265

from .conftest import Probe, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.media.types import ClipBounds

pytestmark = pytest.mark.media
SECRET = "secret-4711"
WITHIN = 3
SILENT = x265("colorprim=2", "transfer=2", "colormatrix=2")
MANUAL = ("-metadata", f"title={SECRET}", "-metadata", f"comment=/home/{SECRET}/a.mp4")
PHONE = ("-metadata", "location=+52.5200+013.4050/", "-metadata", "creation_time=2026-01-02T03:04:05Z")


def md5(path: Path, kind: str) -> bytes:
    return run("ffmpeg", "-v", "error", "-i", str(path), "-map", f"0:{kind}", "-c", "copy", "-f", "md5", "-")


@pytest.mark.parametrize("mode", [ConformMode.AUTO, ConformMode.OFF])
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("manual.mp4", MANUAL, "title, comment"),
        ("phone.mov", PHONE, "the place it was recorded"),
        ("phone.mp4", PHONE, "the place it was recorded"),
        ("clock.mp4", PHONE[2:], "the time it was recorded"),
        ("track.mp4", ("-metadata:s:v", f"handler_name={SECRET}"), "a track's name"),
    ],
)
def test_private_data_of_a_clip_are_not_sent(
    name: str,
    options: tuple[str, ...],
    said: str,
    mode: ConformMode,
    clips: Any,
    video_bounds: ClipBounds,
    tmp_path: Path,
) -> None:
    source = clips.pattern(f"private_{name}", 4, *options)
    made = conform_clip(source, tmp_path, video_bounds, mode=mode)
    assert not made.is_original
    assert said in made.report[-1]
    assert made.report[-1].startswith("Left out of what is sent: ")
    data = made.path.read_bytes()
    for secret in (SECRET.encode(), b"+52.5200", b"013.4050", "secret".encode("utf-16-be")):
        assert secret not in data
    tags = Probe(made.path).json
    assert "creation_time" not in str(tags)
    assert set(tags["format"]["tags"]) == {"major_brand", "minor_version", "compatible_brands", "encoder"}
    assert probe_clip(made.path).private == ()
    assert md5(made.path, "v") == md5(source, "v")
    before, after = clips.sound(source), clips.sound(made.path)
    heard = slice(4800, 48_000 * 3)  # after the encoder's run-up
    assert np.abs(after[heard] - before[heard]).max() < 1e-3


def test_what_lies_in_unknown_boxes_is_not_sent(clips: Any, video_bounds: ClipBounds, tmp_path: Path) -> None:
    plain = clips.pattern("plain_boxes.mp4")
    assert probe_clip(plain).private == ()
    for kind, said in ((b"uuid", "XMP"), (b"free", "leftover data"), (b"GPMF", "GPMF")):
        source = tmp_path / f"{kind.decode()}.mp4"
        shutil.copy(plain, source)
        with source.open("ab") as file:
            file.write((24).to_bytes(4, "big") + kind + SECRET.encode().ljust(16))
        made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
        assert said in made.report[-1]
        assert SECRET.encode() not in made.path.read_bytes()


def test_further_tracks_are_not_sent(clips: Any, video_bounds: ClipBounds, tmp_path: Path) -> None:
    text = tmp_path / "words.srt"
    text.write_text(f"1\n00:00:00,000 --> 00:00:02,000\n{SECRET}\n")
    plain = clips.pattern("plain_boxes.mp4")
    source = clips.make("words.mp4", "-i", str(plain), "-i", str(text), "-c", "copy", "-c:s", "mov_text")
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert "further tracks" in made.report[-1]
    assert SECRET.encode() not in made.path.read_bytes()
    assert len(Probe(made.path).json["streams"]) == 2


def shown(path: Path, matrix: str, at_seconds: float = 1.0) -> np.ndarray:
    """Return a frame as FFmpeg shows it when told the matrix of the pictures."""
    probe = Probe(path)
    scale = f"scale=in_color_matrix={matrix}:in_range=tv:out_range=pc:flags=accurate_rnd+full_chroma_int"
    raw = run(
        *("ffmpeg", "-v", "error", "-ss", str(at_seconds), "-i", str(path), "-frames:v", "1"),
        *("-vf", f"{scale},format=rgb24", "-f", "rawvideo", "-"),
    )
    return np.frombuffer(raw, np.uint8).reshape(probe.height_px, probe.width_px, 3)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(("height", "matrix"), [(480, "bt601"), (720, "bt709"), (1080, "bt709")])
def test_an_untagged_clip_is_read_as_players_read_it(
    codec: str,
    height: int,
    matrix: str,
    clips: Any,
    chart_patches: Callable[[np.ndarray], np.ndarray],
    video_bounds: ClipBounds,
    tmp_path: Path,
) -> None:
    name = {"bt709": "bt709", "bt601": "smpte170m"}[matrix]
    codec_options = SILENT if codec == "libx265" else ("-c:v", codec, "-preset", "ultrafast")
    source = clips.chart(
        f"untagged_{codec}_{height}.mp4",
        *("-vf", f"scale=-2:{height}:out_color_matrix={name}:flags=neighbor,format=yuv420p"),
        *(*codec_options, "-crf", "12"),
        *("-color_primaries", "unknown", "-color_trc", "unknown", "-colorspace", "unknown"),
    )
    assert Probe(source).video.get("color_space") in {None, "unknown"}
    right = chart_patches(shown(source, matrix))
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    if made.is_original:
        assert (codec, height) == ("libx264", 480)  # read alike by everybody
        return
    probe = Probe(made.path)
    assert probe.video["color_space"] == "bt709"
    assert np.abs(chart_patches(shown(made.path, "bt709")) - right).max() <= WITHIN
    if codec == "libx264":
        assert md5(made.path, "v") == md5(source, "v")
        assert made.report == ("Marked as BT.709, which the file left open; the pictures are untouched.",)


def test_the_colr_box_counts_where_the_stream_is_silent(clips: Any, tmp_path: Path) -> None:
    silent = clips.pattern("silent.mp4", 3, *SILENT, "-an", size="1280x720")
    tagged = tmp_path / "colr.mp4"
    with av.open(str(silent)) as source, av.open(str(tagged), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        copy.codec_context.color_primaries = copy.codec_context.color_trc = 1
        copy.codec_context.colorspace = 6
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    assert b"colrnclx" in tagged.read_bytes()
    assert probe_clip(silent).color_space == "unknown"
    assert probe_clip(tagged).color_space == "smpte170m"


def to_srgb(pixels: np.ndarray) -> np.ndarray:
    """Return what a colour-managed reader makes of Display P3: matrices of both, and one curve for both."""
    p3 = np.array([[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0.0, 0.04511, 1.04394]])
    srgb = np.array([[0.41239, 0.35758, 0.18048], [0.21264, 0.71517, 0.07219], [0.01933, 0.11919, 0.95053]])
    light = (pixels / 255) ** 2.4 @ (np.linalg.inv(srgb) @ p3).T
    return 255 * np.clip(light, 0, 1) ** (1 / 2.4)


@pytest.mark.parametrize("transfer", ["bt709", "iec61966-2-1"])
def test_display_p3_in_h264_becomes_bt709(
    transfer: str,
    clips: Any,
    chart_patches: Callable[[np.ndarray], np.ndarray],
    video_bounds: ClipBounds,
    tmp_path: Path,
) -> None:
    source = clips.chart(
        f"p3_{transfer}.mp4",
        *("-vf", "scale=out_color_matrix=bt709:flags=neighbor,format=yuv420p"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12"),
        *("-color_primaries", "smpte432", "-color_trc", transfer, "-colorspace", "bt709"),
    )
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert made.report == ("Converted from Display P3 to BT.709 colours.",)
    right = to_srgb(chart_patches(shown(source, "bt709")))
    assert np.abs(chart_patches(shown(made.path, "bt709")) - right).max() <= WITHIN


def test_a_clip_is_not_enlarged_by_more_than_2(clips: Any, video_bounds: ClipBounds, tmp_path: Path) -> None:
    for size, rules in (("168x168", ["video.side.min"]), ("170x170", [])):
        source = clips.pattern(f"small_{size}.mp4", 3, size=size)
        made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
        assert [violation.rule for violation in made.violations] == rules


def test_what_macos_writes_beside_frames_is_passed_over(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(tmp_path / f"{number}.png")
        (tmp_path / f"._{number}.png").write_bytes(b"\0\5\x16\7")
    assert len(FrameFolder.open(tmp_path)) == 3


FEW = np.zeros((2, 8, 8, 3), np.float32)


@pytest.mark.parametrize(
    "frames",
    [FEW[:0], FEW[..., 0], FEW[0], [FEW[0]], [], None, FEW.astype(np.int32), np.where(FEW == 0, np.nan, FEW)],
    ids=["none", "masks", "one", "a list", "an empty list", "nothing", "integers", "NaN"],
)
def test_what_are_no_frames_is_refused_in_words(
    frames: Any, video_bounds: ClipBounds, tmp_path: Path
) -> None:
    given = Frames(frames, Fraction(25))
    with pytest.raises(UnreadableMedia):
        frames_digest(given)
    if not isinstance(frames, np.ndarray) or frames.shape != FEW.shape or frames.dtype == np.int32:
        with pytest.raises(UnreadableMedia):
            conform_clip(given, tmp_path, video_bounds, mode=ConformMode.AUTO)


def test_alpha_of_frames_that_is_laid_on_white_is_said(video_bounds: ClipBounds, tmp_path: Path) -> None:
    frames = np.ones((75, 350, 350, 4), np.float32)
    frames[:, :200] = 0
    made = conform_clip(Frames(frames, Fraction(25)), tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert "Transparency laid on white." in made.report


def test_frames_of_an_untagged_clip_are_decoded_as_players_show_them(
    clips: Any, chart_patches: Callable[[np.ndarray], np.ndarray]
) -> None:
    pytest.importorskip("torch")
    source = clips.chart(
        "untagged_frames.mp4",
        *("-vf", "scale=-2:720:out_color_matrix=bt709:flags=neighbor,format=yuv420p"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12"),
    )
    found = decode_clip(source, count=1).frames[0].numpy() * 255
    assert np.abs(chart_patches(found) - chart_patches(shown(source, "bt709"))).max() <= WITHIN


CAMERA = bytes.fromhex("17ee8c60f84d11d98cd60800200c9a66") + b"MDPM" + SECRET.encode()
"""A camcorder's date and place between the pictures, as AVCHD writes them."""


def with_sei(source: Path, target: Path, kind: int, content: bytes) -> Path:
    """Write raw H.264 with a SEI message in front of each picture."""
    raw = run("ffmpeg", "-v", "error", "-i", str(source), "-c", "copy", "-an", "-f", "h264", "-")
    unit = b"\0\0\0\x01\x06" + bytes([kind, len(content)]) + content + b"\x80"
    parts = re.split(rb"(?=\0\0\0?\x01[\x65\x41\x61])", raw)
    target.write_bytes(parts[0] + b"".join(unit + part for part in parts[1:]))
    return target


@pytest.mark.parametrize("mode", [ConformMode.AUTO, ConformMode.OFF])
@pytest.mark.parametrize("form", ["mp4", "mov"])
def test_what_a_camera_writes_between_the_pictures_is_not_sent(
    form: str, mode: ConformMode, clips: Any, video_bounds: ClipBounds, tmp_path: Path
) -> None:
    plain = clips.pattern("plain_sei.mp4", 4)
    raw = with_sei(plain, tmp_path / "raw.h264", 5, CAMERA)
    source = tmp_path / f"camera.{form}"
    run("ffmpeg", "-v", "error", "-y", "-i", str(raw), "-c", "copy", str(source))
    assert SECRET.encode() in source.read_bytes()
    made = conform_clip(source, tmp_path, video_bounds, mode=mode)
    assert "data between the pictures (SEI)" in made.report[-1]
    assert SECRET.encode() not in made.path.read_bytes()
    assert probe_clip(made.path).private == ()
    shown = "-f", "framemd5", "-"
    frames = [
        [
            line.split(b",")[-1]
            for line in run("ffmpeg", "-v", "error", "-i", str(path), "-an", *shown).splitlines()
        ]
        for path in (source, made.path)
    ]
    assert frames[0] == frames[1]


def test_captions_are_not_sent_by_encoding_anew(clips: Any, video_bounds: ClipBounds, tmp_path: Path) -> None:
    captions = bytes.fromhex("b50031") + b"GA94" + bytes.fromhex("03c1fffc9420ff")
    raw = with_sei(clips.pattern("plain_captions.mp4", 4), tmp_path / "raw.264", 4, captions)
    made = conform_clip(raw, tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert not made.is_original
    assert b"GA94" in raw.read_bytes()
    assert b"GA94" not in made.path.read_bytes()


@pytest.mark.parametrize("place", ["wide", "mdat"])
def test_what_no_track_uses_is_not_sent(
    place: str, clips: Any, video_bounds: ClipBounds, tmp_path: Path
) -> None:
    source = tmp_path / "leftover.mp4"
    shutil.copy(clips.pattern("plain_leftover.mp4", 4), source)
    with source.open("ab") as file:
        file.write((8 + len(SECRET)).to_bytes(4, "big") + place.encode() + SECRET.encode())
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert "leftover data" in made.report[-1]
    assert SECRET.encode() not in made.path.read_bytes()
