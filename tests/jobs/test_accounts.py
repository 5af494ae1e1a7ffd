"""Whose key a task belongs to, and what is served when that key, its profile or a file of ours is gone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import CredentialsChanged, SettingsError, UnknownProfile
from kling_once.order import Service, VideoUrl
from kling_once.sandbox import DEFAULT_API_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.order import Order
    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl


@pytest.fixture
def kling(sandboxes: Callable[..., SandboxControl], hermetic: None) -> SandboxControl:
    """A sandbox that stands in for Kling."""
    return sandboxes()


@pytest.fixture
def live(kling: SandboxControl, order: Callable[..., Order], small_clip: Path) -> Callable[..., Order]:
    """Return a maker of orders for it."""
    url = kling.upload(small_clip)
    return lambda **changes: order(service=Service.KLING, video=VideoUrl(url), **changes)


@pytest.fixture
def profiles(tmp_path: Path, kling: SandboxControl) -> Callable[..., None]:
    """Write the named keys into the credentials file."""

    def write(**keys: str) -> None:
        path = tmp_path / "config" / "kling-once" / "credentials.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        held = {name: {"api_key": key, "base_url": kling.origin} for name, key in keys.items()}
        path.write_text(json.dumps({"profiles": held}))
        path.chmod(0o600)

    return write


def test_a_kept_job_of_a_profile_that_is_gone_is_served(
    engines: Callable[..., Any], live: Callable[..., Order], profiles: Callable[..., None]
) -> None:
    profiles(studio=DEFAULT_API_KEY)
    made = engines().run(live(profile="studio")).result(30)
    profiles(other=DEFAULT_API_KEY)
    engine = engines()

    for kept_only in (False, True):
        again = engine.run(live(profile="studio", kept_only=kept_only)).result(30)
        assert (again.reused, again.path) == (True, made.path)


def test_nothing_else_is_begun_with_a_profile_that_is_gone(
    engines: Callable[..., Any],
    live: Callable[..., Order],
    profiles: Callable[..., None],
    kling: SandboxControl,
) -> None:
    profiles(studio=DEFAULT_API_KEY)
    engines().run(live(profile="studio")).result(30)
    profiles(other=DEFAULT_API_KEY)
    engine = engines()

    for order in (live(profile="studio", take=1), live(profile="never")):
        with pytest.raises(UnknownProfile, match="it has: 'other'"):
            engine.run(order).result(30)

    assert len(kling.creates()) == 1


@pytest.fixture
def unfinished(
    engines: Callable[..., Any],
    live: Callable[..., Order],
    profiles: Callable[..., None],
    kling: SandboxControl,
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    """Buy a task with a profile's key, and leave before it is done."""
    profiles(studio=DEFAULT_API_KEY)
    kling.move(policy="polls", polls=100_000)
    engine = engines()
    engine.run(live(profile="studio"))
    eventually(lambda: ledger_file.states() == ["submitted"], "the task")
    engine.close()
    kling.move(policy="at once")


@pytest.mark.usefixtures("unfinished")
def test_a_task_is_picked_up_with_the_key_that_made_it_and_with_no_other(
    engines: Callable[..., Any], live: Callable[..., Order], profiles: Callable[..., None]
) -> None:
    profiles(studio="another-key-0123456789abcdef012345")
    with pytest.raises(CredentialsChanged, match="The key of profile 'studio' has changed"):
        engines().run(live(profile="studio")).result(30)

    profiles(studio=DEFAULT_API_KEY)
    assert engines().run(live(profile="studio")).result(30).path.is_file()


@pytest.mark.usefixtures("unfinished")
def test_no_file_but_the_ledger_is_needed_to_pick_a_task_up(
    engines: Callable[..., Any], live: Callable[..., Order], home: Path
) -> None:
    for path in home.iterdir():
        if path.is_file() and not path.name.startswith("ledger"):
            path.unlink()

    assert engines().run(live(profile="studio")).result(30).path.is_file()


@pytest.mark.parametrize(
    "url",
    [
        "https://api-singapore.klingai.com",
        "https://API-Beijing.klingai.com.:443/",
        "https://api.klingai.com",
        "https://klingai.com",
    ],
)
def test_kling_is_never_taken_for_a_sandbox_whose_jobs_are_free(
    engines: Callable[..., Any], order: Callable[..., Order], url: str
) -> None:
    with pytest.raises(SettingsError, match=r"KLING_ONCE_SANDBOX_URL is .* Kling itself"):
        engines(sandbox_url=url).run(order()).result(30)
