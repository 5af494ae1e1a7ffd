"""Gateway: what it serves, keeps and removes."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from blake3 import blake3

from kling_once.errors import HostingError
from kling_once.hosting.gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.hosting.media_host import HostedFile
    from kling_once.settings import Settings


async def test_a_signed_link_serves_the_whole_clip(
    clip_url: str, make_clip: Callable[..., HostedFile], fetch: Callable[..., Any]
) -> None:
    status, body, headers = await fetch(clip_url)
    assert (status, blake3(body).hexdigest()) == (200, make_clip().digest)
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "ython" not in headers["Server"]
    assert urlsplit(clip_url).path.endswith(".mp4")


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-99", 0, 99), ("1000-1000", 1000, 1000), ("299000-", 299_000, 299_999), ("-5", 299_995, 299_999)],
)
async def test_a_range_is_served_as_asked(
    clip_url: str,
    make_clip: Callable[..., HostedFile],
    asked: str,
    first: int,
    last: int,
    fetch: Callable[..., Any],
) -> None:
    status, body, headers = await fetch(clip_url, Range=f"bytes={asked}")
    assert status == 206
    assert headers["Content-Range"] == f"bytes {first}-{last}/300000"
    assert body == make_clip().path.read_bytes()[first : last + 1]


async def test_a_range_beyond_the_end_is_416_with_the_size(clip_url: str, fetch: Callable[..., Any]) -> None:
    status, body, headers = await fetch(clip_url, Range="bytes=300000-")
    assert (status, body, headers["Content-Range"]) == (416, b"", "bytes */300000")


async def test_head_tells_size_and_sends_nothing(clip_url: str, fetch: Callable[..., Any]) -> None:
    status, body, headers = await fetch(clip_url, "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", "300000")
    assert headers["Accept-Ranges"] == "bytes"


async def test_the_clip_that_was_handed_in_may_be_deleted(
    gateway: Gateway, make_clip: Callable[..., HostedFile], fetch: Callable[..., Any]
) -> None:
    clip = make_clip()
    url = await gateway.sign(await gateway.publish(clip), 60)
    clip.path.unlink()
    assert (await fetch(url))[0] == 200


async def test_the_copy_must_be_the_same_that_was_published(
    gateway: Gateway,
    clip_url: str,
    make_clip: Callable[..., HostedFile],
    settings: Settings,
    fetch: Callable[..., Any],
) -> None:
    clip = make_clip()
    kept = settings.home / "gateway" / "files" / f"{clip.digest}.mp4"
    kept.write_bytes(b"x" * clip.size_bytes)
    assert (await fetch(clip_url))[0] == 410
    kept.unlink()
    assert (await fetch(clip_url))[0] == 410
    await gateway.publish(clip)
    assert (await fetch(clip_url))[0] == 200


async def test_publishing_twice_at_once_leaves_one_good_copy(
    settings: Settings, gateway: Gateway, make_clip: Callable[..., HostedFile], clock: Any
) -> None:
    clip = make_clip(3_000_000)
    other = Gateway(settings, clock)
    first, second = await asyncio.gather(gateway.publish(clip), other.publish(clip))
    assert first == second
    await gateway.verify(await gateway.sign(first, 60), clip)
    assert [path.name for path in (settings.home / "gateway" / "files").iterdir()] == [f"{clip.digest}.mp4"]


async def test_a_clip_that_changed_since_it_was_digested_is_not_published(
    gateway: Gateway, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    clip.path.write_bytes(b"y" * clip.size_bytes)
    with pytest.raises(HostingError, match="changed before it could be published"):
        await gateway.publish(clip)
    assert await gateway.leftovers() == []


async def test_withdraw_removes_the_copy_and_ends_its_links(
    gateway: Gateway, clip_url: str, make_clip: Callable[..., HostedFile], fetch: Callable[..., Any]
) -> None:
    (leftover,) = await gateway.leftovers()
    assert (leftover.location, leftover.size_bytes) == (f"gateway:{make_clip().digest}", 300_000)
    await gateway.withdraw(leftover.location)
    await gateway.withdraw(leftover.location)
    assert await gateway.leftovers() == []
    assert (await fetch(clip_url))[0] == 404
    with pytest.raises(HostingError, match="does not hold this clip"):
        await gateway.sign(leftover.location, 60)


async def test_half_a_copy_that_a_kill_left_behind_is_listed_and_removed(
    gateway: Gateway, settings: Settings
) -> None:
    (settings.home / "gateway" / "files" / f"{'b' * 64}.part").write_bytes(b"half")
    (leftover,) = await gateway.leftovers()
    await gateway.withdraw(leftover.location)
    assert await gateway.leftovers() == []


def test_folder_and_secret_are_the_users_alone(settings: Settings) -> None:
    Gateway(settings)
    folder = settings.home / "gateway"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600


async def test_a_folder_that_cannot_be_locked_or_read_is_said_in_words(
    gateway: Gateway, settings: Settings, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    location = await gateway.publish(clip)
    folder = settings.home / "gateway"
    (folder / "files.lock").unlink(missing_ok=True)
    (folder / "files.lock").mkdir()
    for doing in (gateway.publish(make_clip(seed=2)), gateway.withdraw(location)):
        with pytest.raises(HostingError, match="cannot be locked"):
            await doing
    (folder / "files").rename(folder / "elsewhere")
    with pytest.raises(HostingError, match="cannot be read: No such file"):
        await gateway.leftovers()
