"""The two reference files of a create: fetched, kept, and measured against the rules."""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urljoin, urlsplit

import aiohttp

from .connection import CHUNK_BYTES, is_loopback
from .files import TooLarge
from .guard import Forbidden, Guard
from .rules import (
    VIDEO_MAX_BYTES,
    ClipFacts,
    Order,
    PictureFacts,
    judge_clip,
    judge_picture,
    looks_like_url,
)
from .wire import INVALID_VALUE, Refusal, clip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from fractions import Fraction
    from pathlib import Path

    from .files import Files

FETCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=10)
HTTP_OK: Final = 200
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS: Final = 5

DECODED_MAX_PX: Final = 100_000_000
"""Larger pictures are measured by their header alone: decoding one would take a gigabyte."""

MISSING_SHARE: Final = 0.05
"""Share of a clip's frames that may be missing before it counts as cut off."""

STILLS: Final = frozenset({b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"})
"""Brands of still pictures in MP4's box structure."""

PICTURE_ERRORS: Final = (OSError, ValueError, SyntaxError, IndexError)
"""What Pillow raises for a damaged picture."""


class Unusable(Exception):
    """A reference file cannot be fetched or is not what it should be; the text says why."""


@dataclass(frozen=True)
class Draft:
    """A create whose fields and files are valid; `picture` and `clip` are paths relative to the state."""

    order: Order
    picture: str
    clip: str
    facts: ClipFacts


class Fetcher:
    """Fetch and check reference files as the vendor does when a task is created.

    Args:
        files: where uploads are found and fetched files are kept.
        mode: "own" fetches uploads of this state only, "any" every http(s) URL, "guarded" what `Guard`
            allows.
    """

    def __init__(self, files: Files, mode: Literal["own", "any", "guarded"]) -> None:
        self._files = files
        self._mode = mode

    async def draft(self, order: Order) -> Draft:
        """Fetch and check both files of a create.

        Raises:
            Refusal: code 1201; the message names everything that is wrong with either file.
        """
        problems: list[str] = []
        picture = await self.picture(order.image_url, "image_url", order.image_max_bytes, problems)
        path, facts = await self._clip(order, problems)
        if problems or path is None or facts is None or picture is None:
            raise Refusal(INVALID_VALUE, "; ".join(problems))
        return Draft(order, self.relative(picture), self.relative(path), facts)

    async def picture(self, text: str, field: str, max_bytes: int, problems: list[str]) -> Path | None:
        """Fetch or decode a picture and check it; add what is wrong with it to `problems`."""
        try:
            if looks_like_url(text):
                path = await self._get(text, max_bytes)
                size_bytes = path.stat().st_size
            else:
                path = await self._decode(text)
                size_bytes = len(text)
            facts = await asyncio.to_thread(probe_picture, path, size_bytes)
        except Unusable as error:
            problems.append(f"{field}: {error}")
            return None
        problems += [f"{field}: {wrong}" for wrong in judge_picture(facts, max_bytes)]
        return path

    async def clip(self, url: str, max_bytes: int) -> tuple[Path, ClipFacts]:
        """Fetch and measure a clip.

        Raises:
            Unusable: it cannot be had, or is none.
        """
        path = await self._get(url, max_bytes)
        return path, await asyncio.to_thread(probe_clip, path)

    async def _clip(self, order: Order, problems: list[str]) -> tuple[Path | None, ClipFacts | None]:
        try:
            path, facts = await self.clip(order.video_url, VIDEO_MAX_BYTES)
        except Unusable as error:
            problems.append(f"video_url: {error}")
            return None, None
        problems += judge_clip(facts, order.character_orientation)
        return path, facts

    async def _decode(self, text: str) -> Path:
        try:
            content = await asyncio.to_thread(base64.b64decode, text, validate=True)
        except (binascii.Error, ValueError):
            raise Unusable("is neither an http(s) URL nor valid raw base64") from None

        async def whole() -> AsyncIterator[bytes]:
            yield content

        return await self._keep(whole(), len(content))

    async def _get(self, url: str, limit_bytes: int) -> Path:
        own = self._files.find_upload(urlsplit(url).path)
        if own is not None:
            return own
        if self._mode == "own":
            raise Unusable(
                "this sandbox fetches only its own uploads (POST /sandbox/files); "
                "a stand-alone sandbox started with --fetch any fetches other URLs too"
            )
        try:
            if self._mode == "guarded":
                return await self._download_guarded(url, limit_bytes)
            return await self._download(url, limit_bytes)
        except Forbidden as error:
            raise Unusable(str(error)) from None
        except TooLarge:
            raise Unusable(f"file size must be <= {limit_bytes // 1_000_000} MB") from None
        except TimeoutError:
            raise Unusable("the URL did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unusable(f"the URL cannot be fetched: {clip(str(error), 200)}") from None

    async def _download(self, url: str, limit_bytes: int) -> Path:
        proxied = not is_loopback(urlsplit(url).hostname)
        async with (
            aiohttp.ClientSession(timeout=FETCH_TIMEOUT, trust_env=proxied) as session,
            session.get(url, max_redirects=MOST_REDIRECTS) as answer,
        ):
            return await self._kept(answer, limit_bytes)

    async def _download_guarded(self, url: str, limit_bytes: int) -> Path:
        """Fetch a URL by hops, each checked by the rules of the first."""
        guard = Guard.of(url)
        for _hop in range(MOST_REDIRECTS + 1):
            guard.check_url(url)
            proxied = not is_loopback(urlsplit(url).hostname)
            async with (
                aiohttp.ClientSession(
                    timeout=FETCH_TIMEOUT, trust_env=proxied, connector=guard.connector(url)
                ) as session,
                session.get(url, allow_redirects=False) as answer,
            ):
                if answer.status not in REDIRECTS or "Location" not in answer.headers:
                    return await self._kept(answer, limit_bytes)
                url = urljoin(url, answer.headers["Location"])
        raise Unusable(f"the URL redirects more than {MOST_REDIRECTS} times")

    async def _kept(self, answer: aiohttp.ClientResponse, limit_bytes: int) -> Path:
        if answer.status != HTTP_OK:
            raise Unusable(f"the URL answered HTTP {answer.status}")
        return await self._keep(answer.content.iter_chunked(CHUNK_BYTES), limit_bytes)

    async def _keep(self, chunks: AsyncIterator[bytes], limit_bytes: int) -> Path:
        folder = self._files.references
        return folder / (await self._files.keep(folder, chunks, limit_bytes)).name

    def relative(self, path: Path) -> str:
        """Return where a kept file lies in the state's folder."""
        return path.relative_to(self._files.folder).as_posix()


def probe_picture(path: Path, size_bytes: int) -> PictureFacts:
    """Measure a JPEG or PNG and decode it to its end.

    Raises:
        Unusable: it is of another format, or damaged.
    """
    picture = open_picture(path)
    try:
        width, height = picture.size
        if width * height <= DECODED_MAX_PX:
            try:
                picture.load()
            except PICTURE_ERRORS as error:
                raise Unusable(f"the image is damaged ({error})") from None
    finally:
        picture.close()
    return PictureFacts(size_bytes, width, height)


def open_picture(path: Path) -> Any:
    """Open a JPEG or PNG, told apart by content, as a Pillow image; only the header is read.

    Raises:
        Unusable: it is of another format, or its header is damaged.
    """
    from PIL.JpegImagePlugin import JpegImageFile  # noqa: PLC0415 - heavy, needed only here
    from PIL.PngImagePlugin import PngImageFile  # noqa: PLC0415

    readers = {b"\xff\xd8\xff": JpegImageFile, b"\x89PNG\r\n\x1a\n": PngImageFile}
    head = _head(path, 8)
    for magic, reader in readers.items():
        if head.startswith(magic):
            try:
                return reader(str(path))
            except (*PICTURE_ERRORS, EOFError) as error:
                raise Unusable(f"the image is damaged ({error})") from None
    raise Unusable("the image format must be .jpg, .jpeg or .png")


def probe_clip(path: Path) -> ClipFacts:
    """Measure an MP4 or MOV and read every packet of its video track.

    Raises:
        Unusable: it is of another format, cut off, or holds no picture that can be decoded.
    """
    import av  # noqa: PLC0415 - heavy, needed only here
    import av.error  # noqa: PLC0415

    _check_container(path)
    # an ill-encoded title does not matter; PyAV 19 has no such argument
    lenient: Any = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}  # noqa: PLR2004
    try:
        with av.open(str(path), **lenient) as container:
            if "mp4" not in container.format.name:
                raise Unusable("Video format is invalid: must be .mp4 or .mov")
            stream = container.streams.best("video")
            if not isinstance(stream, av.VideoStream):
                raise Unusable("Video format is invalid: no picture track")
            seconds = _walk(container, stream)
            width, height = stream.width, stream.height
            has_sound = bool(container.streams.audio)
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unusable(f"Video format is invalid ({reason})") from None
    return ClipFacts(path.stat().st_size, width, height, seconds, has_sound)


def _head(path: Path, size_bytes: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size_bytes)


def _check_container(path: Path) -> None:
    """Refuse 3GP and still pictures, which FFmpeg's reader for MP4 opens as well."""
    head = _head(path, 12)
    if head[4:8] == b"ftyp" and (head[8:10] == b"3g" or head[8:12] in STILLS):
        raise Unusable("Video format is invalid: must be .mp4 or .mov")


def _walk(container: Any, stream: Any) -> Fraction:
    """Read every packet of the video track and decode the first.

    Returns:
        The seconds from where the first picture is shown to where the last one ends. What an edit list
        leaves out is not shown; sound that begins earlier or ends later does not count.
    """
    packets, decoded = 0, False
    shown: list[tuple[int, int]] = []
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        packets += 1
        decoded = decoded or bool(packet.decode())
        if packet.pts is not None and not packet.is_discard:
            shown.append((packet.pts, packet.duration or 0))
    decoded = decoded or bool(stream.codec_context.decode(None))
    if not decoded:
        raise Unusable("Video format is invalid: no picture can be decoded")
    if packets < stream.frames * (1 - MISSING_SHARE):
        raise Unusable(f"the video is cut off: {packets} of {stream.frames} frames are there")
    if not shown:
        raise Unusable("Video format is invalid: no picture has a time")
    last, lasts = max(shown)
    rate = stream.average_rate
    seconds = (last - min(shown)[0] + lasts) * stream.time_base
    return seconds if lasts or not rate else seconds + 1 / rate
