"""A paid result is never thrown away, whatever its host does; it is fetched when the host behaves again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import av
import pytest

from kling_once.api.download import DownloadPolicy
from kling_once.jobs import collect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TROUBLE = {
    "redirect-private": "The result's",
    "endless-stream": "larger than 2,000,000 bytes",
    "not-a-video": "is not a playable video",
    "html": "is not a playable video",
    "status-503": "The result's host answered HTTP 503",
}


@pytest.fixture
def run(kling: Any, sandbox: Any, small_picture: Path, small_clip: Path) -> Callable[..., Any]:
    return lambda *more: kling("run", small_picture, small_clip, *more)


@pytest.mark.parametrize("fault", TROUBLE)
def test_a_result_that_cannot_be_fetched_today_is_fetched_tomorrow(
    run: Any, sandbox: Any, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "DownloadPolicy", partial(DownloadPolicy, max_bytes=2_000_000))
    sandbox.script("result", *[fault] * 20)
    failed = run()
    assert failed.code == 1
    assert failed.out == ""
    task_id = sandbox.tasks()[0]["task_id"]
    news = failed.err.splitlines()[-3:]
    assert TROUBLE[fault] in " ".join(news)
    assert task_id in " ".join(news)
    assert "othing is lost" in " ".join(news)
    sandbox.script("result")
    done = run("--json")
    assert done.code == 0
    assert (done.json["task_id"], done.json["reused"], done.json["status"]) == (task_id, True, "kept")
    assert len(sandbox.creates()) == 1


def test_no_part_of_a_failed_download_is_left_behind(run: Any, sandbox: Any, results: Path) -> None:
    sandbox.script("result", *["not-a-video"] * 20)
    assert run().code == 1
    assert [path for path in results.rglob("*") if path.is_file()] == []


def test_a_result_that_the_user_fetched_is_kept(run: Any, kling: Any, sandbox: Any, small_clip: Path) -> None:
    sandbox.script("result", *["status-503"] * 20)
    assert run().code == 1
    (task,) = sandbox.tasks()
    done = kling("collect", task["task_id"], "--from-file", small_clip, "--json")
    assert done.code == 0
    assert (done.json["status"], done.json["duration_seconds"]) == ("kept", 3.0)
    assert run("--json").json["path"] == done.json["path"]
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize("name", ["missing.mp4", "text.mp4"])
def test_a_file_that_is_no_video_is_not_kept(
    run: Any, kling: Any, sandbox: Any, tmp_path: Path, name: str
) -> None:
    sandbox.script("result", *["status-503"] * 20)
    assert run().code == 1
    (tmp_path / "text.mp4").write_text("no video")
    done = kling("collect", sandbox.tasks()[0]["task_id"], "--from-file", tmp_path / name)
    assert done.code == 1
    assert name in done.err
    sandbox.script("result")
    assert run().code == 0


def test_the_table_of_jobs_names_each_as_collect_takes_it(run: Any, kling: Any) -> None:
    done = run("--json")
    name = kling("jobs").out.splitlines()[1].split()[0]
    assert done.json["job_key"].startswith(name)
    assert kling("collect", name, "--json").json["path"] == done.json["path"]


@pytest.mark.parametrize("folder", ["nowhere", "long" * 70])
def test_a_folder_that_is_not_there_is_told_before_anything_is_bought(
    run: Any, sandbox: Any, tmp_path: Path, folder: str
) -> None:
    done = run("-o", tmp_path / folder / "video.mp4")
    assert done.code == 1
    assert "There is no folder" in done.err
    assert sandbox.calls() == []


def test_a_copy_that_fails_names_where_the_video_is_kept(run: Any, tmp_path: Path, results: Path) -> None:
    done = run("-o", tmp_path / f"{'long' * 70}.mp4")
    assert done.code == 1
    (kept,) = results.rglob("*.mp4")
    assert str(kept) in done.err


def test_a_folder_takes_the_copy_under_the_kept_name(run: Any, tmp_path: Path, results: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    done = run("-o", folder, "--json")
    (kept,) = results.rglob("*.mp4")
    assert done.json["path"] == str(folder / kept.name)
    assert (folder / kept.name).read_bytes() == kept.read_bytes()


@pytest.mark.parametrize("which", ["small_picture", "small_clip"])
def test_the_copy_never_overwrites_an_input(
    run: Any, sandbox: Any, request: pytest.FixtureRequest, which: str
) -> None:
    path = request.getfixturevalue(which)
    before = path.read_bytes()
    done = run("-o", path)
    assert (done.code, path.read_bytes() == before) == (1, True)
    assert f"{path.name} is an input" in done.err
    assert sandbox.calls() == []


def test_the_copy_is_the_kept_video(run: Any, tmp_path: Path) -> None:
    done = run("-o", tmp_path / "copy.mp4", "--json")
    assert done.json["path"] == str(tmp_path / "copy.mp4")
    with av.open(done.json["path"]) as container:
        assert container.streams.video[0].frames > 0
