"""An input that is written while its order is under way is never bought under the old one's name."""

from __future__ import annotations

import base64
import hashlib
import shutil
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from kling_once.errors import InputChanged
from kling_once.jobs.progress import Stage
from kling_once.media import picture as pictures
from kling_once.media import source
from kling_once.media.frame_folder import FrameFolder
from kling_once.media.types import Frames
from kling_once.order import VideoFile, VideoFrames

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.jobs.engine import Engine
    from kling_once.jobs.progress import Progress
    from kling_once.order import Order
    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl

EMPTY_BOX = (16).to_bytes(4, "big") + b"free" + bytes(8)
"""At the end of an MP4 it changes the file, and nothing of what is seen."""


@pytest.fixture
def clip(tmp_path: Path, small_clip: Path) -> Path:
    return Path(shutil.copy(small_clip, tmp_path / "walk.mp4"))


@pytest.fixture
def picture(tmp_path: Path, small_picture: Path) -> Path:
    return Path(shutil.copy(small_picture, tmp_path / "figure.png"))


def write_again(path: Path) -> None:
    if path.suffix == ".png":
        Image.open(path).rotate(180).save(path)
    else:
        path.write_bytes(path.read_bytes() + EMPTY_BOX)


@pytest.fixture
def written_while_staged(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Let a file be written after its first bytes were read, once."""

    def arm(path: Path) -> None:
        read = source.read_pieces
        left = [path]

        def pieces(file: Path, **options: Any) -> Any:
            for piece in read(file, **options):
                yield piece
                if file == path and left:
                    write_again(left.pop())

        monkeypatch.setattr(source, "read_pieces", pieces)

    return arm


def written_at(engine: Engine, order: Order, path: Path, stage: Stage) -> Any:
    """Return the outcome of an order whose file is written the first time that it comes to a stage."""
    stages: list[Stage] = []

    def listen(progress: Progress) -> None:
        if progress.stage is stage and stage not in stages:
            write_again(path)
        stages.append(progress.stage)

    return engine.run(order, listen).result(30)


def test_a_clip_that_is_written_while_it_is_staged_is_not_sent(
    engine: Engine,
    order: Callable[..., Order],
    sandbox: SandboxControl,
    ledger_file: LedgerFile,
    clip: Path,
    written_while_staged: Callable[[Path], None],
) -> None:
    written_while_staged(clip)

    with pytest.raises(InputChanged, match=r"walk\.mp4 changed while it was read") as caught:
        engine.run(order(video=VideoFile(clip))).result(30)

    assert "Nothing was submitted" in str(caught.value)
    assert sandbox.creates() == []
    assert ledger_file.rows() == []


def test_a_picture_that_is_written_while_it_is_staged_is_not_sent(
    engine: Engine,
    order: Callable[..., Order],
    sandbox: SandboxControl,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_stop = pictures.check_stop

    def write_meanwhile(stop: Any) -> None:
        write_again(picture)
        check_stop(stop)

    monkeypatch.setattr(pictures, "check_stop", write_meanwhile)

    with pytest.raises(InputChanged, match=r"figure\.png changed while it was read"):
        engine.run(order(image=picture)).result(30)

    assert sandbox.creates() == []


@pytest.mark.parametrize("stage", [Stage.CONFORM, Stage.QUEUE, Stage.UPLOAD])
def test_a_clip_that_is_written_after_it_was_staged_goes_on_as_it_was(
    engine: Engine,
    order: Callable[..., Order],
    sandbox: SandboxControl,
    http: Any,
    clip: Path,
    stage: Stage,
) -> None:
    staged = clip.read_bytes()

    written_at(engine, order(video=VideoFile(clip)), clip, stage)

    (create,) = sandbox.creates()
    assert http.get(create["body"]["video_url"]).content == staged
    assert clip.read_bytes() != staged


def test_a_picture_that_is_written_after_it_was_staged_goes_on_as_it_was(
    engine: Engine, order: Callable[..., Order], sandbox: SandboxControl, picture: Path
) -> None:
    staged = picture.read_bytes()

    written_at(engine, order(image=picture), picture, Stage.CONFORM)

    (create,) = sandbox.creates()
    assert hashlib.sha256(base64.b64encode(staged)).hexdigest()[:16] in create["body"]["image_url"]


def test_each_of_two_clips_of_one_name_is_bought_as_itself(
    engine: Engine, order: Callable[..., Order], sandbox: SandboxControl, http: Any, clip: Path
) -> None:
    first = engine.run(order(video=VideoFile(clip))).result(30)
    write_again(clip)
    second = engine.run(order(video=VideoFile(clip))).result(30)

    assert (first.reused, second.reused) == (False, False)
    assert http.get(sandbox.creates()[1]["body"]["video_url"]).content == clip.read_bytes()
    assert len(sandbox.tasks()) == 2


def test_a_clip_that_fits_is_opened_once_and_hashed_once_before_its_create(
    engine: Engine, order: Callable[..., Order], sandbox: SandboxControl, clip: Path
) -> None:
    opened: list[str] = []
    watching = True

    def watch(event: str, values: tuple[Any, ...]) -> None:
        if watching and event == "open" and str(values[0]) == str(clip):
            opened.append(str(values[0]))

    sys.addaudithook(watch)
    try:
        engine.run(order(video=VideoFile(clip))).result(30)
    finally:
        watching = False
    assert len(opened) == 1
    assert len(sandbox.creates()) == 1


def test_a_folder_of_frames_in_which_one_changes_is_not_sent(
    engine: Engine,
    order: Callable[..., Order],
    sandbox: SandboxControl,
    tmp_path: Path,
    small_picture: Path,
    written_while_staged: Callable[[Path], None],
) -> None:
    folder = tmp_path / "dance"
    folder.mkdir()
    for number in range(31):
        shutil.copy(small_picture, folder / f"{number}.png")
    frames = VideoFrames(Frames(FrameFolder.open(folder), Fraction(10)))

    written_while_staged(folder / "30.png")

    with pytest.raises(InputChanged, match="dance changed"):
        engine.run(order(video=frames)).result(30)

    assert sandbox.creates() == []
