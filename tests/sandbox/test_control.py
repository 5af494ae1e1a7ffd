"""The controls: who may use them, and what they answer."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from kling_once.sandbox import Sandbox, SandboxOptions

if TYPE_CHECKING:
    from pathlib import Path

GUARDED = [
    ("GET", "calls"),
    ("GET", "faults"),
    ("POST", "faults"),
    ("GET", "transitions"),
    ("PUT", "transitions"),
    ("GET", "settings"),
    ("PUT", "settings"),
    ("POST", "reset"),
    ("POST", "files"),
    ("GET", "anything/else"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_embedded_every_control_needs_the_token(start: Any, method: str, path: str) -> None:
    bench = await start(embedded=True)
    for headers in ({}, {"X-Sandbox-Token": "wrong"}, {"X-Sandbox-Token": ""}, bench.headers):
        answer = await bench.call(method, f"/sandbox/{path}", json={}, headers=headers)
        assert answer.status == 401


async def test_embedded_without_a_token_one_is_made_up(state: Path) -> None:
    sandbox = Sandbox(SandboxOptions(state_dir=state, embedded=True))
    await sandbox.start()
    try:
        assert sandbox.token
        assert len(sandbox.token) >= 32
    finally:
        await sandbox.stop()


async def test_health_and_downloads_need_none(start: Any, draw_clip: Any) -> None:
    bench = await start(embedded=True)
    health = await bench.call("GET", "/sandbox/health", headers={})
    assert health.body == {"sandbox": "kling-once", "version": "1"}
    answer = await bench.call("GET", bench.fields["video_url"], headers={"Range": "bytes=4-7"})
    assert (answer.status, answer.body) == (206, b"ftyp")


async def test_alone_on_loopback_no_token_is_needed_but_a_web_page_is_refused(
    start: Any, tmp_path: Path
) -> None:
    bench = await start(token=None)
    assert bench.sandbox.token is None
    assert (await bench.call("GET", "/sandbox/calls", headers={})).status == 200
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        assert (await bench.call("POST", "/sandbox/reset", headers=headers)).status == 403


async def test_an_upload_is_kept_by_content(bench: Any) -> None:
    content = b"\x00\x00\x00\x18ftypmp42" + bytes(3_000_000)

    async def put(raw: bytes) -> Any:
        headers = {"X-Sandbox-Token": bench.sandbox.token}
        return (await bench.call("POST", "/sandbox/files", data=io.BytesIO(raw), headers=headers)).body

    first, second, other = await put(content), await put(content), await put(content + b"x")
    assert first == second
    assert first["url"] != other["url"]
    assert first["url"].endswith(".mp4")
    assert first["size"] == len(content)
    assert first["digest"] == hashlib.sha256(content).hexdigest()
    assert first["digest"] not in first["url"]
    assert (await bench.call("GET", first["url"], headers={})).body == content


async def test_an_upload_past_the_limit_is_413_and_leaves_nothing(
    bench: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kling_once.sandbox.control.UPLOAD_MAX_BYTES", 1000)
    before = sorted((state / "uploads").iterdir())
    headers = {"X-Sandbox-Token": bench.sandbox.token}
    answer = await bench.call("POST", "/sandbox/files", data=io.BytesIO(bytes(2000)), headers=headers)
    assert answer.status == 413

    async def pieces() -> Any:
        for _ in range(20):
            yield bytes(100)

    answer = await bench.call("POST", "/sandbox/files", data=pieces(), headers=headers)
    assert answer.status == 413
    assert sorted((state / "uploads").iterdir()) == before


async def test_an_upload_that_breaks_off_leaves_nothing(bench: Any, state: Path) -> None:
    before = sorted((state / "uploads").iterdir())

    async def pieces() -> Any:
        yield bytes(2_000_000)
        raise RuntimeError("gone")

    headers = {"X-Sandbox-Token": bench.sandbox.token}
    with pytest.raises((RuntimeError, aiohttp.ClientError)):
        await bench.call("POST", "/sandbox/files", data=pieces(), headers=headers)
    await bench.control("GET", "health")
    for _ in range(50):
        if sorted((state / "uploads").iterdir()) == before:
            break
        await bench.control("GET", "health")
    assert sorted((state / "uploads").iterdir()) == before


@pytest.mark.parametrize(
    "name", ["..%2fstate-2.sqlite3", "%2e%2e/state-2.sqlite3", "0" * 40 + ".mp4", "x.part", "", "%00"]
)
async def test_only_whole_names_of_uploads_are_served(bench: Any, name: str) -> None:
    assert (await bench.call("GET", f"/sandbox/files/{name}", headers={})).status in {401, 403, 404}


async def test_calls_are_logged_in_order_without_keys(bench: Any) -> None:
    await bench.create(external_task_id="mine")
    await bench.get("mine")
    await bench.call("GET", "/v1/videos/motion-control?pageNum=1&pageSize=2")
    await bench.call("GET", "/account/costs", headers={})
    calls = await bench.calls()
    assert [(call["method"], call["path"], call["status"]) for call in calls] == [
        ("POST", "/v1/videos/motion-control", 200),
        ("GET", "/v1/videos/motion-control/mine", 200),
        ("GET", "/v1/videos/motion-control?pageNum=1&pageSize=2", 200),
        ("GET", "/account/costs", 401),
    ]
    assert set(calls[0]) == {"method", "path", "body", "status", "answer"}
    assert calls[0]["body"]["image_url"].startswith(f"<base64 {len(bench.fields['image_url'])} characters")
    assert calls[0]["answer"]["data"]["task_id"]
    assert calls[1]["body"] is None
    text = json.dumps(calls)
    assert "sandbox-api-key" not in text
    assert "Bearer" not in text


async def test_a_path_that_is_not_text_is_logged_all_the_same(bench: Any) -> None:
    answer = await bench.call("GET", "/v1/videos/motion-control/%ff%fe?x=%ff")
    assert answer.status == 400
    assert len(await bench.calls()) == 1


@pytest.mark.parametrize(
    "policy",
    [
        {"policy": "at once"},
        {"policy": "polls", "polls": 3},
        {"policy": "seconds", "seconds": 2.5},
    ],
)
async def test_transitions_are_answered_as_they_were_put(bench: Any, policy: Any) -> None:
    assert (await bench.control("PUT", "transitions", policy)).body == policy
    assert (await bench.control("GET", "transitions")).body == policy


@pytest.mark.parametrize(
    "policy",
    [
        {},
        [],
        {"policy": "polls"},
        {"policy": "polls", "polls": -1},
        {"policy": "polls", "polls": True},
        {"policy": "polls", "polls": 1.5},
        {"policy": "seconds", "seconds": -0.1},
        {"policy": "seconds", "seconds": "2"},
        {"policy": "seconds", "seconds": 1e300},
        {"policy": "at once", "polls": 1},
        {"policy": "never"},
    ],
)
async def test_wrong_transitions_are_400(bench: Any, policy: Any) -> None:
    answer = await bench.control("PUT", "transitions", policy)
    assert answer.status == 400
    assert "at once" in answer.body["error"]


async def test_settings_change_one_by_one(bench: Any) -> None:
    before = (await bench.control("GET", "settings")).body
    assert before["duplicates-allowed"] is False
    answer = (await bench.control("PUT", "settings", {"parallel-limit": 3})).body
    assert answer == before | {"parallel-limit": 3}
    answer = (await bench.control("PUT", "settings", {"charge": "cash", "quick-results": False})).body
    assert (answer["charge"], answer["quick-results"], answer["parallel-limit"]) == ("cash", False, 3)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"parallel-limit": 0},
        {"parallel-limit": True},
        {"parallel-limit": "3"},
        {"duplicates-allowed": "yes"},
        {"charge": "gold"},
        {"charge": []},
        {"transitions": {}},
        {"secret": "x"},
    ],
)
async def test_wrong_settings_are_400(bench: Any, body: Any) -> None:
    assert (await bench.control("PUT", "settings", body)).status == 400


async def test_reset_forgets_everything_but_uploads(bench: Any) -> None:
    data = await bench.finished(external_task_id="mine")
    await bench.script("get", "not-found-once")
    await bench.control("PUT", "settings", {"parallel-limit": 3})
    url = data["task_result"]["videos"][0]["url"]
    await bench.call("GET", url)
    assert (await bench.control("POST", "reset")).body == {"reset": True}
    assert await bench.calls() == []
    assert (await bench.control("GET", "faults")).body == {"pending": [], "met": []}
    assert (await bench.control("GET", "settings")).body["parallel-limit"] == 100
    assert (await bench.get("mine")).code == 1201
    assert (await bench.call("GET", url)).status == 404
    again = await bench.finished(external_task_id="mine")
    assert again["task_id"] == data["task_id"]


async def test_an_unknown_control_is_404(bench: Any) -> None:
    assert (await bench.control("GET", "nothing")).status == 404
    assert (await bench.control("DELETE", "calls")).status == 404
