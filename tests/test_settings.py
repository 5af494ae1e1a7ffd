"""Settings come from one place, name themselves in errors, and never show what they hold."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.accounts.profiles import origin_of, profile_of
from kling_once.errors import (
    KlingOnceError,
    MissingCredentials,
    SettingsError,
    UnknownProfile,
)
from kling_once.origins import CHINA_ORIGIN, GLOBAL_ORIGIN, clean_origin
from kling_once.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "geheim-0123456789abcdef0123456789abcdef"

pytestmark = pytest.mark.usefixtures("hermetic")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config" / "kling-once"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def write_settings(config: Path) -> Callable[[str], None]:
    def write(text: str) -> None:
        (config / "settings.json").write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def write_profiles(config: Path) -> Callable[..., Path]:
    def write(profiles: Any, mode: int = 0o600) -> Path:
        path = config / "credentials.json"
        path.write_text(json.dumps({"profiles": profiles}), encoding="utf-8")
        path.chmod(mode)
        return path

    return write


def test_every_limit_on_money_has_its_documented_default() -> None:
    settings = load_settings()
    assert settings.max_units_per_prompt == Decimal(80)
    assert settings.max_units_per_day == Decimal(300)


def test_the_environment_wins_over_the_file(
    write_settings: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings('{"max_units_per_day": 40, "max_parallel": 7}')
    monkeypatch.setenv("KLING_ONCE_MAX_UNITS_PER_DAY", "50")
    settings = load_settings()
    assert (settings.max_units_per_day, settings.max_parallel) == (Decimal(50), 7)


def test_lists_are_written_with_commas_or_as_json(
    write_settings: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings('{"allow_hosts": ["a.example", "b.example"]}')
    monkeypatch.setenv("KLING_ONCE_CALLBACK_ORIGINS", "https://a.example, https://b.example,")
    settings = load_settings()
    assert settings.allow_hosts == ("a.example", "b.example")
    assert settings.callback_origins == ("https://a.example", "https://b.example")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLING_ONCE_MAX_PARALLEL", "")
    monkeypatch.setenv("KLINGAI_API_KEY", "")
    settings = load_settings()
    assert (settings.max_parallel, settings.klingai_api_key) == (3, None)


def test_a_tilde_is_the_users_home_and_a_relative_folder_is_made_absolute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KLING_ONCE_HOME", "~/kling")
    monkeypatch.setenv("KLING_ONCE_RESULTS", "videos")
    settings = load_settings()
    assert settings.home == Path("~/kling").expanduser()
    assert settings.results_folder == Path.cwd() / "videos"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KLING_ONCE_MAX_PARALLEL", SECRET),
        ("KLING_ONCE_MAX_PARALLEL", "0"),
        ("KLING_ONCE_MAX_UNITS_PER_DAY", SECRET),
        ("KLING_ONCE_MAX_UNITS_PER_DAY", "-1"),
        ("KLING_ONCE_MAX_UNITS_PER_DAY", "NaN"),
        ("KLING_ONCE_MAX_UNITS_PER_PROMPT", "Infinity"),
        ("KLING_ONCE_POLL_SECONDS", "nan"),
        ("KLING_ONCE_POLL_SECONDS", "0"),
        ("KLING_ONCE_GATEWAY_PORT", "65536"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_variable_and_not_itself(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name in caught.value.message
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", '"x"', "7", '{"max_parallel": "x"}', "[" * 100_000, "\ufeff["]
)
def test_a_settings_file_that_cannot_be_used_ends_in_one_line(
    write_settings: Callable[[str], None], text: str
) -> None:
    write_settings(text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_a_settings_file_that_is_not_text_ends_in_one_line(config: Path) -> None:
    (config / "settings.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="is not JSON"):
        load_settings()


@pytest.mark.parametrize("name", ["max_unit_per_day", "KLING_ONCE_MAX_PARALLEL", "MAX_PARALLEL"])
def test_a_misspelt_limit_in_the_file_is_refused_rather_than_ignored(
    write_settings: Callable[[str], None], name: str
) -> None:
    write_settings(json.dumps({name: 1}))
    with pytest.raises(SettingsError, match=name):
        load_settings()


@pytest.mark.parametrize("name", ["KLINGAI_API_KEY", "klingai_api_key", "klingai_base_url"])
def test_a_key_in_the_settings_file_is_refused_unseen(
    write_settings: Callable[[str], None], name: str
) -> None:
    write_settings(json.dumps({name: SECRET}))
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert SECRET not in str(caught.value)
    assert "credentials.json" in caught.value.hint


ORIGINS = {
    "https://api-singapore.klingai.com": "https://api-singapore.klingai.com",
    "https://API-Beijing.klingai.com/": "https://api-beijing.klingai.com",
    " https://gateway.example:8443 ": "https://gateway.example:8443",
    "http://127.0.0.1:8190": "http://127.0.0.1:8190",
    "http://localhost:8190/": "http://localhost:8190",
    "http://[::1]:8190": "http://[::1]:8190",
    "https://api-singapore.klingai.com:443": "https://api-singapore.klingai.com",
    "https://api-singapore.klingai.com.": "https://api-singapore.klingai.com",
    "https://api-singapore.klingai.com.:0443/": "https://api-singapore.klingai.com",
    "http://127.0.0.1:80": "http://127.0.0.1",
    "http://[::1]:80": "http://[::1]",
    "http://127.0.0.1:443": "http://127.0.0.1:443",
}


@pytest.mark.parametrize("url", ORIGINS)
def test_a_base_url_is_an_origin(url: str) -> None:
    assert clean_origin(url, "KLINGAI_BASE_URL") == ORIGINS[url]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api-singapore.klingai.com",
        "ftp://api.example",
        "http://api.example",
        "http://127.0.0.1.api.example",
        "https://",
        "https://.",
        "https://:443",
        "https://user:geheim@api.example",
        "https://geheim@api.example",
        "https://api.example/v1",
        "https://api.example?key=geheim",
        "https://api.example#geheim",
        "https://api.example:port",
        "https://api.example:99999999",
        "https://[::1",
        "https://ho st",
        "https://api.example\\@evil.example",
    ],
)
def test_any_other_base_url_is_refused_unseen(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        clean_origin(url, "KLINGAI_BASE_URL")
    assert "KLINGAI_BASE_URL" in caught.value.message
    assert "geheim" not in str(caught.value)


def test_the_environment_serves_the_empty_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLINGAI_API_KEY", SECRET)
    profile = profile_of(load_settings(), "")
    assert (profile.origin, profile.source) == (GLOBAL_ORIGIN, "environment")
    assert profile.api_key is not None
    assert profile.api_key.get_secret_value() == SECRET


def test_a_named_profile_never_falls_back_to_the_environment(
    monkeypatch: pytest.MonkeyPatch, write_profiles: Callable[..., Path]
) -> None:
    monkeypatch.setenv("KLINGAI_API_KEY", SECRET)
    monkeypatch.setenv("KLINGAI_BASE_URL", "https://other.example")
    write_profiles({"china": {"access_key": "a" * 32, "secret_key": "s" * 32, "region": "china"}})
    profile = profile_of(load_settings(), "china")
    assert (profile.origin, profile.source, profile.api_key) == (CHINA_ORIGIN, "file", None)
    with pytest.raises(UnknownProfile) as caught:
        profile_of(load_settings(), "studio")
    assert "'china'" in caught.value.message


def test_a_named_profile_goes_to_the_official_host_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, write_profiles: Callable[..., Path]
) -> None:
    monkeypatch.setenv("KLINGAI_BASE_URL", "https://other.example")
    write_profiles({"studio": {"api_key": SECRET}})
    assert profile_of(load_settings(), "studio").origin == GLOBAL_ORIGIN


def test_an_incomplete_named_profile_does_not_fall_back(
    monkeypatch: pytest.MonkeyPatch, write_profiles: Callable[..., Path]
) -> None:
    monkeypatch.setenv("KLINGAI_API_KEY", SECRET)
    write_profiles({"studio": {"access_key": "a" * 32}})
    with pytest.raises(MissingCredentials, match="secret key is missing in profile 'studio'"):
        profile_of(load_settings(), "studio")


def test_half_a_key_is_of_the_region_that_its_profile_names(
    monkeypatch: pytest.MonkeyPatch, write_profiles: Callable[..., Path]
) -> None:
    monkeypatch.setenv("KLINGAI_BASE_URL", "https://other.example")
    write_profiles({"china": {"access_key": "a" * 32, "region": "china"}})
    assert origin_of(load_settings(), "china") == CHINA_ORIGIN
    assert origin_of(load_settings(), "") == "https://other.example"


def test_the_file_serves_the_empty_profile_when_the_environment_does_not(
    write_profiles: Callable[..., Path],
) -> None:
    write_profiles({"": {"api_key": SECRET}})
    assert profile_of(load_settings(), "").source == "file"


@pytest.mark.parametrize("key", ["", "   ", "\n"])
def test_a_blank_key_is_no_key(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("KLINGAI_API_KEY", key)
    with pytest.raises(MissingCredentials, match="No Kling key is configured"):
        profile_of(load_settings(), "")


def test_half_a_key_pair_names_the_missing_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLINGAI_ACCESS_KEY", "a" * 32)
    with pytest.raises(MissingCredentials, match="secret key is missing in the environment"):
        profile_of(load_settings(), "")


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777])
def test_a_credentials_file_that_others_may_read_is_not_used(
    write_profiles: Callable[..., Path], mode: int
) -> None:
    path = write_profiles({"studio": {"api_key": SECRET}}, mode)
    with pytest.raises(SettingsError) as caught:
        profile_of(load_settings(), "studio")
    assert f"chmod 600 {path}" in caught.value.hint
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_credentials_file_of_the_user_alone_is_used(write_profiles: Callable[..., Path], mode: int) -> None:
    write_profiles({"studio": {"api_key": SECRET}}, mode)
    assert profile_of(load_settings(), "studio").api_key is not None


BROKEN_PROFILES = [
    b"",
    b"[]",
    b"{}",
    b'{"profiles": []}',
    b'{"profiles": {"studio": "geheim"}}',
    b'{"profiles": {"studio": ["geheim"]}}',
    b'{"profiles": {"studio": null}}',
    b"\xff\xfe",
    b"[" * 100_000,
]


@pytest.mark.parametrize("content", BROKEN_PROFILES)
def test_a_credentials_file_of_another_form_ends_in_one_line_without_its_content(
    config: Path, content: bytes
) -> None:
    path = config / "credentials.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SettingsError) as caught:
        profile_of(load_settings(), "studio")
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fields", [{"region": SECRET}, {"base_url": f"https://{SECRET}@x.example"}])
def test_a_wrong_profile_is_told_without_what_it_holds(
    write_profiles: Callable[..., Path], fields: dict[str, str]
) -> None:
    write_profiles({"studio": {"api_key": SECRET} | fields})
    with pytest.raises(KlingOnceError) as caught:
        profile_of(load_settings(), "studio")
    assert SECRET not in str(caught.value)
    assert "studio" in caught.value.message


def test_no_representation_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name, field in Settings.model_fields.items() if "Secret" in str(field.annotation)]
    for name in names:
        prefix = "" if name.startswith("klingai_") else "KLING_ONCE_"
        monkeypatch.setenv(prefix + name.upper(), SECRET)
    settings = load_settings()
    assert len(names) >= 6
    assert SECRET not in f"{settings!r} {settings} {profile_of(settings, '')!r} {settings.model_dump_json()}"


def test_a_service_on_this_machine_is_asked_often_unless_somebody_says_how_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KLING_ONCE_POLL_SECONDS")
    settings = load_settings()
    assert settings.pace("http://127.0.0.1:8190").poll_seconds == 0.2
    assert settings.pace("https://api-singapore.klingai.com").poll_seconds == 5.0
    monkeypatch.setenv("KLING_ONCE_POLL_SECONDS", "5")
    assert load_settings().pace("http://127.0.0.1:8190").poll_seconds == 5.0


def test_under_a_second_is_for_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLING_ONCE_POLL_SECONDS", "0.01")
    monkeypatch.setenv("KLING_ONCE_SETTLE_SECONDS", "0.01")
    settings = load_settings()
    assert settings.pace("http://127.0.0.1:8190").poll_seconds == 0.01
    assert settings.pace("https://api-singapore.klingai.com").poll_seconds == 1.0
    assert settings.pace("https://api-singapore.klingai.com").settle_seconds == 1.0
