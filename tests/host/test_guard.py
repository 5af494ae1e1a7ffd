"""The page's routes in a real ComfyUI: what its own middlewares refuse, and what ours do behind them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

STUDIO = "https://studio.example"
JSON = "application/json"


def ask(comfy: Any, path: str, content: bytes | None = None, **headers: str) -> httpx.Response:
    """Send a request as a page of this ComfyUI, unless the headers say otherwise."""
    named = {"Origin": comfy.url, "Content-Type": JSON}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    method = "GET" if content is None else "POST"
    return httpx.request(method, f"{comfy.url}{path}", content=content, headers=named, timeout=60)


def refused_by_us(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith(JSON)
    return answer.json()["message"]


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_what_is_refused_on_a_plain_server_is_refused_in_comfyui(comfy: Any, prefix: str) -> None:
    root = f"{prefix}/kling_once"
    assert ask(comfy, f"{root}/status").status_code == 200
    refused_by_us(ask(comfy, f"{root}/hold", b'{"held": true}', Content_Type="text/plain"), 415)
    refused_by_us(ask(comfy, f"{root}/keys/test", b'{"profile": "' + b"x" * 10_000_000 + b'"}'), 413)
    refused_by_us(ask(comfy, f"{root}/hold", b"[]"), 400)
    refused_by_us(ask(comfy, f"{root}/hold", b'{"held": "yes"}'), 422)
    refused_by_us(ask(comfy, f"{root}/node", b'{"node_id": "1", "prompt": {"1": null}}'), 422)
    refused_by_us(ask(comfy, f"{root}/jobs/..%2F..%2Fledger.db"), 422)
    for path in ("keys", "keys/forget", "limits"):
        refused_by_us(ask(comfy, f"{root}/{path}", b"{}", X_Forwarded_For="10.0.0.9"), 403)
    assert ask(comfy, f"{root}/status").json()["held_since"] is None


def test_a_page_of_another_site_reaches_nothing(comfy: Any) -> None:
    for headers in ({"Origin": STUDIO}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        assert ask(comfy, "/kling_once/jobs", None, **headers).status_code == 403


def test_a_page_of_a_name_that_was_made_to_lead_here_reaches_nothing(comfy: Any) -> None:
    host = f"rebound.example:{comfy.port}"
    message = refused_by_us(ask(comfy, "/kling_once/jobs", Host=host, Origin=f"http://{host}"), 403)
    assert "rebound.example" in message


def test_behind_a_proxy_that_rewrites_host_comfyui_has_to_allow_the_page_too(
    comfy: Any, own_comfy: Any
) -> None:
    """ComfyUI refuses a page whose origin is not its Host before any route is asked."""
    answer = ask(comfy, "/kling_once/jobs", Origin=STUDIO)
    assert (answer.status_code, answer.content) == (403, b"")
    open_to_it = own_comfy("--enable-cors-header", STUDIO, KLING_ONCE_TRUSTED_ORIGINS=STUDIO).start()
    assert ask(open_to_it, "/kling_once/jobs", Origin=STUDIO).status_code == 200
    assert "another origin" in refused_by_us(
        ask(open_to_it, "/kling_once/jobs", Origin="https://evil.example"), 403
    )
