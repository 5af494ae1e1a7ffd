"""An input that is written while its order is under way is never bought under the old one's name."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from kling_once.errors import InputChanged
from kling_once.jobs.progress import Stage
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


def refused(engine: Engine, order: Order, path: Path, stage: Stage) -> str:
    """Run an order whose file is written the first time that it comes to a stage."""
    stages: list[Stage] = []

    def listen(progress: Progress) -> None:
        if progress.stage is stage and stage not in stages:
            write_again(path)
        stages.append(progress.stage)

    with pytest.raises(InputChanged) as caught:
        engine.run(order, listen).result(30)
    return str(caught.value)


def test_a_file_that_changes_while_it_is_measured_leaves_no_trace(
    engine: Engine,
    order: Callable[..., Order],
    sandbox: SandboxControl,
    ledger_file: LedgerFile,
    clip: Path,
    picture: Path,
) -> None:
    wanted = order(image=picture, video=VideoFile(clip))

    assert "walk.mp4 changed while it was read" in refused(engine, wanted, clip, Stage.CONFORM)
    assert "figure.png changed while it was read" in refused(engine, wanted, picture, Stage.CONFORM)

    assert sandbox.creates() == []
    assert ledger_file.rows() == []


def test_each_of_two_clips_of_one_name_is_bought_as_itself(
    engine: Engine,
    order: Callable[..., Order],
    sandbox: SandboxControl,
    http: Any,
    clip: Path,
) -> None:
    refused(engine, order(video=VideoFile(clip)), clip, Stage.CONFORM)

    kept = engine.run(order(video=VideoFile(clip))).result(30)

    (create,) = sandbox.creates()
    assert http.get(create["body"]["video_url"]).content == clip.read_bytes()
    clip.write_bytes(clip.read_bytes()[: -len(EMPTY_BOX)])
    other = engine.run(order(video=VideoFile(clip))).result(30)
    assert (kept.reused, other.reused) == (False, False)
    assert len(sandbox.tasks()) == 2


@pytest.mark.parametrize("stage", [Stage.QUEUE, Stage.UPLOAD])
def test_a_clip_that_changes_on_its_way_to_the_host_is_not_sent(
    engine: Engine,
    order: Callable[..., Order],
    sandbox: SandboxControl,
    clip: Path,
    stage: Stage,
) -> None:
    wanted = order(video=VideoFile(clip))

    assert "Nothing was submitted" in refused(engine, wanted, clip, stage)

    assert sandbox.creates() == []


def test_a_clip_that_changes_while_it_is_uploaded_is_not_sent(
    engine: Engine,
    order: Callable[..., Order],
    sandbox: SandboxControl,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kling_once.hosting.sandbox import SandboxHost  # noqa: PLC0415 - the only use

    verify = SandboxHost.verify

    async def write_first(self: SandboxHost, url: str, file: Any) -> None:
        await verify(self, url, file)
        write_again(clip)

    monkeypatch.setattr(SandboxHost, "verify", write_first)

    with pytest.raises(InputChanged, match=r"walk\.mp4"):
        engine.run(order(video=VideoFile(clip))).result(30)

    assert sandbox.creates() == []


def test_a_folder_of_frames_in_which_one_changes_is_not_sent(
    engine: Engine, order: Callable[..., Order], sandbox: SandboxControl, tmp_path: Path, small_picture: Path
) -> None:
    folder = tmp_path / "dance"
    folder.mkdir()
    for number in range(31):
        shutil.copy(small_picture, folder / f"{number}.png")
    frames = VideoFrames(Frames(FrameFolder.open(folder), Fraction(10)))

    assert "dance changed" in refused(engine, order(video=frames), folder / "30.png", Stage.CONFORM)

    assert sandbox.creates() == []


def test_an_equal_order_of_another_file_is_not_refused_with_the_first(
    engine: Engine, order: Callable[..., Order], sandbox: SandboxControl, small_clip: Path, clip: Path
) -> None:
    second: list[Any] = []

    def listen(progress: Progress) -> None:
        if progress.stage is Stage.CONFORM and not second:
            second.append(engine.run(order(video=VideoFile(small_clip))))
            write_again(clip)

    with pytest.raises(InputChanged):
        engine.run(order(video=VideoFile(clip)), listen).result(30)

    assert second[0].result(30).path.is_file()
    assert len(sandbox.tasks()) == 1
