"""Object store: against moto's S3 server on loopback."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import yarl

from kling_once.errors import HostingError
from kling_once.hosting.media_host import HostedFile
from kling_once.hosting.object_store import ObjectStore, install_id
from tests.slowness import slowness

boto_auth = pytest.importorskip("botocore.auth")
awsrequest = pytest.importorskip("botocore.awsrequest")
credentials = pytest.importorskip("botocore.credentials")

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kling_once.settings import Settings

BUCKET = "clips"
KEY, SECRET = "AKIAEXAMPLEEXAMPLE00", "not/a+real=secret"
WEEK = 7 * 24 * 3600


class Requests(logging.Handler):
    """What the server was asked, by method; read from its own log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def count(self) -> Counter[str]:
        found = (re.search(r"(PUT|GET|HEAD|DELETE|POST) /", line) for line in self.lines)
        return Counter(match[1] for match in found if match)


@pytest.fixture
def requests(s3: Any) -> Iterator[Requests]:
    handler = Requests()
    logger = logging.getLogger("werkzeug")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def store(s3: Any, make_settings: Callable[..., Settings]) -> ObjectStore:
    return ObjectStore(make_settings(store_url=f"s3://{BUCKET}/some/prefix"))


def keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


async def test_a_clip_is_uploaded_under_its_digest_with_its_content_type(
    store: ObjectStore, s3: Any, make_clip: Callable[..., HostedFile], make_settings: Callable[..., Settings]
) -> None:
    clip = make_clip()
    location = await store.publish(clip)
    key = f"some/prefix/kling-once/{install_id(make_settings().home)}/{clip.digest}.mp4"
    assert location == f"s3://{BUCKET}/{key}"
    found = s3.get_object(Bucket=BUCKET, Key=key)
    assert found["Body"].read() == clip.path.read_bytes()
    assert found["ContentType"] == "video/mp4"


async def test_a_large_clip_goes_up_in_parts_and_comes_out_whole(
    store: ObjectStore, s3: Any, make_clip: Callable[..., HostedFile], requests: Requests
) -> None:
    clip = make_clip(20_000_001)
    await store.publish(clip)
    assert requests.count()["PUT"] == 3
    assert s3.get_object(Bucket=BUCKET, Key=keys(s3)[0])["Body"].read() == clip.path.read_bytes()


async def test_two_publishes_at_once_are_one_upload_and_a_later_one_is_none(
    store: ObjectStore, make_clip: Callable[..., HostedFile], requests: Requests
) -> None:
    clip = make_clip()
    first, second = await asyncio.gather(store.publish(clip), store.publish(clip))
    assert first == second
    assert requests.count()["PUT"] == 1
    await store.publish(clip)
    assert requests.count()["PUT"] == 1


async def test_one_of_two_publishers_may_give_up_without_harm_to_the_other(
    store: ObjectStore, s3: Any, make_clip: Callable[..., HostedFile], requests: Requests
) -> None:
    clip = make_clip(9_000_000)
    first = asyncio.create_task(store.publish(clip))
    second = asyncio.create_task(store.publish(clip))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled() or first.done()
    assert s3.head_object(Bucket=BUCKET, Key=keys(s3)[0])["ContentLength"] == clip.size_bytes


async def test_an_upload_that_nobody_waits_for_is_stopped_and_leaves_nothing(
    store: ObjectStore,
    s3: Any,
    make_clip: Callable[..., HostedFile],
    monkeypatch: pytest.MonkeyPatch,
    clock: Any,
) -> None:
    monkeypatch.setattr("kling_once.hosting.object_store.PARTS_AT_ONCE", 1)
    monkeypatch.setattr("kling_once.hosting.object_store.PART_BYTES", 5 * 2**20)
    upload = asyncio.create_task(store.publish(make_clip(100_000_000)))
    async with asyncio.timeout(20):
        while not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads"):
            await clock.sleep(0)
        upload.cancel()
        while s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads"):
            await clock.sleep(0)
    assert upload.cancelled() or upload.done()
    assert keys(s3) == []


