"""Get the two reference files of a create: from the state's own uploads, from base64, or by HTTP."""

from __future__ import annotations

import asyncio
import base64
import binascii
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import aiohttp

from .files import TooLarge
from .probe import Unreadable, probe_clip, probe_picture
from .rules import (
    IMAGE_MAX_BYTES,
    VIDEO_MAX_BYTES,
    judge_clip,
    judge_picture,
    looks_like_url,
)
from .tasks import Draft
from .wire import INVALID_VALUE, Refusal, clip

if TYPE_CHECKING:
    from pathlib import Path

    from .files import Files
    from .rules import ClipFacts, Order


FETCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=10)
HTTP_OK: Final = 200


class _Unreachable(Exception):
    """A URL gave no file; the text says why."""


class Fetcher:
    """Fetch and check reference files as the vendor does when a task is created."""

    def __init__(self, folder: Path, files: Files, mode: Literal["own", "any"]) -> None:
        self._folder = folder
        self._files = files
        self._mode = mode

    async def draft(self, order: Order) -> Draft:
        """Fetch and check both files; one `Refusal` 1201 names everything that is wrong with them."""
        problems: list[str] = []
        picture = await self._picture(order, problems)
        path, facts = await self._clip(order, problems)
        if problems or path is None or facts is None or picture is None:
            raise Refusal(INVALID_VALUE, "; ".join(problems))
        return Draft(order, self._relative(picture), self._relative(path), facts)

    async def _picture(self, order: Order, problems: list[str]) -> Path | None:
        try:
            if looks_like_url(order.image_url):
                path = await self._get(order.image_url, IMAGE_MAX_BYTES)
                size_bytes = path.stat().st_size
            else:
                path = await asyncio.to_thread(self._decode, order.image_url)
                size_bytes = len(order.image_url)
            facts = await asyncio.to_thread(probe_picture, path, size_bytes)
        except (Unreadable, _Unreachable) as error:
            problems.append(f"image_url: {error}")
            return None
        problems += judge_picture(facts)
        return path

    async def _clip(self, order: Order, problems: list[str]) -> tuple[Path | None, ClipFacts | None]:
        try:
            path = await self._get(order.video_url, VIDEO_MAX_BYTES)
            facts = await asyncio.to_thread(probe_clip, path)
        except (Unreadable, _Unreachable) as error:
            problems.append(f"video_url: {error}")
            return None, None
        problems += judge_clip(facts, order.character_orientation)
        return path, facts

    def _decode(self, text: str) -> Path:
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Unreadable("is neither an http(s) URL nor valid raw base64") from None
        return self._files.references / self._files.keep_bytes(self._files.references, content).name

    async def _get(self, url: str, limit_bytes: int) -> Path:
        own = self._files.find_upload(urlsplit(url).path)
        if own is not None:
            return own
        if self._mode == "own":
            raise _Unreachable(
                "this sandbox fetches only its own uploads (POST /sandbox/files); "
                "a stand-alone sandbox started with --fetch any fetches other URLs too"
            )
        return await self._download(url, limit_bytes)

    async def _download(self, url: str, limit_bytes: int) -> Path:
        proxied = not is_loopback(urlsplit(url).hostname)
        try:
            async with (
                aiohttp.ClientSession(timeout=FETCH_TIMEOUT, trust_env=proxied) as session,
                session.get(url, max_redirects=5) as answer,
            ):
                if answer.status != HTTP_OK:
                    raise _Unreachable(f"the URL answered HTTP {answer.status}")
                chunks = answer.content.iter_chunked(1 << 16)
                kept = await self._files.keep(self._files.references, chunks, limit_bytes)
        except TooLarge:
            raise _Unreachable(f"file size must be <= {limit_bytes // 1_000_000} MB") from None
        except TimeoutError:
            raise _Unreachable("the URL did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _Unreachable(f"the URL cannot be fetched: {clip(str(error), 200)}") from None
        return self._files.references / kept.name

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is `localhost` or a loopback address, without asking a name server."""
    if host is None:
        return False
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
