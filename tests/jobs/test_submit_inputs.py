"""What a submit does with its inputs: handed over, made to fit, refused, and put into the body."""

from __future__ import annotations

import base64
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from kling_once.errors import (
    HostingError,
    InputRefused,
    OutcomeUnknown,
    Violation,
)
from kling_once.hosting.media_host import ClipNotThere
from kling_once.jobs.progress import Stage
from kling_once.jobs.submit import submit
from kling_once.ledger.attempts import AttemptState
from kling_once.ledger.slots import Room
from kling_once.order import ElementOrder, Service, VideoUrl
from tests.jobs.scripted_run import (
    BEGAN,
    EXTERNAL_ID,
    ORIGIN,
    ScriptedHost,
    task,
)
from tests.jobs.scripted_submit import CLIP, FULL, URL, Submit, staged_element, staged_file, staged_video


async def test_a_clip_of_this_machine_is_noted_published_signed_verified_and_noted_again() -> None:
    one = Submit(staged_file())
    host = one.services.media_host = ScriptedHost()
    await one.end()
    assert [call[0] for call in host.calls] == ["publish", "sign", "verify"]
    assert one.sent[0].video_url == host.calls[-1][1]
    assert one.services.asked_host == [(Service.KLING, ORIGIN)]
    notes = [call for call in one.ledger.calls if call[0] == "note_upload"]
    an_hour = BEGAN + timedelta(minutes=61)
    assert notes == [
        ("note_upload", "clips/abc", "object_store", BEGAN),
        ("note_upload", "clips/abc", "object_store", an_hour),
    ]
    assert one.run.attempt.location == "clips/abc"
    first_note = one.ledger.names().index("note_upload")
    assert one.ledger.calls[first_note - 1] == ("change", {"location": "clips/abc"})


async def test_a_place_that_clears_itself_is_not_noted() -> None:
    one = Submit(staged_file())
    one.services.media_host = ScriptedHost(location="")
    await one.end()
    assert "note_upload" not in one.ledger.names()


async def test_a_clip_that_is_there_already_is_signed_anew_and_not_sent_again() -> None:
    one = Submit(staged_file())
    host = one.services.media_host = ScriptedHost()
    one.vendor.creates = [FULL, task()]
    await one.end()
    assert [call[0] for call in host.calls] == ["publish", "sign", "verify", "sign", "verify"]


@pytest.mark.parametrize(("minutes", "seconds"), [(0, 3600), (60, 3600), (90, 5400)])
async def test_a_link_lives_as_long_as_the_wait_and_an_hour_at_least(minutes: float, seconds: float) -> None:
    one = Submit(staged_file(wait_minutes=minutes))
    host = one.services.media_host = ScriptedHost()
    await one.end()
    assert next(call[2] for call in host.calls if call[0] == "sign") == seconds


async def test_a_clip_that_went_lost_at_its_place_is_put_there_once_more() -> None:
    one = Submit(staged_file())
    host = one.services.media_host = ScriptedHost(verdicts=[ClipNotThere("gone"), None])
    await one.end()
    names = [call[0] for call in host.calls]
    assert names == ["publish", "sign", "verify", "withdraw", "publish", "sign", "verify"]
    assert host.calls[3] == ("withdraw", "clips/abc")
    assert one.sent[0].video_url == host.calls[-1][1]


@pytest.mark.parametrize(
    "verdicts", [[ClipNotThere("gone"), ClipNotThere("gone")], [HostingError("no such bucket")]]
)
async def test_a_clip_that_cannot_be_fetched_is_not_sent(verdicts: list[Exception]) -> None:
    one = Submit(staged_file())
    one.services.media_host = ScriptedHost(verdicts=verdicts)
    with pytest.raises(HostingError):
        await one.end()
    assert one.sent == []


@pytest.mark.parametrize("missing", ["host", "clip"])
async def test_without_a_place_or_a_clip_nothing_is_sent(missing: str) -> None:
    staged = staged_file()
    one = Submit(staged)
    one.services.media_host = None if missing == "host" else ScriptedHost()
    staged.hosted = None if missing == "clip" else CLIP
    with pytest.raises(HostingError, match="local file"):
        await one.end()
    assert one.sent == []


