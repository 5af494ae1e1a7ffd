"""Object store: what goes wrong is said in plain words, and holds no secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from kling_once.errors import HostingError
from kling_once.hosting.object_store import ObjectStore, StoreAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.hosting.media_host import HostedFile
    from kling_once.settings import Settings

KEY, SECRET = "AKIAEXAMPLEEXAMPLE00", "not/a+real=secret"


@pytest.mark.parametrize(
    ("variables", "store_url", "says"),
    [
        ({}, "s3://no-such-bucket", "the bucket does not exist there"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://clips", "it cannot be reached"),
        ({"AWS_ENDPOINT_URL": "http://no-such-host.invalid"}, "s3://clips", "its host name is not known"),
        ({"AWS_ALLOW_HTTP": "false"}, "s3://clips", "its endpoint is plain http"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "s3://clips", "no usable credentials"),
        ({}, "az://clips", "no usable credentials"),
    ],
)
async def test_a_store_that_fails_is_put_into_plain_words(
    s3: Any,
    make_settings: Callable[..., Settings],
    make_clip: Callable[..., HostedFile],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str | None],
    store_url: str,
    says: str,
) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # where EC2 would hand out keys
    for name, value in variables.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(HostingError, match=says) as caught:
        await ObjectStore(make_settings(store_url=store_url)).publish(make_clip())
    text = str(caught.value)
    assert KEY not in text
    assert SECRET not in text
    assert "\n" not in text
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "AccessDenied", "it denied the access (AccessDenied, 403)"),
        (403, "InvalidAccessKeyId", "it did not accept the credentials (InvalidAccessKeyId, 403)"),
        (403, "SignatureDoesNotMatch", "it did not accept the credentials (SignatureDoesNotMatch, 403)"),
        (403, "RequestTimeTooSkewed", "this machine's clock differs too much"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region"),
        (418, "Teapot", "it failed in a way that is not known here (Teapot, 418)"),
    ],
)
async def test_what_the_store_refuses_is_named_and_its_text_is_not_passed_on(
    s3: Any,
    make_settings: Callable[..., Settings],
    make_clip: Callable[..., HostedFile],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    says: str,
) -> None:
    async def refuse(request: web.BaseRequest) -> web.Response:
        if request.method == "HEAD":
            return web.Response(status=404)
        body = f"<Error><Code>{code}</Code><AWSAccessKeyId>{KEY}</AWSAccessKeyId></Error>"
        return web.Response(status=status, text=body)

    runner = web.ServerRunner(web.Server(refuse, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{runner.addresses[0][1]}")
    with pytest.raises(HostingError, match=re.escape(says)) as caught:
        await ObjectStore(make_settings(store_url="s3://clips")).publish(make_clip())
    await runner.cleanup()
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://clips.example.com",
        "s3://",
        "s3://key:secret@clips",
        "s3://clips/a?token=1",
        "s3://clips/../other",
        "file:///tmp",
        "",
    ],
)
def test_an_address_of_another_form_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(HostingError) as caught:
        StoreAddress.parse(url)
    assert "secret" not in str(caught.value)
    assert "token" not in str(caught.value)


def test_an_address_is_taken_apart() -> None:
    assert StoreAddress.parse("gs://b") == StoreAddress("gs", "b", "")
    assert StoreAddress.parse(" s3://b/x//y/ ") == StoreAddress("s3", "b", "x/y/")
