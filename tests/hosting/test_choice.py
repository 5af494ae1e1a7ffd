"""Which host is chosen, what is said without one, and what importing costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kling_once.errors import HostingError
from kling_once.hosting.media_host import choose_host, no_host_error

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from kling_once.settings import Settings


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, None),
        ({"store_url": "s3://clips"}, "object_store"),
        ({"public_url": "https://clips.example.com"}, "gateway"),
        ({"store_url": "s3://clips", "public_url": "https://clips.example.com"}, "object_store"),
    ],
)
def test_the_object_store_comes_before_the_gateway(
    make_settings: Callable[..., Settings], values: dict[str, str], kind: str | None
) -> None:
    assert getattr(choose_host(make_settings(**values)), "kind", None) == kind


def test_a_host_that_cannot_be_used_is_said_at_once(make_settings: Callable[..., Settings]) -> None:
    with pytest.raises(HostingError, match="https://"):
        choose_host(make_settings(public_url="http://clips.example.com"))


def test_without_a_host_the_three_ways_are_named() -> None:
    text = str(no_host_error())
    for part in (
        "The reference video is a local file",
        "`url`",
        "KLING_ONCE_STORE_URL",
        "KLING_ONCE_PUBLIC_URL",
    ):
        assert part in text
    assert '"Let Kling fetch your clip" in the README' in text


def test_importing_the_folder_loads_neither_obstore_nor_aiohttp(
    run_python: Callable[..., subprocess.Popen[str]],
) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"  # measuring coverage loads sqlite3 first
        "import kling_once.hosting, kling_once.hosting.media_host\n"
        "loaded = set(sys.modules) - before\n"
        "print(sorted({'obstore', 'aiohttp', 'standardwebhooks', 'sqlite3'} & loaded))"
    )
    out, err = run_python(code).communicate(timeout=30)
    assert (out, err) == ("[]\n", "")