@pytest.mark.parametrize("staged", [None, staged_video(job=None)], ids=["nothing", "no job"])
async def test_what_was_never_staged_is_not_sent(staged: Any) -> None:
    one = Submit()
    run = await one.open()
    run.staged = staged
    with pytest.raises(OutcomeUnknown, match="has no task at Kling"):
        await submit(run)
    assert one.sent == []
    model = "" if staged is None else "kling-v2-6"
    assert one.ledger.calls[0][1] == Room(ORIGIN, "f1", model)


async def test_what_was_never_staged_looks_for_its_task_all_the_same() -> None:
    one = Submit()
    one.vendor.looks = [task()]
    run = await one.open()
    run.staged = None
    await submit(run)
    assert run.attempt.task_id == "871"


async def test_the_gateways_callback_goes_along_with_the_clip_it_holds() -> None:
    one = Submit(staged_file())
    one.services.media_host, one.services.callback = ScriptedHost(), "https://tunnel.example.com/callback/1"
    await one.end()
    assert one.sent[0].callback_url == "https://tunnel.example.com/callback/1"

    by_url = Submit()
    by_url.services.callback = "https://tunnel.example.com/callback/1"
    await by_url.end()
    assert by_url.sent[0].callback_url == ""


async def test_a_callback_of_the_users_own_wins() -> None:
    one = Submit(staged_file(callback_url="https://studio.example.com/done"))
    one.services.media_host, one.services.callback = ScriptedHost(), "https://tunnel.example.com/callback/1"
    one.services.settings.callback_origins = ("https://studio.example.com",)
    await one.end()
    assert one.sent[0].callback_url == "https://studio.example.com/done"


async def test_inputs_that_do_not_fit_yet_are_made_to_fit_first() -> None:
    staged = staged_video(is_fitted=False)
    given: list[dict[str, Any]] = []
    one = Submit(staged)

    async def fit(media: Any, *, on_progress: Any, **facts: Any) -> None:
        given.append(facts)
        on_progress(3, 30)

    staged.fit = fit
    await one.end()
    assert given == [{"generation": "legacy", "china": False}]
    (seen,) = [progress for progress in one.services.told if progress.total]
    assert (seen.stage, seen.done, seen.total) == (Stage.CONFORM, 3, 30)
    assert "measuring the picture and the clip" in one.services.said()


async def test_an_order_to_china_is_made_to_fit_as_such() -> None:
    staged = staged_video(is_fitted=False)
    staged.origin = "https://api-beijing.klingai.com"
    given: list[bool] = []

    async def fit(media: Any, *, china: bool, **facts: Any) -> None:
        given.append(china)

    staged.fit = fit
    await Submit(staged).end()
    assert given == [True]


async def test_what_is_fitted_already_is_not_fitted_again() -> None:
    staged = staged_video()
    staged.fit = None
    assert (await Submit(staged).end()).state is AttemptState.SUBMITTED


async def test_every_broken_limit_of_settings_and_media_is_in_one_refusal() -> None:
    broken = Violation("image", "image.sides.min", "The picture is too small.")
    one = Submit(staged_video(order={"max_units": Decimal(-1)}, violations=(broken,)))
    with pytest.raises(InputRefused) as caught:
        await one.end()
    assert [found.rule for found in caught.value.violations] == ["max_units.range", "image.sides.min"]
    assert one.sent == []


async def test_a_clip_of_this_machine_without_any_place_configured_breaks_a_limit() -> None:
    one = Submit(staged_file())
    one.services.settings.store_url = ""
    with pytest.raises(InputRefused):
        await one.end()
    assert one.sent == []


async def test_an_element_of_pictures_is_sent_in_a_room_of_its_own() -> None:
    one = Submit(staged_element())
    await one.end()
    (request,) = one.sent
    front, side = base64.b64encode(b"front").decode(), base64.b64encode(b"side").decode()
    assert (request.name, request.description) == ("Mia", "A woman")
    assert (request.frontal_image, request.views, request.video_url) == (front, (side,), "")
    assert request.external_task_id == EXTERNAL_ID
    assert one.ledger.calls[0][1] == Room(ORIGIN, "f1", model="", pack="element")
    assert "handing the clip over" not in one.services.said()


async def test_an_element_of_a_clip_is_sent_with_its_address() -> None:
    staged = staged_element(())
    staged.order = ElementOrder("Mia", "A woman", video=VideoUrl(URL), service=Service.KLING)
    one = Submit(staged)
    await one.end()
    (request,) = one.sent
    assert (request.frontal_image, request.views, request.video_url) == ("", (), URL)
    assert "handing the clip over" in one.services.said()