async def test_an_object_of_another_size_is_replaced(
    store: ObjectStore, s3: Any, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    await store.publish(clip)
    s3.put_object(Bucket=BUCKET, Key=keys(s3)[0], Body=b"short")
    await store.publish(clip)
    assert s3.head_object(Bucket=BUCKET, Key=keys(s3)[0])["ContentLength"] == clip.size_bytes


async def test_the_signature_is_what_botocore_computes_and_lives_longer_than_asked(
    store: ObjectStore, make_clip: Callable[..., HostedFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    # moto answers 200 to forged and expired signatures, so the signature is made again.
    url = await store.sign(await store.publish(make_clip()), 3600)
    parts = urlsplit(url)
    sent = {name: values[0] for name, values in parse_qs(parts.query).items()}
    expires = int(sent["X-Amz-Expires"])
    assert 3600 < expires <= 3600 + 120
    at = datetime.strptime(sent["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60

    monkeypatch.setattr(boto_auth, "get_current_datetime", lambda *_: at.replace(tzinfo=None))
    signer = boto_auth.S3SigV4QueryAuth(
        credentials.Credentials(KEY, SECRET), "s3", "us-east-1", expires=expires
    )
    again = awsrequest.AWSRequest(method="GET", url=parts._replace(query="").geturl())
    signer.add_auth(again)
    recomputed = {name: values[0] for name, values in parse_qs(urlsplit(again.url).query).items()}
    assert recomputed == sent


async def test_the_signed_link_serves_the_clip_and_verify_is_content(
    store: ObjectStore, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    url = await store.sign(await store.publish(clip), 60)
    async with aiohttp.ClientSession() as session, session.get(yarl.URL(url, encoded=True)) as answer:
        assert await answer.read() == clip.path.read_bytes()
    await store.verify(url, clip)


async def test_seven_days_is_the_longest_life_of_a_link(
    store: ObjectStore, make_clip: Callable[..., HostedFile]
) -> None:
    location = await store.publish(make_clip())
    assert f"X-Amz-Expires={WEEK}&" in await store.sign(location, WEEK)
    with pytest.raises(HostingError, match=r"7\.0 days was asked for; this host gives at most 7 days"):
        await store.sign(location, WEEK + 1)


@pytest.mark.parametrize("lifetime", [0, -1, float("nan"), float("inf")])
async def test_a_lifetime_that_is_none_is_refused(store: ObjectStore, lifetime: float) -> None:
    with pytest.raises(HostingError):
        await store.sign("s3://clips/x", lifetime)


async def test_withdraw_deletes_and_a_second_time_is_no_error(
    store: ObjectStore, s3: Any, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    location = await store.publish(clip)
    url = await store.sign(location, 60)
    await store.withdraw(location)
    assert keys(s3) == []
    await store.withdraw(location)
    with pytest.raises(HostingError, match="the object store: it says that there is no such file"):
        await store.verify(url, clip)


async def test_only_our_own_clips_are_listed_and_nothing_else_is_touched(
    store: ObjectStore, s3: Any, make_clip: Callable[..., HostedFile]
) -> None:
    location = await store.publish(make_clip())
    ours = location.removeprefix(f"s3://{BUCKET}/")
    digest = "a" * 64
    foreign = [
        "holiday.mp4",
        f"some/prefix/kling-once/{'0' * 16}/{digest}.mp4",
        f"kling-once/{ours.split('/')[3]}/{digest}.mp4",
    ]
    for key in foreign:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"theirs")
    (leftover,) = await store.leftovers()
    assert (leftover.location, leftover.size_bytes) == (location, 300_000)
    assert abs((datetime.now(UTC) - leftover.last_modified).total_seconds()) < 60
    folder = location.rpartition("/")[0]
    for key in (*foreign, f"{folder}/../{digest}.mp4", f"{folder}/notes.txt", folder):
        with pytest.raises(HostingError, match="it is not touched"):
            await store.withdraw(f"s3://{BUCKET}/{key}" if key in foreign else key)
        with pytest.raises(HostingError, match="it is not touched"):
            await store.sign(f"s3://{BUCKET}/{key}" if key in foreign else key, 60)
    assert sorted(keys(s3)) == sorted([*foreign, ours])


async def test_a_clip_that_changed_since_it_was_digested_is_not_uploaded(
    store: ObjectStore, s3: Any, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    clip.path.write_bytes(b"x" * clip.size_bytes)
    with pytest.raises(HostingError, match="changed before it could be uploaded"):
        await store.publish(clip)
    clip.path.unlink()
    with pytest.raises(HostingError, match="cannot be read: No such file"):
        await store.publish(clip)
    assert keys(s3) == []


async def test_a_digest_that_is_none_cannot_become_a_name(
    store: ObjectStore, make_clip: Callable[..., HostedFile]
) -> None:
    with pytest.raises(HostingError, match="64 hex digits"):
        await store.publish(HostedFile(make_clip().path, "../../x", 300_000))


@pytest.fixture
def silent_server(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that accepts connections and never says a word, as the store's endpoint."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield url


async def test_calls_that_a_silent_store_holds_keep_nobody_else_waiting(
    silent_server: str, store: ObjectStore, make_clip: Callable[..., HostedFile]
) -> None:
    location = store.location(make_clip())
    for _ in range(50):  # more than asyncio has shared threads on any machine
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.withdraw(location), 0.01)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "written"), 60) == "written"


async def test_a_silent_store_is_given_up_soon_by_everything_but_an_upload(
    silent_server: str,
    store: ObjectStore,
    make_clip: Callable[..., HostedFile],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kling_once.hosting.object_store.REQUEST_SECONDS", 1)
    clip = make_clip()
    async with asyncio.timeout(30):
        for doing in (store.withdraw(store.location(clip)), store.leftovers(), store.publish(clip)):
            with pytest.raises(HostingError, match="does not answer in time"):
                await doing


def test_a_silent_store_does_not_keep_a_process_from_ending(
    silent_server: str, run_python: Callable[..., subprocess.Popen[str]]
) -> None:
    code = (
        "import asyncio; from kling_once.settings import load_settings\n"
        "from kling_once.hosting.object_store import ObjectStore\n"
        "store = ObjectStore(load_settings(store_url='s3://clips'))\n"
        "async def look():\n"
        "    try: await asyncio.wait_for(store.leftovers(), 0.2)\n"
        "    except TimeoutError: print('let go', flush=True)\n"
        "asyncio.run(look())"
    )
    process = run_python(code)
    assert process.stdout is not None
    assert process.stdout.readline() == "let go\n"
    assert process.wait(timeout=10 * slowness()) == 0


def test_two_processes_that_start_at_once_agree_on_one_install_id(
    tmp_path: Path, run_python: Callable[..., subprocess.Popen[str]]
) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from kling_once.hosting.object_store import install_id\n"
        "print('ready', flush=True); go = Path(sys.argv[1])\n"
        "while not go.exists(): time.sleep(0.001)\n"
        "print(install_id(Path(sys.argv[2])))"
    )
    go = tmp_path / "go"
    processes = [run_python(code, str(go), str(tmp_path / "fresh")) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    go.touch()
    said = {process.communicate(timeout=30)[0].strip() for process in processes}
    assert len(said) == 1
    assert re.fullmatch(r"[0-9a-f]{16}", said.pop())


def test_an_install_id_that_was_damaged_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "install_id").write_text("hello")
    with pytest.raises(HostingError, match="install_id does not hold"):
        install_id(tmp_path)
    assert (tmp_path / "install_id").read_text() == "hello"


async def test_no_log_line_holds_a_signed_link_or_a_key(
    store: ObjectStore, make_clip: Callable[..., HostedFile], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    clip = make_clip()
    url = await store.sign(await store.publish(clip), 60)
    await store.verify(url, clip)
    theirs = ("werkzeug", "boto")  # the server's own access log, and the client that the test made
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(theirs)]
    assert not [line for line in ours if "X-Amz-Signature" in line or SECRET in line]


@pytest.mark.process
def test_a_process_that_ends_right_after_asking_the_store_is_not_aborted(
    s3: Any, run_python: Callable[..., subprocess.Popen[str]]
) -> None:
    # With obstore's async functions one such process in ten died of SIGABRT.
    code = (
        "import asyncio; from kling_once.settings import load_settings\n"
        "from kling_once.hosting.object_store import ObjectStore\n"
        "print(asyncio.run(ObjectStore(load_settings(store_url='s3://clips')).leftovers()))"
    )
    for _ in range(2):
        processes = [run_python(code) for _ in range(4)]
        for process in processes:
            assert process.communicate(timeout=30) == ("[]\n", "")
            assert process.returncode == 0
