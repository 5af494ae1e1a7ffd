"""Clips that are made to fit: made once for all who need the same, and gone when nobody does."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

from kling_once.jobs.progress import Progress, Stage
from kling_once.jobs.services import MediaThreads
from kling_once.jobs.staging import stage
from kling_once.jobs.staging_area import StagingArea
from kling_once.media.frame_folder import FrameFolder
from kling_once.media.types import ConformMode, Frames
from kling_once.order import VideoFile, VideoFrames

ATOM_OF_NOTHING = b"\x00\x00\x00\x08free"
"""At the end of an MP4 it changes the file and nothing that it shows."""

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_clip(path: Path, seconds: int, side_px: int) -> None:
    """A grey that gets lighter, in a codec that is not sent."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("mpeg4", rate=10)
        stream.width = stream.height = side_px
        stream.pix_fmt = "yuv420p"
        for number in range(seconds * 10):
            shade = np.full((side_px * 3 // 2, side_px), 40 + number % 150, np.uint8)
            frame = av.VideoFrame.from_ndarray(shade, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


@pytest.fixture
def old_clip(tmp_path: Path) -> Path:
    path = tmp_path / "old.mp4"
    write_clip(path, 3, 360)
    return path


@pytest.fixture
def clips_in_work(home: Path) -> Callable[[], list[Path]]:
    return lambda: list((home / "work").rglob("*.mp4"))


def test_a_list_of_jobs_with_one_clip_makes_it_once(
    sandbox: Any,
    engine: Any,
    order: Callable[..., Any],
    old_clip: Path,
    clips_in_work: Callable[[], list[Path]],
    eventually: Callable[..., Any],
    home: Path,
) -> None:
    sandbox.move(policy="seconds", seconds=600)
    made: list[Progress] = []
    futures = [engine.run(order(video=VideoFile(old_clip), take=take), made.append) for take in range(3)]
    eventually(lambda: len(sandbox.creates()) == 3, "the creates")
    assert len(clips_in_work()) == 1
    assert [progress.done for progress in made if progress.stage is Stage.CONFORM and progress.total] == [
        *range(1, 31)
    ]
    sandbox.move(policy="at once")
    outcomes = [future.result() for future in futures]
    assert {outcome.did for outcome in outcomes} == {("Re-encoded from mpeg4 to H.264.",)}
    engine.close()
    assert list((home / "work").iterdir()) == []


def test_what_a_check_made_is_what_the_run_sends(
    engine: Any, order: Callable[..., Any], old_clip: Path, clips_in_work: Callable[[], list[Path]]
) -> None:
    one = order(video=VideoFile(old_clip))
    assert engine.check(one).result().ok
    (made,) = clips_in_work()
    told: list[Progress] = []
    engine.run(one, told.append).result()
    assert not [progress for progress in told if progress.stage is Stage.CONFORM and progress.total]
    assert clips_in_work() == [made]


def test_another_way_of_conforming_is_another_clip_and_only_the_last_one_stays(
    engine: Any, order: Callable[..., Any], old_clip: Path, clips_in_work: Callable[[], list[Path]]
) -> None:
    found = set()
    for changes in ({}, {"conform": ConformMode.TRIM}, {"character_orientation": "image"}):
        assert engine.check(order(video=VideoFile(old_clip), **changes)).result().ok
        found |= {path.parent for path in clips_in_work()}
        assert len(clips_in_work()) == 1
    assert len(found) == 3


def test_equal_files_are_each_sent_from_their_own_place(
    engine: Any, order: Callable[..., Any], small_clip: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    for path in (first, second):
        path.write_bytes(small_clip.read_bytes())
    assert engine.check(order(video=VideoFile(first))).result().ok
    first.unlink()
    assert not engine.run(order(video=VideoFile(second))).result().reused


def copy_of_the_clip(small_clip: Path, folder: Path, name: str) -> VideoFile:
    path = folder / f"{name}.mp4"
    path.write_bytes(small_clip.read_bytes())
    return VideoFile(path)


def folder_of_frames(_small_clip: Path, folder: Path, name: str) -> VideoFrames:
    frames = folder / name
    frames.mkdir()
    for number in range(30):
        shade = np.full((360, 360, 3), 40 + 5 * number, np.uint8)
        Image.fromarray(shade).save(frames / f"{name}_{number:03}.png")
    return VideoFrames(Frames(FrameFolder.open(frames), Fraction(10)))


@pytest.mark.parametrize("make", [copy_of_the_clip, folder_of_frames])
async def test_equal_clips_under_two_names_are_made_to_fit_by_whichever_order_comes_first(
    make: Callable[..., Any], order: Callable[..., Any], small_clip: Path, tmp_path: Path
) -> None:
    area, media = StagingArea(tmp_path / "home"), MediaThreads()
    first, second = [
        await stage(order(video=make(small_clip, tmp_path, name)), "embedded", area, media)
        for name in ("first", "second")
    ]
    for staged in (second, first):
        await staged.fit(media, generation="standard", china=False)
    assert not first.violations
    assert not second.violations
    assert first.hosted == second.hosted
    media.close()
    area.close()


def test_what_a_killed_run_was_making_goes_with_the_next_run(
    sandbox: Any,
    run_cli: Callable[..., Any],
    cli: Callable[..., Any],
    small_picture: Path,
    tmp_path: Path,
    clips_in_work: Callable[[], list[Path]],
    eventually: Callable[..., Any],
    home: Path,
) -> None:
    slow = tmp_path / "slow.mp4"
    write_clip(slow, 30, 1600)
    killed = cli("run", small_picture, slow, "--json")
    eventually(lambda: clips_in_work() or killed.popen.poll() is not None, "the conforming")
    killed.kill()
    assert clips_in_work()
    assert run_cli().end().code == 0
    assert list((home / "work").iterdir()) == []


def test_checking_by_content_leaves_each_clip_once_and_the_users_own_where_it_is(
    engine: Any, order: Callable[..., Any], old_clip: Path, small_clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shown"
    first, second = (
        engine.check(order(video=VideoFile(old_clip)), folder, by_content=True).result() for _ in range(2)
    )
    assert first.written == second.written
    assert sorted(folder.iterdir()) == sorted(first.written)
    plain = engine.check(order(), folder, by_content=True).result()
    assert plain.written[1] == small_clip
    assert len(list(folder.iterdir())) == 2
