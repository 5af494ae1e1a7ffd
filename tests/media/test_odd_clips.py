"""Clips with absurd numbers are refused or read in words, and a full disk is one."""

from __future__ import annotations

import errno
import struct
import tempfile
from typing import TYPE_CHECKING, Any

import av
import pytest

from kling_once.errors import DiskFull, UnreadableMedia
from kling_once.media.conform import conform_clip
from kling_once.media.probe import probe_clip
from kling_once.media.types import ConformMode

if TYPE_CHECKING:
    from pathlib import Path

    from kling_once.media.types import ClipBounds

pytestmark = pytest.mark.media


def test_two_frames_an_hour_apart_are_too_long(clips: Any, video_bounds: ClipBounds, tmp_path: Path) -> None:
    source, slides = clips.pattern("slides.mp4", 4), tmp_path / "slides.mkv"
    with av.open(str(source)) as whole, av.open(str(slides), "w") as few:
        copy = few.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(whole.demux(whole.streams.video[0])):
            if number == 2:
                break
            packet.pts = packet.dts = round(3600 * number / packet.time_base)
            packet.stream = copy
            few.mux(packet)
    made = conform_clip(slides, tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert [violation.rule for violation in made.violations] == ["video.duration.max"]


@pytest.mark.parametrize("aspect", [(1, 4000), (4_000_000, 1)])
def test_an_aspect_that_no_camera_has_is_square(
    aspect: tuple[int, int], clips: Any, video_bounds: ClipBounds, tmp_path: Path
) -> None:
    source = clips.pattern("aspect.mp4", 4, "-vf", "setsar=4/3,scale=640:360")
    data = bytearray(source.read_bytes())
    struct.pack_into(">2I", data, data.index(b"pasp") + 4, *aspect)
    (tmp_path / "odd.mp4").write_bytes(data)
    facts = probe_clip(tmp_path / "odd.mp4")
    assert (facts.width_px, facts.height_px) == (facts.stored_width_px, facts.stored_height_px)
    assert not conform_clip(tmp_path / "odd.mp4", tmp_path, video_bounds, mode=ConformMode.AUTO).violations


def test_a_clip_with_a_picture_that_was_zeroed_is_read(clips: Any, tmp_path: Path) -> None:
    source = clips.make("plain.avi", "-i", str(clips.pattern("plain_avi.mp4", 4)), "-c", "copy")
    with av.open(str(source)) as container:
        packet = [packet for packet in container.demux(container.streams.video[0]) if packet.size][20]
        at, size = packet.pos, packet.size
    data = bytearray(source.read_bytes())
    begin = data.index(bytes(packet), at)
    data[begin : begin + size] = bytes(size)
    (tmp_path / "zeroed.avi").write_bytes(data)
    assert probe_clip(tmp_path / "zeroed.avi").frame_count > 90


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, DiskFull), (errno.EIO, OSError)])
def test_a_disk_that_is_full_before_the_file_is_made_is_named(
    code: int,
    error: type[Exception],
    clips: Any,
    video_bounds: ClipBounds,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = clips.pattern("private_disk.mp4", 4, "-metadata", "title=x")

    def full(**_: Any) -> Any:
        raise OSError(code, "no")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    with pytest.raises(error) as caught:
        conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert not isinstance(caught.value, UnreadableMedia)
