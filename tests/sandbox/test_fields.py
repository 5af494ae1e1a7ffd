"""What a create's body may hold, and what a body may be at all."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

WRONG = {
    "model_name": ["kling-v1", "", None, 1, ["kling-v3"]],
    "prompt": ["x" * 2501, None, 5, "\ud800"],
    "image_url": ["", None, 5, "ftp://host/a.png", "https://", "http://a b/", "not base64!", "YQ=", {}],
    "video_url": ["", None, "AAAA", "file:///etc/passwd", "ftp://h/a.mp4", "https://h:99999/a.mp4", []],
    "element_list": [
        {},
        None,
        [1],
        [{"element_id": 1}, {"element_id": 2}],
        [{"element_id": "1"}],
        [{"element_id": 1.0}],
        [{"element_id": True}],
        [{"element_id": 2**63}],
        [{"element_id": 0}],
        [{"element_id": 1, "id": 2}],
        [{}],
    ],
    "keep_original_sound": ["true", True, None, "Yes"],
    "character_orientation": [..., "VIDEO", None, "", True],
    "mode": [..., "4k", None, "PRO"],
    "watermark_info": [True, {}, {"enabled": 1}, {"enabled": True, "text": "x"}, None, {"enabled": None}],
    "callback_url": ["nowhere", None, 5, "ftp://host/", "javascript:alert(1)"],
    "external_task_id": [5, None, ["x"], "\udfff"],
    "negative_prompt": ["blurry"],
    "duration": ["5"],
    "": [1],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
async def test_a_wrong_field_is_1201_and_named(bench: Any, name: str, value: Any) -> None:
    answer = await bench.create(**{name: value})
    assert (answer.status, answer.code) == (400, 1201)
    assert name in answer.message
    assert await bench.tasks() == []


@pytest.mark.parametrize("name", ["image_url", "video_url"])
async def test_a_missing_file_field_is_named(bench: Any, name: str) -> None:
    answer = await bench.create(**{name: ...})
    assert answer.message == f"{name}: is required"


async def test_every_broken_field_is_named_at_once(bench: Any) -> None:
    answer = await bench.create(mode="4k", prompt=7, seed=1, image_url=...)
    for name in ("mode", "prompt", "seed", "image_url"):
        assert name in answer.message


@pytest.mark.parametrize(
    "changes",
    [
        {"model_name": ...},
        {"prompt": "x" * 2500},
        {"prompt": "\N{GRINNING FACE}" * 2500},
        {"prompt": ""},
        {"element_list": [{"element_id": 829836802793406551}]},
        {"element_list": [{"element_id": 9223372036854775807}], "character_orientation": "image"},
        {"element_list": []},
        {"keep_original_sound": "no", "watermark_info": {"enabled": True}},
        {"callback_url": "https://example.org/hook?x=1"},
        {"external_task_id": "x" * 500 + "\N{SNOWMAN}"},
    ],
)
async def test_a_documented_field_is_accepted(bench: Any, changes: Any) -> None:
    assert (await bench.create(**changes)).status == 200


async def test_a_data_prefix_is_refused_in_words(bench: Any) -> None:
    answer = await bench.create(image_url="data:image/png;base64," + bench.fields["image_url"])
    assert answer.code == 1201
    assert "data:" in answer.message


async def test_an_element_id_keeps_every_digit_in_the_log(bench: Any) -> None:
    await bench.create(element_list=[{"element_id": 829836802793406551}])
    (call,) = await bench.calls()
    assert call["body"]["element_list"] == [{"element_id": 829836802793406551}]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null\xff",
        b'{"mode": NaN}',
        b'{"mode": "std", "mode": "pro"}',
        b'{"element_list": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        '{"prompt": "ä"}'.encode("latin-1"),
        '{"mode": "std"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"mode": "std"}',
    ],
)
async def test_a_body_that_is_not_strict_json_is_1200(bench: Any, raw: bytes) -> None:
    answer = await bench.post(raw)
    assert (answer.status, answer.code) == (400, 1200)
    (call,) = await bench.calls()
    assert call["status"] == 400


@pytest.mark.parametrize("value", [[], "text", 5, None, True])
async def test_a_body_that_is_no_object_is_1201(bench: Any, value: Any) -> None:
    answer = await bench.post(json.dumps(value).encode())
    assert (answer.status, answer.code) == (400, 1201)


async def test_deeply_nested_but_valid_json_is_refused_and_logged(bench: Any) -> None:
    nested: object = 1
    for _ in range(400):
        nested = [nested]
    answer = await bench.create(deep=nested)
    assert answer.code == 1201
    assert "nested deeper" in json.dumps((await bench.calls())[0]["body"])


async def test_a_body_of_33_megabytes_is_refused_with_an_answer(bench: Any) -> None:
    answer = await bench.create(image_url="A" * 33_000_000)
    assert (answer.status, answer.code) == (400, 1201)


async def test_a_packed_body_is_refused(bench: Any) -> None:
    packed = gzip.compress(json.dumps(bench.fields).encode())
    for raw in (packed, b"not packed at all"):
        answer = await bench.post(raw, **{"Content-Encoding": "gzip"})
        assert (answer.status, answer.code) == (400, 1200)


async def test_another_content_type_is_refused(bench: Any) -> None:
    answer = await bench.post(json.dumps(bench.fields).encode(), **{"Content-Type": "text/plain"})
    assert (answer.status, answer.code) == (400, 1200)


async def test_base64_is_counted_as_sent(bench: Any, image_text: str) -> None:
    padding = 10_000_000 - len(image_text)
    just = base64.b64decode(image_text) + bytes(padding // 4 * 3)
    text = base64.b64encode(just).decode()
    assert 9_999_990 < len(text) <= 10_000_000
    assert (await bench.create(image_url=text)).status == 200
    answer = await bench.create(image_url=text + "AAAA" * 4)
    assert answer.code == 1201
    assert "10 MB" in answer.message


async def test_fields_that_the_page_does_not_have_are_ignored_when_asked_for(start: Any) -> None:
    bench = await start(unknown_fields="ignore")
    invented = {"cfg_scale": 0.5, "duration": "5"}
    assert (await bench.create(**invented)).code == 0
    assert (await bench.create(mode="best", **invented)).code == 1201
    await bench.control("PUT", "settings", {"unknown-fields": "refuse"})
    answer = await bench.create(**invented)
    assert (answer.code, answer.message.count("unknown field")) == (1201, 2)
    refused = await bench.control("PUT", "settings", {"unknown-fields": "perhaps"})
    assert refused.status == 400
