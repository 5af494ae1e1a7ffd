"""Which host takes a local reference video, by what is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import HostingError

if TYPE_CHECKING:
    from ..clock import Clock
    from ..settings import Settings
    from .media_host import MediaHost


def choose_host(settings: Settings, clock: Clock | None = None) -> MediaHost | None:
    """Return the object store if one is configured, else the gateway if it has a public address, else None.

    Keep what is returned for the life of the process: concurrent publishes share an upload only within one
    host object.

    Raises:
        HostingError: what is configured cannot be used.
    """
    # Imported here: obstore and aiohttp are loaded only by those who use them.
    if settings.store_url:
        from .object_store import ObjectStore  # noqa: PLC0415 - see above

        return ObjectStore(settings)
    if settings.public_url:
        from .gateway import Gateway  # noqa: PLC0415 - see above

        return Gateway(settings, clock)
    return None


def no_host_error() -> HostingError:
    """Return what to raise for a local clip when `choose_host` knows no host; nothing is public unasked."""
    return HostingError(
        "The reference video is a local file, and Kling fetches reference videos by URL.",
        hint="There are three ways: give an https address of your own (in a node: `url` as motion_source);"
        " set KLING_ONCE_STORE_URL to a bucket of yours (s3://, gs://, az://);"
        " or set KLING_ONCE_PUBLIC_URL to a tunnel or proxy that leads to the gateway on this machine."
        ' See "Let Kling fetch your clip" in the README. Or try it free with service sandbox.',
    )


def no_place_error() -> HostingError:
    """Return what to raise where the clips at a media host are asked for and none is set."""
    return HostingError(
        "No media host is set, so none can hold reference videos.",
        hint="Set KLING_ONCE_STORE_URL or KLING_ONCE_PUBLIC_URL to the one that is meant.",
    )
