"""`--out`: a copy by atomic rename that never costs an input, and never half a file."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.cli.copy import Copy
from kling_once.errors import DownloadBroken

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def run(kling: Any, sandbox: Any, small_picture: Path, small_clip: Path) -> Callable[..., Any]:
    return lambda *more: kling("run", small_picture, small_clip, *more)


@pytest.mark.parametrize("which", ["small_picture", "small_clip"])
def test_an_input_under_another_name_is_an_input(
    run: Any, sandbox: Any, request: pytest.FixtureRequest, tmp_path: Path, which: str
) -> None:
    path = request.getfixturevalue(which)
    content = path.read_bytes()
    for number, link in enumerate((os.link, os.symlink)):
        other = tmp_path / f"other-{number}"
        link(path, other)
        done = run("-o", other)
        assert done.code == 1
        assert f"{other.name} is an input" in done.err
    assert path.read_bytes() == content
    assert sandbox.calls() == []


@pytest.mark.parametrize("name", ["", "new.mp4", "1.png"])
def test_nothing_is_written_into_the_folder_of_frames(
    kling: Any, sandbox: Any, small_picture: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(4):
        shutil.copy(small_picture, folder / f"{number}.png")
    done = kling("run", small_picture, folder, "--fps", "1", "-o", folder / name)
    assert done.code == 1
    assert "is an input" in done.err
    assert sandbox.calls() == []
    assert sorted(path.name for path in folder.iterdir()) == [f"{number}.png" for number in range(4)]


@pytest.mark.parametrize("name", ["new/", "new/deep/er/"])
def test_a_folder_that_ends_with_a_slash_is_made(run: Any, tmp_path: Path, results: Path, name: str) -> None:
    done = run("-o", f"{tmp_path}/{name}", "--json")
    (kept,) = results.rglob("*.mp4")
    assert done.json["path"] == str(tmp_path / name / kept.name)
    assert (tmp_path / name / kept.name).read_bytes() == kept.read_bytes()


def test_into_the_folder_of_kept_results_is_a_success(run: Any, results: Path) -> None:
    kept = run("--json").json["path"]
    for target in (kept, os.path.dirname(kept)):  # noqa: PTH120 - a text
        done = run("-o", target, "--json")
        assert (done.code, done.json["path"], done.json["kept_path"]) == (0, kept, kept)
    assert len(list(results.rglob("*.mp4"))) == 1


def test_a_link_goes_on_to_point_where_it_points(run: Any, tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"old")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "old.mp4")
    assert run("-o", tmp_path / "link.mp4").code == 0
    assert (tmp_path / "link.mp4").is_symlink()
    assert (tmp_path / "old.mp4").stat().st_size > 1000


def test_a_pipe_is_written_into_and_not_replaced(run: Any) -> None:
    if sys.platform == "win32":
        pytest.skip("no devices there")
    assert run("-o", "/dev/null").code == 0
    assert not os.path.isfile("/dev/null")  # noqa: PTH113 - a device


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "kept.mp4"
    path.write_bytes(b"video" * 1000)
    return path


def test_a_full_disk_leaves_what_was_there(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "copy.mp4"
    target.write_bytes(b"precious")

    def half(source: Any, sink: Any) -> None:
        sink.write(source.read(100))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", half)
    copy = Copy.of(str(target))
    assert copy is not None
    with pytest.raises(DownloadBroken, match="No space left on device") as caught:
        copy.make(kept, "8001")
    assert str(kept) in (caught.value.hint or "")
    assert target.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.mp4", "kept.mp4"]
