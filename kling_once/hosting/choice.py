"""The choice of the media host by the settings, and the checks of a URL that the user gives instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from ..errors import HostingError, Violation
from ..settings import is_loopback, url_parts

if TYPE_CHECKING:
    from ..clock import Clock
    from ..settings import Settings
    from .media_host import MediaHost


def choose_host(settings: Settings, clock: Clock | None = None) -> MediaHost | None:
    """Return the object store if one is configured, else the gateway if it has a public address, else None.

    Use one host object per process: only its own concurrent publishes share an upload.

    Raises:
        HostingError: the configured host cannot be used.
    """
    # Lazy: obstore and aiohttp load only where they are used.
    if settings.store_url:
        from .object_store import ObjectStore  # noqa: PLC0415 - lazy

        return ObjectStore(settings)
    if settings.public_url:
        from .gateway import Gateway  # noqa: PLC0415 - lazy

        return Gateway(settings, clock)
    return None


def no_host_error() -> HostingError:
    """Return the error for a local clip without a configured host: no file goes to a public host unasked."""
    return HostingError(
        "The reference video is a local file, and Kling fetches reference videos by URL.",
        hint="There are three ways: give an https address of your own (in a node: `url` as motion_source);"
        " set KLING_ONCE_STORE_URL to a bucket of yours (s3://, gs://, az://);"
        " or set KLING_ONCE_PUBLIC_URL to a tunnel or proxy that leads to the gateway on this machine."
        ' See "Let Kling fetch your clip" in the README. Or try it free with service sandbox.',
    )


def no_place_error() -> HostingError:
    """Return the error for a listing or cleanup of hosted clips without a configured host."""
    return HostingError(
        "No media host is set, so none can hold reference videos.",
        hint="Set KLING_ONCE_STORE_URL or KLING_ONCE_PUBLIC_URL to the one that is meant.",
    )


URL_MAX_CHARACTERS: Final = 4096
SIGNING_PARAMETERS: Final = frozenset(
    {"x-amz-signature", "signature", "sig", "x-goog-signature", "token", "x-oss-signature", "policy"}
)


def url_violations(url: str, *, loopback_allowed: bool) -> tuple[Violation, ...]:
    """Return what is wrong with the form of a reference video's URL.

    Args:
        url: as the user gave it.
        loopback_allowed: accept plain http on this machine, for a sandbox.
    """
    parts = url_parts(url)
    if len(url) > URL_MAX_CHARACTERS or not is_written_out(url):
        message = (
            f"Reference video's URL has {len(url)} characters, or blanks; it may have"
            f" {URL_MAX_CHARACTERS} and none."
        )
        return (Violation("video", "video.url.form", message),)
    if parts.scheme == "http" and loopback_allowed and is_loopback(url):
        return ()
    if parts.scheme != "https" or not parts.hostname:
        message = "Reference video's URL must begin with https:// and name a host that Kling can reach."
        return (Violation("video", "video.url.scheme", message),)
    return ()


def is_written_out(url: str) -> bool:
    """Tell whether a URL has no blank and no unprintable character."""
    return url.isprintable() and " " not in url


def looks_signed(url: str) -> bool:
    """Tell whether a URL seems to carry a secret, which every saved workflow would then hold."""
    parts = url_parts(url)
    names = {name.casefold() for name, _ in parse_qsl(parts.query)}
    return bool(names & SIGNING_PARAMETERS or parts.password)
