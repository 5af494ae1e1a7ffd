"""`doctor` ends with exit code 1 when something that was set up does not work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.client import shared_client

if TYPE_CHECKING:
    from pathlib import Path


def test_a_home_without_a_key_is_not_broken(kling: Any, sandbox: Any) -> None:
    done = kling("doctor", "--json")
    assert done.code == 0
    assert done.json["key"]["ok"] is False
    assert [name for name, item in done.json.items() if item["broken"]] == []


def test_a_damaged_ledger_is_broken(kling: Any, sandbox: Any, home: Path) -> None:
    home.mkdir()
    (home / "ledger.db").write_bytes(os.urandom(20_000))
    done = kling("doctor", "--json")
    assert done.code == 1
    assert done.json["ledger"]["broken"] is True
    assert "\nFAIL ledger: " in kling("doctor").out


def test_an_unknown_profile_is_broken(kling: Any, sandbox: Any) -> None:
    done = kling("doctor", "--profile", "studio", "--json")
    assert done.code == 1
    assert done.json["key"]["broken"] is True
    assert "'studio'" in done.json["key"]["text"]


def test_profiles_that_cannot_be_read_are_broken(kling: Any, sandbox: Any, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "kling-once"
    folder.mkdir(parents=True)
    (folder / "credentials.json").write_text("{")
    done = kling("doctor", "--json")
    assert done.code == 1
    assert done.json["profiles"]["broken"] is True


def test_comfyuis_results_are_found_once_the_pack_has_run_there(
    kling: Any,
    sandbox: Any,
    small_picture: Path,
    small_clip: Path,
    order: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KLING_ONCE_RESULTS")
    monkeypatch.setattr("kling_once.client._shared", [])
    comfy = tmp_path / "output" / "kling_once"
    client = shared_client(results=comfy)
    kept = client.run(order()).result(30).path
    client.close()
    downloads = len(sandbox.calls())

    assert str(comfy) in kling("doctor", "--json").json["results"]["text"]
    done = kling("run", small_picture, small_clip, "--json")

    assert done.json["path"] == str(kept)
    assert len(sandbox.calls()) == downloads
    assert list(comfy.rglob("*.mp4")) == [kept]


def test_a_results_folder_that_is_set_wins_and_one_that_is_gone_does_not_count(
    kling: Any, sandbox: Any, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (home / "comfyui-results").write_text(f"{tmp_path}\n")
    assert str(tmp_path / "results") in kling("doctor", "--json").json["results"]["text"]
    monkeypatch.delenv("KLING_ONCE_RESULTS")
    assert kling("doctor", "--json").json["results"]["text"].startswith(f"{tmp_path} ")
    (home / "comfyui-results").write_text(f"{tmp_path / 'gone'}\n")
    assert str(home / "results") in kling("doctor", "--json").json["results"]["text"]


@pytest.mark.parametrize("fps", ["１０", "٣", "1e1", "1_0", "-5", "0", "24 ", "1/0", "nan", "241"])  # noqa: RUF001 - on purpose
def test_a_rate_is_written_in_ascii_digits(
    kling: Any, sandbox: Any, small_picture: Path, tmp_path: Path, fps: str
) -> None:
    done = kling("check", small_picture, tmp_path, f"--fps={fps}")
    assert done.code == 1
    assert "give --fps, 1 to 240" in done.err


def test_a_rate_for_what_is_no_folder_is_refused(
    kling: Any, sandbox: Any, small_picture: Path, small_clip: Path
) -> None:
    for clip in (small_clip, "https://clips.example/a.mp4"):
        done = kling("run", small_picture, clip, "--fps", "24")
        assert done.code == 1
        assert "a clip has a rate of its own" in done.err
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    ("arguments", "error", "code"),
    [
        (["--port", "many"], "UsageError", 2),
        (["--invent"], "UsageError", 2),
        (["--api-key", ""], "SandboxError", 1),
        (["--host", "256.0.0.1"], "SandboxError", 1),
    ],
)
def test_the_sandbox_prints_one_object_too(kling: Any, arguments: list[str], error: str, code: int) -> None:
    done = kling("sandbox", *arguments, "--json")
    assert (done.code, done.err) == (code, "")
    assert done.json["error"] == error


def test_the_sandboxs_help_names_the_command_that_was_typed(kling: Any) -> None:
    assert kling("sandbox", "--help").out.startswith("usage: kling-once sandbox ")


@pytest.mark.parametrize(
    ("spoken", "gives"),
    [
        ("legacy", "standard gives pictures up to 50 MB"),
        ("standard", "legacy gives the use of an access key"),
    ],
)
def test_one_sentence_says_what_the_other_generation_gives(
    kling: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch, spoken: str, gives: str
) -> None:
    monkeypatch.setenv("KLINGAI_API_GENERATION", spoken)
    said = kling("doctor", "--json").json["API"]["text"]
    assert said.startswith(f"{spoken}; ")
    assert gives in said
