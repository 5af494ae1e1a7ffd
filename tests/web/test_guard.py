"""What never reaches a handler, and the clean answer that it gets."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "v1" + "0" * 64
TRUSTED = (
    ("/keys", {"profile": "studio", "api_key": "k" * 32}),
    ("/keys/forget", {"profile": "studio"}),
    ("/limits", {"max_units_per_day": 10}),
    (f"/jobs/{KEY}/forget", {}),
)
"""What changes keys, limits or memory."""
FORWARDING = (
    {"Forwarded": "for=10.0.0.9"},
    {"X-Forwarded-For": "10.0.0.9"},
    {"X-Forwarded-Proto": "https"},
    {"X-Real-IP": "10.0.0.9"},
    {"Via": "1.1 proxy"},
    {"CF-Connecting-IP": "10.0.0.9"},
)


def refused(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert body["message"]
    return body


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://["])
def test_a_page_of_another_origin_is_refused(served: Any, origin: str) -> None:
    refused(served.http.get("/kling_once/jobs", headers={"Origin": origin}), 403)
    refused(served.post("/hold", {"held": True}, Origin=origin), 403)


def test_a_cross_site_request_without_origin_is_refused(served: Any) -> None:
    refused(served.http.get("/kling_once/jobs", headers={"Sec-Fetch-Site": "cross-site"}), 403)


def test_an_origin_that_the_operator_trusts_may_ask(serve: Callable[..., Any], sandbox: Any) -> None:
    served = serve(trusted_origins="https://studio.example")
    answer = served.http.get("/kling_once/jobs", headers={"Origin": "https://studio.example"})
    assert answer.status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_is_not_json_by_its_type_is_refused(served: Any, kind: str) -> None:
    answer = served.http.post("/kling_once/hold", content=b'{"held": true}', headers={"Content-Type": kind})
    refused(answer, 415)
    assert served.get("/status").json()["held_since"] is None


def test_a_body_of_10_mb_is_refused(served: Any) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"profile": "' + b"x" * 10_000_000 + b'"}'
    refused(served.http.post("/kling_once/keys/test", content=body, headers=headers), 413)
    chunks = (body[start : start + 65536] for start in range(0, len(body), 65536))
    refused(served.http.post("/kling_once/keys/test", content=chunks, headers=headers), 413)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'{"held": NaN}', b"\xff", b"[" * 5000 + b"]" * 5000]
)
def test_a_body_that_is_no_json_object_is_refused(served: Any, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    refused(served.http.post("/kling_once/hold", content=body, headers=headers), 400)


@pytest.mark.parametrize("key", ["..%2F..%2Fledger.db", "%2e%2e", "v1", "V1" + "0" * 64, "v1" + "g" * 64])
def test_a_path_that_names_no_job_is_refused(served: Any, key: str) -> None:
    for name in ("", "/workflow", "/picture", "/poster", "/video"):
        assert served.http.get(f"/kling_once/jobs/{key}{name}").status_code in {404, 422}


def test_dots_in_every_parameter_are_refused_or_harmless(served: Any, graph_of: Any) -> None:
    dots = "../../../../etc/passwd"
    for path, name in (("/account", "profile"), ("/jobs", "shown"), ("/account", "service")):
        refused(served.get(path, **{name: dots}), 422)
    assert served.get("/jobs", search=dots).json()["jobs"] == []
    refused(served.post("/keys", {"profile": dots, "api_key": "k" * 32}), 422)
    refused(served.post("/keys/test", {"profile": dots}), 422)
    refused(served.post("/account/adopt", {"service": "sandbox", "task_id": dots}), 422)
    graph = graph_of()
    graph["1"]["inputs"]["image"] = graph["2"]["inputs"]["file"] = dots
    node = served.post("/node", {"node_id": "3", "prompt": graph}).json()
    assert node["price"] is None
    assert "passwd" not in str(node)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/hold", {"held": "yes"}),
        ("/hold", {"held": 1}),
        ("/hold", {}),
        ("/hold", {"held": True, "more": 1}),
        ("/limits", {"max_units_per_day": -1}),
        ("/limits", {"max_units_per_day": "many"}),
        ("/keys", {"api_key": 7}),
        ("/account/adopt", {"service": "other", "task_id": "1"}),
        ("/node", {"node_id": "3", "prompt": []}),
    ],
)
def test_wrong_types_and_unknown_fields_are_refused(served: Any, path: str, body: Any) -> None:
    refused(served.post(path, body), 422)


def test_a_refusal_never_repeats_a_value(served: Any) -> None:
    secret = "sk-not-to-be-shown-0001"
    body = {"profile": "studio", "api_key": [secret], "access_key": secret * 40, secret: 1}
    answer = served.post("/keys", body)
    assert secret * 40 not in refused(answer, 422)["message"]
    assert f"[{secret}" not in answer.text


@pytest.mark.parametrize("headers", FORWARDING)
def test_through_a_proxy_nothing_trusted_is_changed(served: Any, headers: dict[str, str]) -> None:
    for path, body in TRUSTED:
        hint = refused(served.post(path, body, **headers), 403)["hint"]
        assert "KLINGAI_API_KEY" in hint
        assert "kling-once keys allow" in hint


def test_a_host_name_that_leads_here_is_not_this_machine(served: Any) -> None:
    headers = {"Host": f"rebound.example:{served.port}", "Origin": f"http://rebound.example:{served.port}"}
    for path, body in TRUSTED:
        refused(served.post(path, body, **headers), 403)


@pytest.mark.parametrize(
    "name", ["rebound.example", "localhost.rebound.example", "127.0.0.1.rebound.example"]
)
def test_a_page_of_a_host_name_that_leads_here_learns_nothing(served: Any, name: str) -> None:
    host = f"{name}:{served.port}"
    for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
        answer = served.http.get("/kling_once/jobs", headers=headers)
        assert "KLING_ONCE_TRUSTED_ORIGINS" in refused(answer, 403)["hint"]


@pytest.mark.parametrize(
    "name", ["localhost", "studio-7", "comfy.localhost", "mac.local", "10.0.0.7", "[::1]"]
)
def test_a_name_of_this_machine_may_look(served: Any, name: str) -> None:
    host = f"{name}:{served.port}"
    answer = served.http.get("/kling_once/jobs", headers={"Host": host, "Origin": f"http://{host}"})
    assert answer.status_code == 200


def test_a_name_that_a_proxy_or_the_operator_answers_for_may_look(
    serve: Callable[..., Any], sandbox: Any
) -> None:
    served, trusting = serve(), serve(trusted_origins="https://studio.example:8443")
    headers = {"Host": "studio.example"}
    del served.http.headers["Origin"], trusting.http.headers["Origin"]
    assert served.http.get("/kling_once/jobs", headers=headers).status_code == 403
    assert served.http.get("/kling_once/jobs", headers=headers | FORWARDING[1]).status_code == 200
    assert trusting.http.get("/kling_once/jobs", headers=headers).status_code == 200


def test_behind_a_proxy_that_the_operator_names_nobody_is_this_machine(
    serve: Callable[..., Any], sandbox: Any
) -> None:
    served = serve(trusted_origins="https://studio.example")
    for path, body in TRUSTED:
        refused(served.post(path, body), 403)
    assert served.get("/keys").json()["may_change"] is False


PROXY = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 16; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {target}; }} }}
}}
"""


