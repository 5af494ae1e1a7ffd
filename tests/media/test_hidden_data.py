"""What a clip's file holds and no player shows is not sent, such as frames that its edit list hides."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

import av
import numpy as np
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


def with_edits(source: Path, target: Path, *edits: tuple[int, int]) -> Path:
    """Replace the edit list of the sound, given as milliseconds and the first sample or -1 for silence."""
    data = source.read_bytes()
    at = data.rindex(b"elst") - 4
    (size,) = struct.unpack_from(">I", data, at)
    listed = b"".join(struct.pack(">IiI", *edit, 1 << 16) for edit in edits)
    grown = box("elst", bytes(4), struct.pack(">I", len(edits)), listed)
    changed = bytearray(data[:at] + grown + data[at + size :])
    for kind in (b"edts", b"trak", b"moov"):  # which lies behind the media, so that no offset changes
        place = data.rindex(kind, 0, at) - 4
        struct.pack_into(">I", changed, place, struct.unpack_from(">I", data, place)[0] + len(grown) - size)
    target.write_bytes(changed)
    return target


def heard_from(path: Path) -> float:
    """Return when FFmpeg plays the first sound."""
    steady = ("-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", "48000", "-f", "f32le", "-")
    wave = np.frombuffer(run("ffmpeg", "-v", "error", "-i", str(path), "-vn", *steady), np.float32)
    return float(np.flatnonzero(np.abs(wave) > 0.01)[0]) / 48_000


@MODES
@pytest.mark.parametrize(
    ("edits", "begins_seconds", "kept_seconds"),
    [(((2000, -1), (4000, 5 * 44_100)), 2, 4), (((1000, 1024), (2000, 5 * 44_100)), 0, 3)],
    ids=["after silence", "after other sound"],
)
def test_sound_that_is_hidden_in_the_middle_is_not_sent(
    edits: tuple[tuple[int, int], ...],
    begins_seconds: float,
    kept_seconds: float,
    mode: ConformMode,
    clips: Any,
    video_bounds: ClipBounds,
    tmp_path: Path,
) -> None:
    whole = clips.pattern("hidden_whole.mp4", 9, "-g", "300")
    source = with_edits(whole, tmp_path / "trimmed.mp4", *edits)
    assert heard_from(source) == pytest.approx(begins_seconds, abs=0.001)
    assert "hidden sound" in probe_clip(source).private

    made = conform_clip(source, tmp_path, video_bounds, mode=mode)

    assert heard_from(made.path) == pytest.approx(begins_seconds, abs=1024 / 44_100)
    assert held(made.path)[1] == pytest.approx(kept_seconds, abs=0.05)
    assert made.facts.private == ()
    before, after = clips.sound(source), clips.sound(made.path)
    assert before.size == pytest.approx(after.size, abs=2 * 1024)


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


def frames_of(path: Path) -> list[bytes]:
    lines = run("ffmpeg", "-v", "error", "-i", str(path), "-an", "-f", "framemd5", "-").splitlines()
    return [line.split(b",")[-1] for line in lines if not line.startswith(b"#")]


def with_head(source: Path, target: Path, kind: bytes, content: bytes) -> Path:
    """Replace the head of the pictures, in boxes that lie behind the media."""
    data = source.read_bytes()
    at = data.index(kind) - 4
    (size,) = struct.unpack_from(">I", data, at)
    changed = bytearray(data[:at] + box(kind.decode(), content) + data[at + size :])
    for parent in (b"hvc1", b"avc1", b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        place = data.rfind(parent, data.rindex(b"moov"), at) - 4
        if place > 0:
            struct.pack_into(
                ">I", changed, place, struct.unpack_from(">I", data, place)[0] + 8 + len(content) - size
            )
    target.write_bytes(changed)
    return target


def head_of(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return bytes(container.streams.video[0].codec_context.extradata or b"")


def as_hvcc_list(*units: bytes) -> bytes:
    return b"\x27" + struct.pack(">H", len(units)) + b"".join(struct.pack(">H", len(u)) + u for u in units)


@MODES
@pytest.mark.parametrize("form", ["hvcC", "behind hvcC", "behind avcC", "between lists"])
def test_data_in_the_head_of_the_pictures_are_not_sent(
    form: str, mode: ConformMode, clips: Any, video_bounds: ClipBounds, tmp_path: Path
) -> None:
    is_hevc = "hvcC" in form
    if is_hevc:
        options = (*x265("info=0", "bframes=0"), "-tag:v", "hvc1")
        plain = clips.make("head.mp4", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4", *options)
    else:
        plain = clips.pattern("head_avc.mp4", 4, "-profile:v", "baseline")
    head = head_of(plain)
    hidden = b"\x4e" if is_hevc else b"\x06"
    unit = hidden + b"\x01" * is_hevc + b"\x05" + bytes([27]) + bytes(16) + SECRET + b"\x80"
    changed = {
        "hvcC": head[:22] + bytes([head[22] + 1]) + head[23:] + as_hvcc_list(unit),
        "between lists": head[:5] + bytes([head[5] + 1]) + struct.pack(">H", len(unit)) + unit + head[6:],
    }.get(form, head + SECRET)
    source = with_head(plain, tmp_path / "secret.mp4", b"hvcC" if is_hevc else b"avcC", changed)
    assert SECRET in source.read_bytes()
    assert frames_of(source) == frames_of(plain)

    made = conform_clip(source, tmp_path, video_bounds, mode=mode)

    assert "data between the pictures (SEI)" in made.report[-1]
    assert SECRET not in made.path.read_bytes()
    assert probe_clip(made.path).private == ()
    if not is_hevc or mode is ConformMode.OFF:
        assert len(head_of(made.path)) == len(head)
        assert frames_of(made.path) == frames_of(plain)


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


NAME = b"\x18DJI Mini 4 Pro SN 4711-42".ljust(32, b"\0")


def visual(name: bytes, *content: bytes, kind: str = "avc1") -> bytes:
    return box(kind, bytes(42), name.ljust(32, b"\0"), b"\0\x18\xff\xff", *content)


def sound(version: int, *content: bytes) -> bytes:
    return box(
        "mp4a", bytes(8), struct.pack(">H", version), bytes(18 + {0: 0, 1: 16, 2: 36}[version]), *content
    )


ESDS = box("esds", bytes(20))


@pytest.mark.parametrize(
    ("track", "entry", "private"),
    [
        ("vide", visual(b"", box("avcC", b"\1BC\x1e\xff\xe0\0"), box("pasp", bytes(8)), bytes(4)), ()),
        ("vide", visual(b"", box("colr", b"nclx", bytes(7)), box("btrt", bytes(12))), ()),
        ("vide", visual(NAME), ("an encoder's name",)),
        ("vide", visual(b"\0" + NAME[1:], kind="hvc1"), ("an encoder's name",)),
        ("vide", visual(b"", box("abcd", SECRET)), ("abcd",)),
        ("vide", visual(b"", box("uuid", SECRET)), ("XMP or data of another program",)),
        ("vide", visual(b"", box("loci", SECRET)), ("the place it was recorded",)),
        ("vide", visual(b"", box("pasp", bytes(8), SECRET)), ("leftover data",)),
        ("vide", visual(b"", box("free", SECRET)), ("leftover data",)),
        ("vide", visual(b"", b"GPS"), ("leftover data",)),
        ("vide", visual(b"", box("colr", b"prof", SECRET)), ("a colour profile",)),
        (
            "vide",
            visual(b"", box("avcC", b"\1BC\x1e\xff\xe0\0", SECRET)),
            ("data between the pictures (SEI)",),
        ),
        ("vide", visual(b"") + visual(NAME), ("an encoder's name",)),
        ("vide", box("avc1", SECRET), ("leftover data",)),
        ("vide", struct.pack(">I4s", 5000, b"avc1") + SECRET, ("leftover data",)),
        ("soun", sound(0, ESDS, box("btrt", bytes(12))), ()),
        ("soun", sound(1, box("wave", box("frma", b"mp4a"), box("mp4a", bytes(4)), ESDS, bytes(8))), ()),
        ("soun", sound(2, box("chan", bytes(12)), ESDS), ()),
        ("soun", sound(0, box("name", SECRET)), ("name",)),
        ("soun", sound(1, box("wave", box("abcd", SECRET))), ("abcd",)),
        ("soun", sound(2, box("wave", ESDS, box("frma", SECRET))), ("leftover data",)),
    ],
)
@pytest.mark.parametrize("handler_is_last", [False, True])
def test_private_data_in_how_a_track_is_coded_are_found(
    handler_is_last: bool, track: str, entry: bytes, private: tuple[str, ...], tmp_path: Path
) -> None:
    parts = [
        box("hdlr", bytes(8), track.encode(), bytes(12), b"VideoHandler\0"),
        box("minf", box("stbl", box("stsd", ONE, entry))),
    ]
    moov = box("moov", box("trak", box("mdia", *(parts[::-1] if handler_is_last else parts))))
    path = tmp_path / "boxes.mp4"
    path.write_bytes(box("ftyp", b"isom") + moov)
    assert private_parts(path, {}, found=(), packet_bytes=0) == private


@MODES
@pytest.mark.parametrize(
    ("name", "is_private"),
    [
        (NAME, True),
        (b"\x1bLavc59.37.100 libx264 of Ann", True),
        (b"\x0bAVC Coding2", True),
        (b"\x0aAVC Coding", False),
        (b"\x15Lavc59.37.100 libx264", False),
        (b"", False),
    ],
)
def test_the_name_of_an_encoder_is_left_out_by_copying_unless_every_clip_has_it(
    name: bytes, is_private: bool, mode: ConformMode, clips: Any, video_bounds: ClipBounds, tmp_path: Path
) -> None:
    plain = clips.pattern("named.mp4")
    data = bytearray(plain.read_bytes())
    at = data.index(b"avc1", data.index(b"stsd")) + 4 + 42
    data[at : at + 32] = name.ljust(32, b"\0")
    source = tmp_path / "named.mp4"
    source.write_bytes(data)

    made = conform_clip(source, tmp_path, video_bounds, mode=mode)

    assert made.is_original is not is_private
    assert made.report == (("Left out of what is sent: an encoder's name.",) if is_private else ())
    assert b"DJI" not in made.path.read_bytes()
    assert probe_clip(made.path).private == ()
    assert frames_of(made.path) == frames_of(source)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("form", [b"\x01" + bytes(30), b"\x01" + b"\xff" * 30, b"\0\0\1", b"GPS", b""])
def test_a_damaged_head_of_the_pictures_is_no_error(codec: str, form: bytes) -> None:
    for size in range(len(form) + 1):
        found = UserData.of(codec, form[:size])
        assert found is not None
        assert len(found.removed_from_head(form[:size])) <= size


def test_private_data_in_an_annex_b_head_are_found() -> None:
    units = [b"\0\0\0\1\x40\1vps", b"\0\0\0\1" + sei(bytes(16) + SECRET), b"\0\0\1\x42\1sps"]
    found = UserData.of("hevc", b"".join(units))
    assert found is not None
    assert found.removed_from_head(b"".join(units)) == units[0] + units[2]
    assert found.removed_from_head(SECRET + units[0]) == units[0]


def test_private_boxes_of_a_fragment_are_found(tmp_path: Path) -> None:
    path = tmp_path / "fragment.mp4"
    fragment = box("traf", box("tfhd", bytes(8)), box("udta", box("loci", SECRET)))
    path.write_bytes(box("ftyp", b"isom") + box("moof", fragment))
    assert private_parts(path, {}, found=(), packet_bytes=0) == ("the place it was recorded",)
