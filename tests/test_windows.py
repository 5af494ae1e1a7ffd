"""What Windows does otherwise, simulated: sharing violations, device names, drives, code pages, paths."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import pytest

from kling_once import files
from kling_once.cli.options import video_of
from kling_once.clock import SystemClock
from kling_once.files import write_file
from kling_once.ledger.job import JobLabel
from kling_once.order import Service, VideoFile, VideoUrl
from kling_once.results import store
from kling_once.results.store import ResultStore, safe_name

ROOT = Path(__file__).parents[1]
SOURCES = [
    *sorted((ROOT / "kling_once").rglob("*.py")),
    *sorted((ROOT / "nodes").glob("*.py")),
    ROOT / "__init__.py",
]
POSIX_ONLY = re.compile(
    r"^(os\.(fork|getuid|geteuid|getgid|setsid|killpg|mkfifo|fchmod|fchown|chown|statvfs|uname|sysconf|wait\w*)"
    r"|signal\.(SIGKILL|SIGHUP|SIGUSR\d|SIGQUIT|SIGPIPE|SIGALRM|alarm|pause|pthread_\w+))$"
)
POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty", "syslog"}
MAX_PATH = 260
"""Windows' limit for a whole path where long paths are not switched on."""


def as_on_windows(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """Let a module believe that it runs on Windows, without pathlib believing it as well."""
    known = {name: getattr(os, name) for name in ("open", "fsync", "environ", "path", "fspath")}
    monkeypatch.setattr(module, "os", SimpleNamespace(**known, name="nt"))


@pytest.fixture
def held_open(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Refuse the first renames as Windows does while another program reads the target."""
    refusals = {"left": 3}
    really = Path.replace

    def replace(self: Path, target: Any) -> Path:
        if refusals["left"]:
            refusals["left"] -= 1
            raise PermissionError(13, "The process cannot access the file", str(target))
        return really(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    return refusals


def test_a_file_that_a_scanner_holds_open_for_a_moment_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_open: dict[str, int]
) -> None:
    as_on_windows(monkeypatch, files)
    target = tmp_path / "settings.json"
    target.write_text("old", encoding="utf-8")
    write_file(target, "new")
    assert target.read_text(encoding="utf-8") == "new"
    assert held_open["left"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_a_file_that_stays_open_is_said_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_open: dict[str, int]
) -> None:
    as_on_windows(monkeypatch, files)
    monkeypatch.setattr(files, "SHARING_SECONDS", 0.05)
    held_open["left"] = 10**6
    target = tmp_path / "settings.json"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(PermissionError):
        write_file(target, "new")
    assert target.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_elsewhere_a_refused_rename_is_an_error_at_once(tmp_path: Path, held_open: dict[str, int]) -> None:
    with pytest.raises(PermissionError):
        write_file(tmp_path / "settings.json", "new")
    assert held_open["left"] == 2


def label(**changes: Any) -> JobLabel:
    given: dict[str, Any] = {"project": "", "image_name": "picture", "video_name": "clip"} | changes
    return JobLabel(key="0" * 64, service=Service.SANDBOX, take=123456789, **given)


@pytest.mark.parametrize("name", ["con", "PRN", "aux.png", "nul", "COM1", "lpt9.mp4", "CON.tar.gz"])
def test_no_folder_or_file_is_named_like_a_device(tmp_path: Path, name: str) -> None:
    kept = ResultStore(tmp_path, SystemClock())
    reserved = label(project=name, image_name=name, video_name=name)
    path = PureWindowsPath(kept.folder_of(reserved).relative_to(tmp_path).as_posix(), kept.name_of(reserved))
    devices = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
    assert not [part for part in path.parts if devices.fullmatch(part)]


@pytest.mark.parametrize(
    "name", [r"C:\clips\a", "a:b", 'say "x"', "what?", "a|b", "a<b>", "end.", "end ", "tab\there"]
)
def test_no_name_holds_what_windows_refuses(name: str) -> None:
    safe = safe_name(name, 80)
    assert safe
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', safe)
    assert safe == safe.rstrip(". ")


def test_the_longest_result_leaves_room_for_the_folder_before_it(tmp_path: Path) -> None:
    kept = ResultStore(tmp_path, SystemClock())
    longest = label(project="p" * 300, image_name="i" * 300, video_name="v" * 300)
    part = kept.part_path(longest, "0" * 32)
    assert len(str(part.relative_to(tmp_path))) + len(".mp4.json") < MAX_PATH - 60


def test_what_another_process_holds_open_does_not_stop_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ResultStore(tmp_path, SystemClock())
    theirs = kept.part_path(label(), "theirs")
    theirs.write_bytes(b"half")

    def refused(self: Path, missing_ok: bool = False) -> None:
        del self, missing_ok
        raise PermissionError(13, "The process cannot access the file")

    monkeypatch.setattr(Path, "unlink", refused)
    assert kept.part_path(label(), "ours").name.endswith(".ours.part")


@pytest.mark.parametrize("text", [r"C:\clips\dance.mp4", "D:dance.mp4", r"\\server\share\dance.mp4"])
def test_a_drive_letter_is_no_url(text: str) -> None:
    assert isinstance(video_of(text, ""), VideoFile)
    assert isinstance(video_of("https://example.com/C:/dance.mp4", ""), VideoUrl)


@pytest.mark.process
@pytest.mark.parametrize("encoding", ["gbk", "cp1252", "cp437"])
@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["jobs"], ["jobs", "--json"], ["doctor"]]
)
def test_the_command_line_speaks_through_every_code_page(
    tmp_path: Path, encoding: str, arguments: list[str], hermetic: None
) -> None:
    environment = os.environ | {
        "PYTHONIOENCODING": encoding,
        "KLING_ONCE_HOME": str(tmp_path / "\u821e\u8e48 caf\xe9"),
    }
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "kling_once", *arguments],
        capture_output=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in ended.stderr, ended.stderr.decode(errors="replace")
    assert b"UnicodeEncodeError" not in ended.stderr
    ended.stdout.decode(encoding)


def parsed() -> list[tuple[str, ast.Module]]:
    return [
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES
    ]


def test_nothing_is_used_that_only_posix_has() -> None:
    found = []
    for name, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and POSIX_ONLY.match(ast.unparse(node)):
                found.append(f"{name}:{node.lineno}: {ast.unparse(node)}")
            if isinstance(node, ast.Import):
                found += [f"{name}: {alias.name}" for alias in node.names if alias.name in POSIX_MODULES]
    assert found == []


def test_every_text_file_is_opened_with_its_encoding() -> None:
    """Windows' default is the code page of the country, in which a Chinese prompt cannot be written."""
    found = []
    for name, tree in parsed():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func).rsplit(".", 1)[-1]
            words = {keyword.arg for keyword in node.keywords}
            texts = [part.value for part in node.args if isinstance(part, ast.Constant)]
            if called in {"read_text", "write_text"} and "encoding" not in words:
                found.append(f"{name}:{node.lineno}")
            if (
                ast.unparse(node.func) == "open"
                and "encoding" not in words
                and not any("b" in str(one) for one in texts)
            ):
                found.append(f"{name}:{node.lineno}")
    assert found == []


def test_sources_are_such_that_every_code_page_can_show_them() -> None:
    """A traceback of ours is printed on consoles of code page 1252."""
    for path in SOURCES:
        path.read_text(encoding="utf-8").encode("cp1252")


def test_the_loop_waits_for_a_result_that_is_held_open() -> None:
    assert store.SHARING_SECONDS >= files.SHARING_SECONDS
