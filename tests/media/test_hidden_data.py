"""What a clip's file holds and no player shows is not sent, such as frames that its edit list hides."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

import av
import pytest

from kling_once.media.conform import conform_clip
from kling_once.media.private_boxes import private_parts
from kling_once.media.probe import probe_clip
from kling_once.media.types import ConformMode
from kling_once.media.user_data import UserData
from tests.media.codecs import x265

from .conftest import run

if TYPE_CHECKING:
    from pathlib import Path

    from kling_once.media.types import ClipBounds

pytestmark = pytest.mark.media
SECRET = b"secret-4711"
MODES = pytest.mark.parametrize("mode", [ConformMode.AUTO, ConformMode.OFF])


def held(path: Path) -> tuple[int, float]:
    """Return how many frames and seconds of sound a file holds, shown or not."""
    with av.open(str(path), options={"ignore_editlist": "1"}) as container:
        counts = {stream.type: [0, 0.0] for stream in container.streams}
        for packet in container.demux():
            if packet.size:
                counts[packet.stream.type][0] += 1
                counts[packet.stream.type][1] += float((packet.duration or 0) * packet.time_base)
    return int(counts["video"][0]), counts["audio"][1] if "audio" in counts else 0.0


def without_head(source: Path, target: Path) -> Path:
    """Trim the first 4 s as editors do that encode nothing."""
    run("ffmpeg", "-v", "error", "-y", "-ss", "4", "-i", str(source), "-c", "copy", str(target))
    return target


def without_tail(source: Path, target: Path) -> Path:
    """Say in the boxes that everything ends after 5 s."""
    data = bytearray(source.read_bytes())
    (scale,) = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)
    for kind, at in ((b"mvhd", 20), (b"tkhd", 24), (b"elst", 12)):
        for found in re.finditer(kind, bytes(data)):
            struct.pack_into(">I", data, found.start() + at, 5 * scale)
    target.write_bytes(data)
    return target


@MODES
@pytest.mark.parametrize("trim", [without_head, without_tail])
def test_frames_and_sound_that_were_trimmed_away_are_not_sent(
    trim: Any, mode: ConformMode, clips: Any, video_bounds: ClipBounds, tmp_path: Path
) -> None:
    whole = clips.pattern("hidden_whole.mp4", 9, "-g", "300")
    source = trim(whole, tmp_path / "trimmed.mp4")
    facts = probe_clip(source)
    assert facts.duration_seconds == pytest.approx(5, abs=0.1)
    assert held(source)[0] > facts.frame_count + 20

    made = conform_clip(source, tmp_path, video_bounds, mode=mode)

    assert not made.is_original
    assert "hidden frames" in made.report[-1]
    frames, sound_seconds = held(made.path)
    assert frames == made.facts.frame_count == facts.frame_count
    assert sound_seconds == pytest.approx(5, abs=0.2)
    assert made.facts.private == ()


@MODES
def test_sound_alone_that_was_trimmed_away_is_not_sent(
    mode: ConformMode, clips: Any, video_bounds: ClipBounds, tmp_path: Path
) -> None:
    whole = clips.pattern("hidden_whole.mp4", 9, "-g", "300")
    data = bytearray(whole.read_bytes())
    begins_at = data.rindex(b"elst") + 16
    (begins,) = struct.unpack_from(">I", data, begins_at)
    struct.pack_into(">I", data, begins_at, begins + 30_000)  # samples
    source = tmp_path / "trimmed.mp4"
    source.write_bytes(data)
    facts = probe_clip(source)
    assert (facts.hidden_frame_count, facts.private) == (0, ("hidden sound",))

    made = conform_clip(source, tmp_path, video_bounds, mode=mode)

    assert made.report == ("Left out of what is sent: hidden sound.",)
    assert held(source)[1] - held(made.path)[1] > 0.6
    assert made.facts.private == ()
    assert made.facts.frame_count == facts.frame_count == 225


def sei(content: bytes) -> bytes:
    return b"\x4e\x01\x05" + bytes([len(content)]) + content + b"\x80"


@MODES
def test_what_a_camera_writes_between_the_pictures_of_hevc_is_not_sent(
    mode: ConformMode, clips: Any, video_bounds: ClipBounds, tmp_path: Path
) -> None:
    plain = clips.make("plain.hevc", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4", *x265("bframes=0"))
    unit = b"\0\0\0\x01" + sei(bytes(16) + SECRET)
    parts = re.split(rb"(?=\0\0\0?\x01[\x02\x26\x28]\x01)", plain.read_bytes())
    (tmp_path / "raw.hevc").write_bytes(parts[0] + b"".join(unit + part for part in parts[1:]))
    source = tmp_path / "camera.mp4"
    raw = ("-r", "25", "-i", str(tmp_path / "raw.hevc"))
    run("ffmpeg", "-v", "error", "-y", *raw, "-c", "copy", "-tag:v", "hvc1", str(source))
    assert SECRET in source.read_bytes()

    made = conform_clip(source, tmp_path, video_bounds, mode=mode)

    assert "data between the pictures (SEI)" in made.report[-1]
    assert SECRET not in made.path.read_bytes()
    assert made.facts.video_codec == ("hevc" if mode is ConformMode.OFF else "h264")
    assert probe_clip(made.path).private == ()


def test_the_settings_of_an_hevc_encoder_are_not_private(clips: Any) -> None:
    source = clips.make(
        "settings.mp4", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4", *x265(), "-tag:v", "hvc1"
    )
    assert b"x265 (build" in source.read_bytes()
    assert probe_clip(source).private == ()


def test_a_codec_that_is_not_looked_into_is_re_encoded_in_every_mode(
    clips: Any, video_bounds: ClipBounds, tmp_path: Path
) -> None:
    source = clips.make(
        *("motion.mov", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4"),
        *("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
    )
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.OFF)
    assert made.facts.video_codec == "h264"
    assert "Re-encoded from MJPEG to H.264." in made.report


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("data", [b"", b"\x12\x34\x56", b"\0\0", b"\0\0\1", b"\0\0\0\1\0\0\1"])
@pytest.mark.parametrize("extradata", [None, b"", b"\1", b"\1" * 30])
def test_nothing_is_added_to_a_packet_that_is_damaged(
    codec: str, data: bytes, extradata: bytes | None
) -> None:
    found = UserData.of(codec, extradata)
    assert found is not None
    assert data.startswith(found.removed(data))


ONE = bytes(4) + b"\0\0\0\1"
"""The head of a list with one entry."""


def box(kind: str, *content: bytes) -> bytes:
    whole = b"".join(content)
    return struct.pack(">I4s", 8 + len(whole), kind.encode("latin-1")) + whole


@pytest.mark.parametrize(
    ("minf", "private"),
    [
        (box("vmhd", bytes(12)), ()),
        (box("hdlr", bytes(8), b"url ", bytes(12), b"\x0bDataHandler"), ()),
        (box("dinf", box("dref", ONE, box("url ", b"\0\0\0\1"))), ()),
        (box("dinf", box("dref", ONE, box("alis", b"\0\0\0\1", SECRET))), ("the place of a file",)),
        (box("udta", box("\xa9nam", SECRET)), ("nam",)),
        (box("stbl", box("stts", bytes(8)), box("free", SECRET)), ("leftover data",)),
        (box("stbl", box("uuid", SECRET)), ("XMP or data of another program",)),
        (box("stbl", box("abcd", SECRET)), ("abcd",)),
    ],
)
def test_private_boxes_are_found_however_deep_they_lie(
    minf: bytes, private: tuple[str, ...], tmp_path: Path
) -> None:
    handler = box("hdlr", bytes(8), b"vide", bytes(12), b"VideoHandler\0")
    moov = box("moov", box("trak", box("mdia", handler, box("minf", minf))))
    path = tmp_path / "boxes.mp4"
    path.write_bytes(box("ftyp", b"isom") + moov)
    assert private_parts(path, {}, found=(), packet_bytes=0) == private


def test_private_boxes_of_a_fragment_are_found(tmp_path: Path) -> None:
    path = tmp_path / "fragment.mp4"
    fragment = box("traf", box("tfhd", bytes(8)), box("udta", box("loci", SECRET)))
    path.write_bytes(box("ftyp", b"isom") + box("moof", fragment))
    assert private_parts(path, {}, found=(), packet_bytes=0) == ("the place it was recorded",)
