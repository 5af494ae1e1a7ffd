from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import pytest

from kling_once.api.limits import Orientation
from kling_once.errors import MediaStopped, UnreadableMedia
from kling_once.jobs.violations import clip_bounds
from kling_once.media.conform import conform_clip
from kling_once.media.join import Piece, join_clips
from kling_once.media.probe import probe_clip
from kling_once.media.split import split_clip
from kling_once.media.types import ConformMode, TrimWindow
from tests.media.long_clips import claps_heard, claps_seen, long_dance

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.media

STEP_SECONDS = 0.04


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("join")


@pytest.fixture(scope="module")
def three(folder: Path) -> list[Path]:
    """Return three clips of 3.4, 4.04 and 3.2 s that clap every second."""
    return [
        long_dance(folder / f"{number}.mp4", seconds, claps=[0.4, 1.4, 2.4, seconds - 0.4])
        for number, seconds in enumerate((3.4, 4.04, 3.2))
    ]


CLAPS = [0.4, 1.4, 2.4, 3.0, 3.8, 4.8, 5.8, 7.04, 7.84, 8.84, 9.84, 10.24]


def payloads(path: Path, kind: str = "video") -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(**{kind: 0}) if packet.size]


def require_in_step(path: Path, claps: list[float]) -> None:
    seen, heard = claps_seen(path), claps_heard(path)
    assert seen == pytest.approx(claps, abs=STEP_SECONDS)
    assert heard == pytest.approx(seen, abs=STEP_SECONDS)


def test_75_seconds_divided_and_joined_are_75_seconds_in_step(folder: Path) -> None:
    claps = [float(second) for second in range(1, 75)]
    dance = long_dance(folder / "long.mp4", 75, rests=(26.4, 51.2), claps=claps)
    bounds, pieces = clip_bounds(Orientation.VIDEO), []
    for number, part in enumerate(split_clip(dance, bounds).parts):
        (folder / f"part{number}").mkdir()
        window = TrimWindow(float(part.start_seconds), float(part.seconds))
        fitted = conform_clip(dance, folder / f"part{number}", bounds, mode=ConformMode.AUTO, window=window)
        pieces.append(Piece(fitted.path))
    assert len(pieces) == 3
    joined = join_clips(pieces, folder / "joined.mp4")
    assert joined.report == ()
    facts = probe_clip(folder / "joined.mp4")
    assert facts.duration_seconds == pytest.approx(75, abs=1 / 25)
    assert facts.frame_count == 75 * 25
    require_in_step(folder / "joined.mp4", claps)


def test_tracks_that_agree_are_copied(three: list[Path], tmp_path: Path) -> None:
    joined = join_clips([Piece(path) for path in three], tmp_path / "joined.mp4")
    assert joined.report == ()
    assert payloads(tmp_path / "joined.mp4") == [packet for path in three for packet in payloads(path)]
    sound = {packet for path in three for packet in payloads(path, "audio")}
    assert set(payloads(tmp_path / "joined.mp4", "audio")) <= sound
    assert probe_clip(tmp_path / "joined.mp4").duration_seconds == pytest.approx(10.64)
    require_in_step(tmp_path / "joined.mp4", CLAPS)


def test_sound_alone_is_encoded_anew_where_a_clip_has_none(three: list[Path], tmp_path: Path) -> None:
    silent = long_dance(tmp_path / "silent.mp4", 4.04, claps=[0.4, 1.4, 2.4, 3.64], has_sound=False)
    joined = join_clips([Piece(three[0]), Piece(silent), Piece(three[2])], tmp_path / "joined.mp4")
    assert joined.report == ("The sound was encoded anew, since not all of them have sound.",)
    pictures = payloads(tmp_path / "joined.mp4")
    assert pictures == [packet for path in (three[0], silent, three[2]) for packet in payloads(path)]
    assert claps_heard(tmp_path / "joined.mp4") == pytest.approx(CLAPS[:4] + CLAPS[8:], abs=STEP_SECONDS)


def test_clips_of_other_size_and_rate_are_encoded_like_the_first(
    three: list[Path], clips: Any, tmp_path: Path
) -> None:
    other = clips.make(
        "other_form.mp4",
        *("-i", str(three[1]), "-vf", "scale=480:640", "-r", "30", "-c:v", "libx264", "-preset", "ultrafast"),
        *("-ar", "48000", "-ac", "2", "-c:a", "aac"),
    )
    joined = join_clips([Piece(three[0]), Piece(other), Piece(three[2])], tmp_path / "joined.mp4")
    assert "differ in form" in joined.report[0]
    facts = probe_clip(tmp_path / "joined.mp4")
    assert (facts.width_px, facts.height_px, facts.frame_rate) == (352, 480, 25)
    assert facts.duration_seconds == pytest.approx(10.64, abs=0.04)
    require_in_step(tmp_path / "joined.mp4", CLAPS)


def test_an_overlap_is_shown_once(folder: Path, three: list[Path], tmp_path: Path) -> None:
    dance = long_dance(folder / "overlapped.mp4", 8, claps=[0.4, 3.8, 4.2, 7.4])
    halves = [
        Piece(dance, TrimWindow(0, 4)),
        Piece(dance, TrimWindow(3.52, 4.48), overlap_seconds=0.48),
    ]
    joined = join_clips(halves, tmp_path / "joined.mp4")
    assert joined.seconds == 8
    assert "parts of them are left out" in joined.report[0]
    require_in_step(tmp_path / "joined.mp4", [0.4, 3.8, 4.2, 7.4])
    with pytest.raises(UnreadableMedia, match="nothing is left of it without 9 s of overlap"):
        join_clips([Piece(three[0]), Piece(three[1], overlap_seconds=9)], tmp_path / "joined.mp4")


def test_pictures_that_are_not_stored_in_order_are_copied_in_order(clips: Any, tmp_path: Path) -> None:
    reordered = clips.make(
        "reordered.mp4",
        *("-f", "lavfi", "-i", "testsrc2=s=352x480:r=25:d=3.2", "-f", "lavfi", "-i", "sine=d=3.2"),
        *("-c:v", "libx264", "-bf", "3", "-pix_fmt", "yuv420p", "-preset", "medium", "-c:a", "aac"),
    )
    joined = join_clips([Piece(reordered), Piece(reordered)], tmp_path / "joined.mp4")
    assert joined.report == ()
    with av.open(str(reordered)) as container:
        once = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    with av.open(str(tmp_path / "joined.mp4")) as container:
        twice = list(container.decode(video=0))
    assert len(twice) == 2 * len(once)
    times = [frame.time for frame in twice]
    assert [after - before for before, after in pairwise(times)] == pytest.approx([0.04] * 159, abs=0.001)
    assert all(
        (frame.to_ndarray(format="gray") == one).all() for frame, one in zip(twice, once * 2, strict=True)
    )


def test_joining_stops_when_asked_and_leaves_nothing(three: list[Path], tmp_path: Path) -> None:
    asked = iter([False] * 60)
    with pytest.raises(MediaStopped):
        join_clips([Piece(path) for path in three], tmp_path / "joined.mp4", stop=lambda: next(asked, True))
    assert list(tmp_path.iterdir()) == []