@pytest.fixture
def bare_proxy(served: Any, tmp_path: Path, eventually: Callable[..., Any]) -> Iterator[str]:
    """Return the address of an nginx that passes requests on and says nothing of itself."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    path = tmp_path / "nginx.conf"
    path.write_text(PROXY.format(folder=tmp_path, port=port, target=served.origin))
    process = subprocess.Popen([nginx, "-c", str(path), "-p", str(tmp_path)])
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{url}/kling_once/keys").status_code == 200
        return False

    eventually(answers, "nginx passes on")
    yield url
    process.terminate()
    process.wait(20)


def test_through_a_proxy_that_hides_itself_nothing_trusted_is_changed(served: Any, bare_proxy: str) -> None:
    for path, body in TRUSTED:
        answer = httpx.post(f"{bare_proxy}/kling_once{path}", json=body, headers={"Origin": served.origin})
        refused(answer, 403)
    assert httpx.get(f"{bare_proxy}/kling_once/keys").json()["may_change"] is False


def test_a_program_without_a_page_needs_a_code_as_well(served: Any) -> None:
    del served.http.headers["Origin"]
    refused(served.post("/limits", {"max_units_per_day": 10}), 403)


def test_a_one_time_code_opens_one_change_from_elsewhere(served: Any, code_of: Any) -> None:
    code = code_of(served)
    elsewhere = {"X-Forwarded-For": "10.0.0.9"}
    answer = served.post("/limits", {"max_units_per_day": 10, "code": code.lower()}, **elsewhere)
    assert answer.status_code == 200
    refused(served.post("/limits", {"max_units_per_day": 11, "code": code}, **elsewhere), 403)


def test_five_wrong_codes_spoil_the_right_one(served: Any, code_of: Any) -> None:
    code = code_of(served)
    elsewhere = {"X-Forwarded-For": "10.0.0.9"}
    for _ in range(5):
        refused(served.post("/limits", {"max_units_per_day": 9, "code": "WRONG"}, **elsewhere), 403)
    refused(served.post("/limits", {"max_units_per_day": 9, "code": code}, **elsewhere), 403)


def test_get_changes_nothing(served: Any) -> None:
    """No route answers GET that has an effect; those that have one answer POST alone."""
    for path in ("/hold", "/limits", "/keys/test", "/keys/forget", "/account/adopt", "/node"):
        assert served.get(path).status_code == 405


def test_the_page_knows_beforehand_whether_it_may_change_keys(served: Any) -> None:
    del served.http.headers["Origin"]
    assert served.get("/keys").json()["may_change"] is True
    answer = served.http.get("/kling_once/keys", headers={"X-Forwarded-For": "10.0.0.9"})
    assert answer.json()["may_change"] is False
