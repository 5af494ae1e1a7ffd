"""Golden job keys: they name what people have paid for. These literals never change."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kling_once.demo import CHARACTER, MOTION
from kling_once.jobs.services import MediaThreads
from kling_once.jobs.staging import stage
from kling_once.jobs.staging_area import StagingArea
from kling_once.ledger.job import job_key
from kling_once.order import (
    MotionControl,
    Order,
    Service,
    VideoFile,
    VideoUrl,
)
from kling_once.origins import CHINA_ORIGIN, GLOBAL_ORIGIN

PICTURE, CLIP = "a" * 64, "b" * 64
EVERYTHING = MotionControl(
    prompt="a prompt é 人 🎬",
    model="kling-v3",
    mode="pro",
    character_orientation="image",
    keep_original_sound=False,
    element_id="829836802793406551",
    watermark=True,
    take=3,
)


def key_of(order: Order, origin: str = "embedded") -> str:
    area, media = StagingArea(Path(tempfile.gettempdir()) / "kling-once-key-tests"), MediaThreads()
    try:
        staged = asyncio.run(stage(order, origin, area, media))
    finally:
        media.close()
        area.close()
    assert staged.job is not None, staged.unreadable
    return staged.job.key


def test_the_key_of_defaults() -> None:
    key = "v19fd9e27d1630f9aa44b6dc5094d35f8b51f211cc751c7d69805cd99a71f44d20"
    assert job_key("global", MotionControl(), PICTURE, CLIP) == key


def test_the_key_of_everything_set() -> None:
    key = "v1552830dc73bc397591ab1f29f7fff1737170deae34724d2545b0131819a36aab"
    assert job_key("china", EVERYTHING, PICTURE, CLIP) == key


def test_the_key_of_a_picture_and_a_clip() -> None:
    key = "v1412c84d4b8d2b2fef83ffce47349110c465dd0b4ca15e16b7538c09ba8009449"
    assert key_of(Order(CHARACTER, VideoFile(MOTION))) == key


def test_the_key_of_a_url() -> None:
    order = Order(CHARACTER, VideoUrl("https://example.com/a.mp4"), service=Service.KLING)
    key = "v12cae4afb1bd6d7ef209a6968aad5983ebce35c8495272e783c167ede6fc9f905"
    assert key_of(order, GLOBAL_ORIGIN) == key


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "x"},
        {"model": "kling-v3"},
        {"mode": "pro"},
        {"character_orientation": "image"},
        {"keep_original_sound": False},
        {"element_id": "1"},
        {"watermark": True},
        {"take": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_setting_that_decides_the_result_is_in_the_key(change: dict[str, Any]) -> None:
    plain = MotionControl()
    assert job_key("global", replace(plain, **change), PICTURE, CLIP) != job_key(
        "global", plain, PICTURE, CLIP
    )


@pytest.mark.parametrize(
    "change",
    [
        {"project": "p"},
        {"wait_minutes": 1.0},
        {"callback_url": "https://example.com"},
        {"profile": "studio"},
        {"external_task_id": "mine"},
        {"again": True},
        {"image_name": "n"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_does_not_decide_the_result_is_not_in_the_key(change: dict[str, Any]) -> None:
    order = Order(CHARACTER, VideoFile(MOTION))
    assert key_of(replace(order, **change)) == key_of(order)


def test_each_realm_has_keys_of_its_own() -> None:
    order = Order(CHARACTER, VideoFile(MOTION), service=Service.KLING)
    origins = (GLOBAL_ORIGIN, CHINA_ORIGIN, "https://kling.example")
    assert len({key_of(order, origin) for origin in origins}) == 3
    sandboxes = {key_of(Order(CHARACTER, VideoFile(MOTION)), origin) for origin in ("embedded", *origins)}
    assert len(sandboxes) == 1


def test_an_element_id_is_a_number_however_it_is_written() -> None:
    keys = {job_key("global", MotionControl(element_id=text), PICTURE, CLIP) for text in ("12", "0012")}
    assert len(keys) == 1


def test_a_fragment_of_a_url_does_not_count_and_its_query_does() -> None:
    def key(url: str) -> str:
        return key_of(Order(CHARACTER, VideoUrl(url)))

    assert key("https://e.com/a.mp4#t=1") == key("https://e.com/a.mp4")
    assert key("https://e.com/a.mp4?v=2") != key("https://e.com/a.mp4")
