"""Where local clips are put, so that Kling can fetch them: what is set up, a trial of it, and another way."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, SecretStr

from ..hosting.media_host import choose_host, no_place_error
from ..hosting.saved_host import NewBucket, NewTunnel, forget_host, save_host, try_host, with_host
from ..origins import url_parts
from ..settings import host_from_environment, saved_host_path
from .answers import Answer
from .endpoint import Call, Nothing, Who, WithCode, endpoint

if TYPE_CHECKING:
    from ..hosting.gateway import Gateway
    from ..settings import Settings

TEXT_MAX: Final = 512


class Hosting(Answer):
    """Where local clips are put; never a key."""

    way: Literal["none", "bucket", "tunnel"]
    variable: str
    """The variable of the server's environment that decides it; empty where the page may."""
    address: str
    """The bucket with its prefix, or the public address."""
    endpoint: str
    region: str
    has_key: bool
    """A key of the bucket is saved. Without one the store's own variables count."""
    port: int
    """The loopback port to which a tunnel must lead."""
    is_saved: bool
    """Somebody has set it up in the page."""
    may_change: bool
    """This page may change it without a code."""


class BucketBody(WithCode):
    """A bucket of an S3-like store. It is tried, and saved if that works; a key is never answered."""

    bucket: str = Field(max_length=TEXT_MAX)
    prefix: str = Field("", max_length=TEXT_MAX)
    endpoint: str = Field("", max_length=TEXT_MAX)
    """Its origin; empty for Amazon's own."""
    region: str = Field("", max_length=40)
    access_key: SecretStr = Field(SecretStr(""), max_length=TEXT_MAX)
    """Empty keeps the one that is saved for this endpoint."""
    secret_key: SecretStr = Field(SecretStr(""), max_length=TEXT_MAX)


class TunnelBody(WithCode):
    """The public address of a tunnel that leads to the gateway. It is tried, and saved if that works."""

    public_url: str = Field(max_length=TEXT_MAX)
    port: int = Field(ge=1, le=65535)


@endpoint("GET", "/hosting", answer=Hosting)
async def hosting(call: Call[Nothing, Any]) -> Hosting:
    """Tell where local clips are put."""
    settings = call.engine.settings
    way = "bucket" if settings.store_url else "tunnel" if settings.public_url else "none"
    return Hosting(
        way=way,
        variable=host_from_environment(),
        address=_shown(settings.store_url or settings.public_url or ""),
        endpoint=settings.store_endpoint or "",
        region=settings.store_region or "",
        has_key=settings.store_access_key is not None,
        port=settings.gateway_port,
        is_saved=await asyncio.to_thread(saved_host_path().exists),
        may_change=call.looks_local,
    )


@endpoint("POST", "/hosting/bucket", body=BucketBody, answer=Hosting, who=Who.LOCAL)
async def use_bucket(call: Call[Nothing, BucketBody]) -> Hosting:
    """Try a bucket with an upload and a signed fetch, and put local clips there from now on."""
    given = call.given
    new = NewBucket(
        bucket=given.bucket,
        prefix=given.prefix,
        endpoint=given.endpoint,
        region=given.region,
        access_key=given.access_key.get_secret_value(),
        secret_key=given.secret_key.get_secret_value(),
    )
    return await _use(call, with_host(call.engine.settings, new))


@endpoint("POST", "/hosting/tunnel", body=TunnelBody, answer=Hosting, who=Who.LOCAL)
async def use_tunnel(call: Call[Nothing, TunnelBody]) -> Hosting:
    """Start the gateway, fetch through the tunnel, and serve local clips there from now on."""
    return await _use(
        call, with_host(call.engine.settings, NewTunnel(call.given.public_url, call.given.port))
    )


@endpoint("POST", "/hosting/test", body=Nothing, answer=Hosting)
async def try_hosting(call: Call[Nothing, Nothing]) -> Hosting:
    """Try what is set up."""
    settings = call.engine.settings
    if not (settings.store_url or settings.public_url):
        raise no_place_error()
    await _try(call, settings)
    return await hosting.handler(call)


@endpoint("POST", "/hosting/forget", body=WithCode, answer=Hosting, who=Who.LOCAL)
async def forget_hosting(call: Call[Nothing, WithCode]) -> Hosting:
    """Forget what was set up in the page."""
    settings = await asyncio.to_thread(forget_host, call.engine.settings)
    await asyncio.wrap_future(call.engine.use_host(settings))
    return await hosting.handler(call)


async def _use(call: Call[Nothing, Any], settings: Settings) -> Hosting:
    """Try a media host, and save and use it once it has worked."""
    await _try(call, settings)
    await asyncio.to_thread(save_host, settings)
    await asyncio.wrap_future(call.engine.use_host(settings))
    return await hosting.handler(call)


async def _try(call: Call[Nothing, Any], settings: Settings) -> None:
    """Try a media host on the engine's loop; a gateway runs for the trial."""

    async def trial() -> None:
        host = await asyncio.to_thread(partial(choose_host, settings))
        if host is None:
            raise no_place_error()
        if host.kind != "gateway":
            return await try_host(host)
        gateway: Gateway = host  # pyright: ignore[reportAssignmentType] - its kind says so
        await gateway.ensure_running()
        try:
            await try_host(gateway)
        finally:
            await gateway.stop()
        return None

    await asyncio.wrap_future(call.engine.ask(trial()))


def _shown(address: str) -> str:
    """Return an address without a password that may stand in it."""
    return address if url_parts(address).password is None else ""
