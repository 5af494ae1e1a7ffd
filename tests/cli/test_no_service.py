"""Whatever stands between us and Kling: one clear message, exit code 1, no traceback, nothing paid."""

from __future__ import annotations

import time
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ACCESS = "access-key-of-the-tests-0123456789"
SECRET = "secret-key-of-the-tests-0123456789abcdef"
WRONG = "wrong-key-of-the-tests-0123456789abcdef"


@pytest.fixture
def live(
    sandboxes: Callable[..., Any],
    small_clip: Path,
    small_picture: Path,
    hermetic: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Stand a sandbox in for Kling; return it and the arguments of a run with `--service kling`."""

    def start(**options: Any) -> tuple[Any, list[object]]:
        control = sandboxes(access_key=ACCESS, secret_key=SECRET, **options)
        monkeypatch.setenv("KLINGAI_BASE_URL", control.origin)
        return control, ["run", small_picture, control.upload(small_clip), "--service", "kling"]

    return start


def refused(done: Any, *words: str) -> None:
    assert done.code == 1
    assert done.out == ""
    news = [line for line in done.err.splitlines() if not line.startswith(("check:", "conform:", "queue:"))]
    assert len(news) <= 2, "one line, and one that says what to do"
    assert all(word in done.err for word in words), done.err


def test_no_keys(kling: Any, live: Any) -> None:
    control, run = live()
    refused(kling(*run), "No Kling key is configured.", "KLINGAI_API_KEY", "credentials.json")
    assert control.calls() == []


def test_half_a_key_pair(kling: Any, live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    control, run = live()
    monkeypatch.setenv("KLINGAI_ACCESS_KEY", ACCESS)
    refused(kling(*run), "The secret key is missing in the environment.")
    assert control.calls() == []


def test_an_unknown_profile(kling: Any, live: Any) -> None:
    control, run = live()
    refused(kling(*run, "--profile", "studio"), "Profile 'studio' is not in", "it has: none")
    assert control.calls() == []


def test_a_bad_api_key(kling: Any, live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    control, run = live()
    monkeypatch.setenv("KLINGAI_API_KEY", WRONG)
    done = kling(*run)
    refused(done, "code 1002", "Check the key, and that it belongs to this region.")
    assert WRONG not in done.text
    assert control.creates() == []


@pytest.mark.parametrize(("access", "secret"), [(ACCESS, WRONG), (WRONG, SECRET)])
def test_a_bad_key_pair(
    kling: Any, live: Any, monkeypatch: pytest.MonkeyPatch, access: str, secret: str
) -> None:
    control, run = live()
    monkeypatch.setenv("KLINGAI_ACCESS_KEY", access)
    monkeypatch.setenv("KLINGAI_SECRET_KEY", secret)
    refused(kling(*run), "code 100", "Check the key")
    assert control.creates() == []


@pytest.mark.parametrize(("hours", "side"), [(2, "behind"), (-2, "ahead of")])
def test_a_wrong_clock_is_told_with_its_error(
    kling: Any, live: Any, monkeypatch: pytest.MonkeyPatch, hours: int, side: str
) -> None:
    control, run = live(now=lambda: time.time() + hours * 3600)
    monkeypatch.setenv("KLINGAI_ACCESS_KEY", ACCESS)
    monkeypatch.setenv("KLINGAI_SECRET_KEY", SECRET)
    refused(kling(*run), f"s {side} Kling's: set it right.")
    assert control.creates() == []


@pytest.fixture
def run_at(
    small_picture: Path, hermetic: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[object]]:
    def arguments(origin: str) -> list[object]:
        monkeypatch.setenv("KLINGAI_BASE_URL", origin)
        monkeypatch.setenv("KLINGAI_API_KEY", WRONG)
        return ["run", small_picture, "https://clips.example/motion.mp4", "--service", "kling"]

    return arguments


def test_an_unreachable_host(kling: Any, run_at: Any, unused_tcp_port: int) -> None:
    origin = f"http://127.0.0.1:{unused_tcp_port}"
    refused(kling(*run_at(origin)), f"{origin} cannot be reached", "Nothing was sent.")


def test_a_host_that_no_dns_knows(kling: Any, run_at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kling_once.jobs.recovery.read_again", lambda read, *_, **__: read())
    refused(kling(*run_at("https://kling.invalid")), "https://kling.invalid cannot be reached")


def test_a_proxy_that_speaks_socks(kling: Any, run_at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://user:geheim@127.0.0.1:1080")
    done = kling(*run_at("https://kling.invalid"))
    refused(done, "SOCKS", "pip install 'httpx[socks]'")
    assert "geheim" not in done.text


def test_a_base_url_that_is_none(kling: Any, run_at: Any) -> None:
    done = kling(*run_at("https://user:geheim@kling.example/v1"))
    refused(done, "KLINGAI_BASE_URL is not an http(s) address.")
    assert "geheim" not in done.text


def test_a_login_page_instead_of_kling(
    kling: Any, sandbox: Any, small_picture: Path, small_clip: Path
) -> None:
    sandbox.script("get", *["html"] * 20)
    done = kling("run", small_picture, small_clip)
    refused(done, "did not answer as Kling's API does (HTTP 200, text/html", "login page")
    assert sandbox.creates() == []


def test_a_local_clip_for_kling_without_a_host_says_the_three_ways(
    kling: Any, live: Any, monkeypatch: pytest.MonkeyPatch, small_clip: Path
) -> None:
    control, run = live()
    monkeypatch.setenv("KLINGAI_API_KEY", WRONG)
    done = kling(*run[:2], small_clip, *run[3:])
    assert done.code == 1
    assert "KLING_ONCE_STORE_URL" in done.err
    assert "KLING_ONCE_PUBLIC_URL" in done.err
    assert control.calls() == []


def test_cleaning_a_store_that_is_not_set_says_what_to_set(kling: Any) -> None:
    done = kling("store", "clean")
    assert done.code == 1
    assert done.err.startswith("No media host is set")
    assert "KLING_ONCE_STORE_URL" in done.err


def test_the_version_is_told(kling: Any) -> None:
    done = kling("--version")
    assert (done.code, done.out) == (0, f"{metadata.version('kling-once')}\n")


def test_a_sandbox_that_does_not_run(
    kling: Any, small_picture: Path, small_clip: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("KLING_ONCE_SANDBOX_URL", f"http://127.0.0.1:{unused_tcp_port}")
    refused(kling("run", small_picture, small_clip), "cannot be reached")


def test_a_settings_value_of_the_wrong_kind(
    kling: Any, small_picture: Path, small_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLING_ONCE_MAX_UNITS_PER_DAY", "geheim")
    done = kling("run", small_picture, small_clip)
    refused(done, "KLING_ONCE_MAX_UNITS_PER_DAY")
    assert "geheim" not in done.text


def test_a_real_process_says_no_more_than_that(kling_process: Any, run_at: Any, unused_tcp_port: int) -> None:
    refused(kling_process(*run_at(f"http://127.0.0.1:{unused_tcp_port}")), "cannot be reached")
