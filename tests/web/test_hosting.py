"""A media host is set up in the page: tried first, kept on the server, its keys never answered."""

from __future__ import annotations

import json
import logging
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY, SECRET = "AKIAEXAMPLEEXAMPLE00", "not/a+real=secret-0123456789"
BUCKET = "page-clips"


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def objects(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the bucket, and return what lists the keys in it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    session = pytest.importorskip("botocore.session").get_session()
    client = session.create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=s3_address,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
    client.create_bucket(Bucket=BUCKET)
    return lambda: [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def bucket(s3_address: str, **changes: Any) -> dict[str, Any]:
    return {
        "endpoint": s3_address,
        "bucket": BUCKET,
        "prefix": "some/folder",
        "region": "us-east-1",
        "access_key": KEY,
        "secret_key": SECRET,
    } | changes


def saved_file(part: Any) -> Path:
    return part("kling_once.settings").saved_host_path()


def test_a_bucket_is_tried_and_kept_and_its_keys_are_nowhere_else(
    served: Any,
    part: Any,
    s3_address: str,
    objects: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    assert served.get("/hosting").json()["way"] == "none"
    answer = served.post("/hosting/bucket", bucket(s3_address))
    assert answer.status_code == 200, answer.text
    assert answer.json() == served.get("/hosting").json()
    assert {name: answer.json()[name] for name in ("way", "address", "endpoint", "has_key", "is_saved")} == {
        "way": "bucket",
        "address": f"s3://{BUCKET}/some/folder",
        "endpoint": s3_address,
        "has_key": True,
        "is_saved": True,
    }
    assert objects() == []  # what was tried is taken away again
    path = saved_file(part)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one for one in tmp_path.rglob("*") if one.is_file() and SECRET.encode() in one.read_bytes()] == [
        path
    ]
    assert SECRET not in answer.text + served.get("/hosting").text + caplog.text
    assert part("kling_once.settings").load_settings().store_secret_key.get_secret_value() == SECRET


def test_the_next_clip_goes_into_the_bucket_without_a_restart(
    served: Any, s3_address: str, objects: Any, graph_of: Any
) -> None:
    body = {"node_id": "3", "prompt": graph_of(service="kling")}
    assert "video.hosting" in [one["rule"] for one in served.post("/node", body).json()["violations"]]
    assert served.post("/hosting/bucket", bucket(s3_address)).status_code == 200
    assert "video.hosting" not in [one["rule"] for one in served.post("/node", body).json()["violations"]]
    assert served.post("/hosting/test").status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"bucket": "nobody-has-it"}, 503, "the bucket does not exist there"),
        ({"bucket": "a/b"}, 422, "A bucket's name"),
        ({"bucket": ""}, 422, "A bucket's name"),
        ({"prefix": "../x"}, 422, "A bucket's name"),
        ({"endpoint": "http://203.0.113.1"}, 422, "plain http"),
        ({"region": "Eu West"}, 422, "A region has"),
        ({"secret_key": "with space"}, 422, "A bucket needs its access key"),
        ({"secret_key": ""}, 422, "A bucket needs its access key"),
    ],
)
def test_what_does_not_work_is_not_kept(
    served: Any, part: Any, s3_address: str, objects: Any, changes: dict[str, str], status: int, said: str
) -> None:
    answer = served.post("/hosting/bucket", bucket(s3_address, **changes))
    assert (answer.status_code, said in answer.json()["message"]) == (status, True), answer.text
    assert SECRET not in answer.text
    assert not saved_file(part).exists()
    assert served.get("/hosting").json()["way"] == "none"


def test_an_empty_key_keeps_the_saved_one_of_this_endpoint(
    served: Any, s3_address: str, objects: Any
) -> None:
    assert served.post("/hosting/bucket", bucket(s3_address)).status_code == 200
    changed = bucket(s3_address, prefix="other", access_key="", secret_key="")
    assert served.post("/hosting/bucket", changed).json()["address"] == f"s3://{BUCKET}/other"
    elsewhere = changed | {"endpoint": "https://store.example.com"}
    assert served.post("/hosting/bucket", elsewhere).status_code == 422


def test_a_tunnel_is_tried_through_its_public_address(served: Any, part: Any) -> None:
    port = free_port()
    public = f"http://127.0.0.1:{port}"
    answer = served.post("/hosting/tunnel", {"public_url": public, "port": port})
    assert answer.status_code == 200, answer.text
    assert {name: answer.json()[name] for name in ("way", "address", "port")} == {
        "way": "tunnel",
        "address": public,
        "port": port,
    }
    assert json.loads(saved_file(part).read_text())["store_url"] is None
    assert served.post("/hosting/test").status_code == 200


def test_a_tunnel_that_leads_nowhere_is_not_kept(served: Any, part: Any) -> None:
    answer = served.post(
        "/hosting/tunnel", {"public_url": f"http://127.0.0.1:{free_port()}", "port": free_port()}
    )
    assert answer.status_code == 503
    assert "the tunnel or proxy" in answer.json()["message"]
    assert not saved_file(part).exists()


def test_the_environment_wins_and_is_not_written_over(
    serve: Any, sandbox: Any, part: Any, s3_address: str, objects: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert serve().post("/hosting/bucket", bucket(s3_address)).status_code == 200
    monkeypatch.setenv("KLING_ONCE_PUBLIC_URL", "https://clips.example.com")
    served = serve()
    shown = served.get("/hosting").json()
    assert (shown["way"], shown["variable"], shown["has_key"]) == ("tunnel", "KLING_ONCE_PUBLIC_URL", False)
    assert served.post("/hosting/bucket", bucket(s3_address)).status_code == 422


def test_what_was_set_up_can_be_forgotten(served: Any, part: Any, s3_address: str, objects: Any) -> None:
    assert served.post("/hosting/bucket", bucket(s3_address)).status_code == 200
    assert served.post("/hosting/forget").json()["way"] == "none"
    assert not saved_file(part).exists()
    assert served.post("/hosting/test").status_code == 503


def test_another_machine_changes_nothing_without_a_code(served: Any, part: Any, s3_address: str) -> None:
    for path, body in (
        ("/hosting/bucket", bucket(s3_address)),
        ("/hosting/tunnel", {"public_url": "https://clips.example.com", "port": 8189}),
        ("/hosting/forget", {}),
    ):
        assert served.post(path, body, X_Forwarded_For="203.0.113.9").status_code == 403
    assert not saved_file(part).exists()


def test_a_file_that_others_may_read_is_refused(
    served: Any, part: Any, s3_address: str, objects: Any
) -> None:
    assert served.post("/hosting/bucket", bucket(s3_address)).status_code == 200
    saved_file(part).chmod(0o644)
    with pytest.raises(part("kling_once.errors").SettingsError, match="may be read by other users"):
        part("kling_once.settings").load_settings()


def test_the_keys_of_a_bucket_are_refused_in_the_open_file(served: Any, part: Any) -> None:
    settings = part("kling_once.settings")
    path = settings.config_folder() / "settings.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"store_secret_key": SECRET}))
    with pytest.raises(part("kling_once.errors").SettingsError, match="names a KLINGAI_ setting or a key"):
        settings.load_settings()
