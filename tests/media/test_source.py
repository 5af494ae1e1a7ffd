"""A user's file is opened once, and a write to it while it is read is an error in one place."""

from __future__ import annotations

import errno
import os
import stat
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
from blake3 import blake3
from PIL import Image

from kling_once.errors import (
    DiskFull,
    InputChanged,
    MediaStopped,
    UnreadableMedia,
)
from kling_once.media.bounds import picture_violations
from kling_once.media.conform_picture import conform_picture
from kling_once.media.digest import (
    copy_and_digest,
    frames_digest,
    picture_digest,
)
from kling_once.media.frame_folder import FrameFolder
from kling_once.media.picture import probe_picture, read_picture
from kling_once.media.probe import probe_clip
from kling_once.media.types import Frames, PictureBounds, TrimWindow

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 10_000_000
"""Bytes: more than two of the pieces that a file is read in."""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "walk.mp4"
    path.write_bytes(np.random.default_rng(1).bytes(LARGE))
    return path


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened for reading through a path, in order."""
    names: list[str] = []
    original = Path.open

    def counting(self: Path, *args: Any, **options: Any) -> Any:
        names.append(self.name)
        return original(self, *args, **options)

    monkeypatch.setattr(Path, "open", counting)
    return names


def rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes())  # equal bytes, another modification time
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def replaced(path: Path) -> None:
    """Put another file of equal size and time in its place."""
    other, status = path.with_name("other"), path.stat()
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


def removed(path: Path) -> None:
    path.unlink()


def once(action: Callable[[Path], None], path: Path) -> Callable[[], bool]:
    """Return a `stop` that never says so and runs `action` the first time that it is asked."""
    left = [action]

    def stop() -> bool:
        if left:
            left.pop()(path)
        return False

    return stop


@pytest.mark.parametrize(
    ("window", "head"),
    [(None, b"clip 0 0\n"), (TrimWindow(Fraction(1, 10), 3), b"clip 100000 3000000\n")],
)
def test_a_clip_is_copied_and_digested_with_one_open(
    clip: Path, tmp_path: Path, opens: list[str], window: TrimWindow | None, head: bytes
) -> None:
    copy = copy_and_digest(clip, tmp_path / "copy.mp4", window)

    assert opens == ["walk.mp4"]
    assert copy.path.read_bytes() == clip.read_bytes()
    assert copy.clip_digest == blake3(head + clip.read_bytes()).hexdigest()
    assert copy.file_digest == blake3(clip.read_bytes()).hexdigest()
    assert copy.size_bytes == LARGE
    if os.name == "posix":
        assert stat.S_IMODE(copy.path.stat().st_mode) == 0o600


def test_a_copy_stays_as_it_was_when_its_source_is_written_later(clip: Path, tmp_path: Path) -> None:
    copy = copy_and_digest(clip, tmp_path / "copy.mp4")

    clip.write_bytes(b"other")

    assert blake3(copy.path.read_bytes()).hexdigest() == copy.file_digest


@pytest.mark.parametrize("action", [rewritten, longer, replaced, removed])
def test_a_clip_that_changes_while_it_is_copied_is_refused(
    clip: Path, tmp_path: Path, action: Callable[[Path], None]
) -> None:
    with pytest.raises(InputChanged) as caught:
        copy_and_digest(clip, tmp_path / "copy.mp4", stop=once(action, clip))

    assert caught.value.message == "walk.mp4 changed while it was read."
    assert caught.value.hint == "Nothing was submitted. Run again once it is complete."
    assert not (tmp_path / "copy.mp4").exists()


def test_a_clip_that_changes_while_it_is_digested_is_refused(clip: Path) -> None:
    with pytest.raises(InputChanged, match=r"walk\.mp4 changed"):
        copy_and_digest(clip, clip.with_name("copy.mp4"), stop=once(longer, clip))


def test_a_copy_that_is_stopped_leaves_no_file(clip: Path, tmp_path: Path) -> None:
    answers = iter([False, True])
    with pytest.raises(MediaStopped):
        copy_and_digest(clip, tmp_path / "copy.mp4", stop=lambda: next(answers))
    assert list(tmp_path.iterdir()) == [clip]


def test_a_copy_replaces_no_file(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.mp4"
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        copy_and_digest(clip, target)
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["missing.mp4", "."])
def test_a_source_that_cannot_be_read_leaves_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableMedia):
        copy_and_digest(tmp_path / name, tmp_path / "copy.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    with pytest.raises(UnreadableMedia, match=r"pipe\.mp4"):
        copy_and_digest(pipe, tmp_path / "copy.mp4")
    with pytest.raises(UnreadableMedia, match=r"pipe\.mp4"):
        picture_digest(pipe)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_full_disk_is_told_as_such(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.fdopen

    def full(*args: Any) -> Any:
        file = original(*args)

        class Full:
            def __enter__(self) -> Self:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def write(self, _: bytes) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

        return Full()

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(DiskFull, match=r"copy\.mp4"):
        copy_and_digest(clip, tmp_path / "copy.mp4")
    assert list(tmp_path.iterdir()) == [clip]


@pytest.fixture
def picture(tmp_path: Path, astronaut: np.ndarray) -> Path:
    path = tmp_path / "figure.png"
    Image.fromarray(astronaut).save(path)
    return path


def test_a_picture_is_digested_measured_and_conformed_with_one_open(picture: Path, opens: list[str]) -> None:
    bounds = PictureBounds(300, 4096, 2.5, 10_000_000)

    read = read_picture(picture)
    digest, facts, conformed = picture_digest(read), probe_picture(read), conform_picture(read, bounds)

    assert opens == ["figure.png"]
    assert read.data == conformed.data == picture.read_bytes()
    assert digest == picture_digest(picture)
    assert facts == probe_picture(picture)
    assert picture_violations(facts, bounds) == ()


@pytest.mark.parametrize("action", [rewritten, longer, replaced, removed])
def test_a_picture_that_changes_while_it_is_read_is_refused(
    picture: Path, action: Callable[[Path], None]
) -> None:
    with pytest.raises(InputChanged) as caught:
        read_picture(picture, stop=once(action, picture))
    assert caught.value.message == "figure.png changed while it was read."


def test_a_picture_in_memory_is_named_after_its_file(picture: Path) -> None:
    picture.write_bytes(picture.read_bytes()[:2000])
    with pytest.raises(UnreadableMedia, match=r"figure\.png is damaged or cut off"):
        picture_digest(read_picture(picture))


def test_a_file_that_is_no_picture_is_not_read_to_its_end(clip: Path) -> None:
    asked = []
    with pytest.raises(UnreadableMedia, match=r"walk\.mp4 is not a picture"):
        read_picture(clip, stop=lambda: bool(asked.append(1)))
    assert len(asked) < 20


def test_reading_a_picture_stops_when_asked(picture: Path) -> None:
    with pytest.raises(MediaStopped):
        read_picture(picture, stop=lambda: True)


@pytest.fixture
def dance(tmp_path: Path, astronaut: np.ndarray) -> Path:
    folder = tmp_path / "dance"
    folder.mkdir()
    for number in range(12):
        Image.fromarray(np.roll(astronaut[:64, :64], number, axis=1)).save(folder / f"{number}.png")
    return folder


def test_frames_of_a_folder_are_copied_once_and_read_from_the_copy(
    dance: Path, tmp_path: Path, opens: list[str]
) -> None:
    frames = FrameFolder.open(dance)
    digest = frames_digest(Frames(frames, Fraction(10)))
    (tmp_path / "private").mkdir()
    opens.clear()

    copied = frames.copy_to(tmp_path / "private")

    assert sorted(opens) == sorted(path.name for path in dance.iterdir())
    for path in dance.iterdir():
        path.write_bytes(b"other")
    assert copied.shape == frames.shape
    assert copied.folder == tmp_path / "private"
    assert frames_digest(Frames(copied, Fraction(10))) == digest


def test_each_frame_of_a_folder_is_digested_with_one_open(dance: Path, opens: list[str]) -> None:
    frames = FrameFolder.open(dance)
    opens.clear()

    frames_digest(Frames(frames, Fraction(10)))

    assert opens == [f"{number}.png" for number in range(12)]


def test_a_folder_of_frames_that_changes_while_it_is_copied_is_refused(dance: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    frames = FrameFolder.open(dance)
    with pytest.raises(InputChanged) as caught:
        frames.copy_to(tmp_path / "private", stop=once(longer, dance / "0.png"))
    assert caught.value.message == "dance changed while it was read."


def test_a_folder_with_missing_numbers_is_refused_with_the_gaps_named(dance: Path) -> None:
    for number in (4, 7, 8, 9):
        (dance / f"{number}.png").unlink()
    with pytest.raises(UnreadableMedia) as caught:
        FrameFolder.open(dance)
    assert caught.value.message == "The folder dance lacks frames: 4, 7 to 9, so the motion would jump."
    assert "--gaps keep" in str(caught.value.hint)
    assert len(FrameFolder.open(dance, may_have_gaps=True)) == 8


@pytest.mark.parametrize("kept", [lambda n: n % 2 == 0, lambda n: n in {0, 1, 4, 9}, lambda n: n > 5])
def test_every_second_frame_and_numbers_without_a_step_are_no_gaps(dance: Path, kept: Any) -> None:
    for path in dance.iterdir():
        if not kept(int(path.stem)):
            path.unlink()
    FrameFolder.open(dance)


def test_a_playlist_and_a_text_are_no_clips(clips: Any, tmp_path: Path) -> None:
    """The job key knows the bytes of the file alone, and FFmpeg draws a text as a video."""
    segment = clips.pattern("playlist_segment.ts", 4)
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{segment}\n#EXT-X-ENDLIST\n")
    text = tmp_path / "log.txt"
    text.write_text("GET /index.html 200\n" * 1000)
    for path in (playlist, text):
        with pytest.raises(UnreadableMedia, match="is a playlist or a text, not a video"):
            probe_clip(path)
