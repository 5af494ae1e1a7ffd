from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_once.api.limits import Orientation
from kling_once.errors import InputRefused, MediaStopped
from kling_once.jobs.violations import clip_bounds, cut_violations, still_clip
from kling_once.media.conform import conform_clip
from kling_once.media.decode import decode_clip
from kling_once.media.split import Limits, divide, fewest_parts, split_clip
from kling_once.media.survey import survey_clip
from kling_once.media.types import ConformMode, TrimWindow
from tests.media.long_clips import long_dance

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.media

VIDEO, IMAGE = clip_bounds(Orientation.VIDEO), clip_bounds(Orientation.IMAGE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("split")


@pytest.fixture(scope="module")
def dance(folder: Path) -> Path:
    """Return 24 s that rest at 8.5 and 16.9 s."""
    return long_dance(folder / "dance.mp4", 24, rests=(8.5, 16.9))


def test_a_clip_is_divided_where_it_rests_near_the_limit(dance: Path) -> None:
    found = split_clip(dance, IMAGE)
    ends = [float(part.end_seconds) for part in found.parts]
    assert len(ends) == 3
    assert ends[0] == pytest.approx(8.5, abs=0.3)
    assert ends[1] == pytest.approx(16.9, abs=0.3)
    assert found.report[0].startswith("Part 1: 0:00-0:08.")


def test_every_part_is_acceptable_and_its_length_is_that_of_its_result(dance: Path, tmp_path: Path) -> None:
    for number, part in enumerate(split_clip(dance, IMAGE, overlap_seconds=0.5).parts):
        folder = tmp_path / str(number)
        folder.mkdir()
        window = TrimWindow(float(part.start_seconds), float(part.seconds))
        fitted = conform_clip(dance, folder, IMAGE, mode=ConformMode.AUTO, window=window)
        assert not fitted.violations
        assert fitted.facts.duration_seconds == pytest.approx(float(part.seconds), abs=0.001)
        assert 3 <= fitted.facts.duration_seconds <= 9.96
        survey = survey_clip(fitted.path)
        assert not cut_violations(survey.cuts)
        assert not still_clip(survey)
        if number < 2:
            assert float(part.seconds * 30) == pytest.approx(round(part.seconds * 30), abs=0.1)


def test_a_part_begins_earlier_by_the_overlap(dance: Path) -> None:
    first, second, third = split_clip(dance, IMAGE, overlap_seconds=0.5).parts
    assert (first.overlap_seconds, second.overlap_seconds) == (0, pytest.approx(0.5, abs=0.021))
    assert second.start_seconds + second.overlap_seconds == first.end_seconds
    assert third.start_seconds + third.overlap_seconds == second.end_seconds
    assert third.end_seconds == 24


def test_a_part_begins_at_a_change_of_shot_and_shows_nothing_of_the_one_before(folder: Path) -> None:
    clip = long_dance(folder / "shots.mp4", 14, cuts=(5.0, 6.0))
    found = split_clip(clip, IMAGE, overlap_seconds=0.5)
    assert [float(part.start_seconds) for part in found.parts] == [0, 5.0]
    assert found.parts[1].overlap_seconds == 0
    assert found.cuts == pytest.approx((6.0,))
    assert "Part 2 holds a change of shot at 0:06" in found.report[-1]


def test_a_clip_that_fits_is_one_part(dance: Path) -> None:
    (part,) = split_clip(dance, VIDEO).parts
    assert (part.start_seconds, part.seconds) == (0, 24)


def test_a_trim_is_divided_alone_and_frames_as_their_file(dance: Path) -> None:
    window = TrimWindow(3.0, 18.0)
    parts = split_clip(dance, IMAGE, window=window).parts
    assert (parts[0].start_seconds, parts[-1].end_seconds) == (3, 21)
    pytest.importorskip("torch")
    frames = decode_clip(dance, window=window, longest_side_px=160)
    of_frames = split_clip(frames, IMAGE).parts
    for part, other in zip(parts, of_frames, strict=True):
        assert float(part.start_seconds - 3) == pytest.approx(float(other.start_seconds), abs=0.3)


@pytest.mark.parametrize(
    ("most", "overlap", "words"),
    [
        (6, 0, "most_seconds is 6; with orientation 'image' it may be 7 to 10"),
        (11, 0, "may be 7 to 10"),
        (7, 4, "overlap is 4 s; with parts of at most 7 s it may be 0 to 3"),
    ],
)
def test_numbers_that_leave_no_room_are_refused(dance: Path, most: float, overlap: float, words: str) -> None:
    with pytest.raises(InputRefused, match=words):
        split_clip(dance, IMAGE, most_seconds=most, overlap_seconds=overlap)


@pytest.mark.parametrize(
    ("seconds", "limits", "fewest"),
    [
        (30, {}, 1),
        (30.02, {}, 2),
        (31, {}, 2),
        (59.92, {}, 2),
        (59.94, {}, 3),
        (20, {"most_seconds": 10}, 2),
        (20, {"most_seconds": 10, "overlap_seconds": 5}, 2),  # at a change of shot nothing overlaps
        (10.01, {"most_seconds": 10}, 2),
    ],
)
def test_how_few_parts_there_can_be_is_known_before_the_clip_is_looked_at(
    seconds: float, limits: dict[str, float], fewest: int
) -> None:
    assert fewest_parts(seconds, VIDEO, **limits) == fewest


def test_a_clip_that_is_too_long_to_divide_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(InputRefused, match="video is 10:01 long; at most 10:00 are split"):
        fewest_parts(601, VIDEO)


def test_splitting_stops_when_asked(dance: Path) -> None:
    with pytest.raises(MediaStopped):
        split_clip(dance, IMAGE, stop=lambda: True)


@given(
    seconds=st.integers(1000, 60_000),
    rate=st.sampled_from(["24000/1001", "25", "30000/1001", "30", "60"]),
    longest=st.sampled_from([7, Fraction("9.96"), 15, Fraction("29.96")]),
    overlap=st.sampled_from([0, Fraction(1, 2), 2]),
    cuts=st.lists(st.floats(0, 600), max_size=12),
    seed=st.integers(0, 99),
)
def test_parts_follow_each_other_and_keep_to_the_limits(
    seconds: int, rate: str, longest: Fraction, overlap: Fraction, cuts: list[float], seed: int
) -> None:
    fps = Fraction(rate)
    count = int(Fraction(seconds, 100) * fps)
    whole = count / fps
    times = np.arange(count) / float(fps)
    motion = np.random.default_rng(seed).random(count)
    limits = Limits(Fraction(3), Fraction(longest), Fraction(overlap), Fraction(longest))
    shots = tuple(sorted(cut for cut in cuts if cut < whole))
    parts = divide(times, motion, shots, seconds=whole, rate=fps, limits=limits).parts
    assert len(parts) >= -(-whole // longest)  # as `fewest_parts` says
    assert parts[0].start_seconds == 0
    assert parts[-1].end_seconds == whole
    for before, part in pairwise(parts):
        assert part.start_seconds + part.overlap_seconds == before.end_seconds
        assert abs(part.overlap_seconds - overlap) <= 1 / fps or part.overlap_seconds == 0
    assert all(3 <= part.seconds <= longest for part in parts)
    if not shots:
        assert len(parts) <= 1 + -(-(whole - longest + 1) // (longest - overlap - Fraction(1, 10)))
