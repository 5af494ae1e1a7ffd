"""What the client writes the other side reads, and what the other side writes the client reads."""

from __future__ import annotations

import json
from decimal import Decimal  # noqa: TC003 - hypothesis reads the annotations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kling_once.api.limits import MODELS, Mode, Orientation
from kling_once.api.models import CreateRequest, Task
from kling_once.sandbox.rules import read_order
from kling_once.sandbox.wire import parse_body
from tests.create_request import create_request

texts = st.text(max_size=60)
urls = st.builds(
    "https://{}/{}".format, st.from_regex(r"[a-z]{1,9}\.example", fullmatch=True), st.just("a.mp4")
)

requests = st.builds(
    create_request,
    model_name=st.sampled_from(list(MODELS)),
    prompt=texts,
    image_url=st.from_regex(r"[A-Za-z0-9+/]{4,40}", fullmatch=True),
    video_url=urls,
    element_id=st.one_of(st.just(""), st.integers(1, 2**63 - 1).map(str)),
    keep_original_sound=st.booleans(),
    character_orientation=st.sampled_from(Orientation),
    mode=st.sampled_from(Mode),
    watermark=st.booleans(),
    callback_url=st.one_of(st.just(""), urls),
    external_task_id=st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)),
)


@given(requests)
def test_a_create_arrives_as_it_was_meant(request: CreateRequest) -> None:
    order = read_order(parse_body(request.encode()))
    assert order.model_name == request.motion.model
    assert order.mode == request.motion.mode
    assert order.character_orientation == request.motion.character_orientation
    assert order.image_url == request.image_url
    assert order.video_url == request.video_url
    assert order.prompt == request.motion.prompt
    assert order.keep_original_sound is request.motion.keep_original_sound
    assert order.watermark is request.motion.watermark
    assert str(order.element_id or "") == request.motion.element_id
    assert (order.callback_url or "") == request.callback_url
    assert (order.external_task_id or "") == request.external_task_id


def test_an_element_of_18_digits_keeps_every_one() -> None:
    request = create_request(
        image_url="QUJD",
        video_url="https://x/y",
        element_id="829836802793406551",
        character_orientation="video",
        mode="std",
    )
    assert b'"element_id": 829836802793406551' in request.encode()
    assert read_order(parse_body(request.encode())).element_id == 829836802793406551


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
OPTIONAL = (
    "task_status",
    "task_status_msg",
    "task_info",
    "task_result",
    "watermark_info",
    "final_unit_deduction",
    "final_balance_deduction",
    "created_at",
    "updated_at",
    "something_new",
)


@given(
    st.integers(1, 2**63) | st.from_regex(r"[A-Za-z0-9_.:-]{1,40}", fullmatch=True),
    st.dictionaries(st.sampled_from(OPTIONAL), junk),
)
def test_no_field_of_an_odd_shape_ever_loses_a_task_id(task_id: Any, odd: dict[str, Any]) -> None:
    answer = json.loads(json.dumps({"task_id": task_id} | odd))
    task = Task.model_validate(answer)
    assert task.task_id == str(task_id)
    assert task.final_unit_deduction is None or task.final_unit_deduction.is_finite()
    assert task.video is None or task.video.url


@given(st.decimals(0, 10_000, allow_nan=False, places=3), st.integers(1_577_836_800_000, 4_000_000_000_000))
def test_amounts_and_moments_come_through_exactly_as_text_or_number(amount: Decimal, moment: int) -> None:
    for written in (str(amount), float(amount)):
        task = Task.model_validate(
            {"task_id": "1", "final_unit_deduction": written, "created_at": str(moment)}
        )
        assert task.final_unit_deduction == amount
        assert task.created_at is not None
        assert round(task.created_at.timestamp() * 1000) == moment
