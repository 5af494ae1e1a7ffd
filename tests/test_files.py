"""Files appear whole or not at all, and private ones for their owner alone."""

from __future__ import annotations

import io
import os
import re
import stat
import threading
from typing import TYPE_CHECKING, BinaryIO

import pytest
from blake3 import blake3

from kling_once.errors import HostingError
from kling_once.files import (
    digest_of,
    file_digest,
    kept_value,
    write_file,
)

if TYPE_CHECKING:
    from pathlib import Path


def put(file: BinaryIO) -> None:
    file.write(b"whole")


@pytest.mark.parametrize("content", ["whole", b"whole", put])
def test_text_bytes_and_what_a_function_writes_replace_a_file(tmp_path: Path, content: object) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old and longer")
    write_file(path, content)  # pyright: ignore[reportArgumentType] - each of the three kinds
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_written_as_utf_8_on_every_system(tmp_path: Path) -> None:
    write_file(tmp_path / "file", "ü\n", durable=False)
    assert (tmp_path / "file").read_bytes() == b"\xc3\xbc\n"


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    seen: list[int] = []

    def look(file: BinaryIO) -> None:
        seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))

    old = os.umask(0)
    try:
        write_file(tmp_path / "private", look, private=True)
        write_file(tmp_path / "plain", look)
    finally:
        os.umask(old)
    assert seen == [0o600, 0o666]
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def half(file: BinaryIO) -> None:
        file.write(b"ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(path, half)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_of_one_file_at_the_same_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    threads = [
        threading.Thread(target=write_file, args=(path, bytes([number]) * 100_000)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = path.read_bytes()
    assert (len(content), len(set(content))) == (100_000, 1)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [0, 1, 2**20, 3_000_000])
def test_a_digest_is_blake3_of_the_whole_file(tmp_path: Path, size: int) -> None:
    data = blake3(b"seed").digest(length=size) if size else b""
    (tmp_path / "file").write_bytes(data)
    assert file_digest(tmp_path / "file") == blake3(data).hexdigest()


def test_a_copy_is_digested_while_it_is_written() -> None:
    data = blake3(b"seed").digest(length=3_000_000)
    copy = io.BytesIO()
    assert digest_of(io.BytesIO(data), copy.write) == blake3(data).hexdigest()
    assert copy.getvalue() == data


def test_a_digest_stops_where_the_caller_says() -> None:
    def stop(_chunk: bytes) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        digest_of(io.BytesIO(b"x"), stop)


def test_a_value_is_made_once_and_kept(tmp_path: Path) -> None:
    made = iter(["aa", "bb"])
    form = re.compile("[ab]{2}")
    path = tmp_path / "new folder" / "value"
    assert [kept_value(path, lambda: next(made), form) for _ in range(2)] == ["aa", "aa"]
    assert os.name != "posix" or stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_value_of_another_form_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("something else")
    with pytest.raises(HostingError, match="does not hold what Kling Once wrote"):
        kept_value(tmp_path / "value", lambda: "aa", re.compile("[ab]{2}"))
    assert (tmp_path / "value").read_text() == "something else"
