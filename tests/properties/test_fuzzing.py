"""Files and bodies that somebody has damaged: an error of ours in words, or an answer; never anything else.

A few examples by default; KLING_ONCE_FUZZ_SECONDS=60 looks on with fresh ones for so long in each test.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_once.errors import KlingOnceError
from kling_once.hosting.callbacks import named_task
from kling_once.media.picture import probe_picture, read_picture
from kling_once.media.private_boxes import container_colors, private_parts
from kling_once.media.probe import probe_clip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS = float(os.environ.get("KLING_ONCE_FUZZ_SECONDS", "0"))

changes = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.floats(0, 1), st.integers(1, 255)),
        st.tuples(st.just("cut"), st.floats(0, 1), st.integers(1, 4000)),
        st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=64)),
        st.tuples(st.just("end"), st.floats(0, 1), st.just(0)),
    ),
    min_size=1,
    max_size=8,
)
headers = st.tuples(st.floats(0, 0.02), st.integers(0, 255))
"""Most of what is decided is decided by the first bytes."""
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def damaged(data: bytes, done: list[Any], first: tuple[float, int]) -> bytes:
    out = bytearray(data)
    out[int(first[0] * (len(out) - 1))] = first[1]
    for kind, place, what in done:
        at = int(place * max(len(out) - 1, 0))
        if kind == "flip" and out:
            out[at] ^= what
        elif kind == "cut":
            del out[at : at + what]
        elif kind == "insert":
            out[at:at] = what
        elif kind == "end":
            del out[max(at, 1) :]
    return bytes(out)


def look(test: Callable[..., None], *strategies: Any, examples: int = 40) -> None:
    """Run a property: once, or with fresh examples until the time is up."""
    until = time.monotonic() + SECONDS
    while True:
        settings(max_examples=examples, derandomize=not SECONDS, deadline=None)(given(*strategies)(test))()
        if time.monotonic() >= until:
            return


def in_words(call: Callable[[], Any]) -> None:
    said = ""
    try:
        call()
    except KlingOnceError as error:
        said = str(error)
    assert not said or said.isprintable()
    assert len(said) < 2000


def test_a_damaged_clip_is_read_or_refused_in_words(tmp_path: Path, small_clip: Path) -> None:
    data, path = small_clip.read_bytes(), tmp_path / "damaged.mp4"

    def trial(done: list[Any], first: tuple[float, int]) -> None:
        path.write_bytes(damaged(data, done, first))
        in_words(lambda: probe_clip(path))
        in_words(lambda: private_parts(path, {}, found=(), packet_bytes=0))
        in_words(lambda: container_colors(path))

    look(trial, changes, headers)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_damaged_picture_is_read_or_refused_in_words(
    tmp_path: Path, small_picture: Path, ending: str
) -> None:
    from PIL import Image  # noqa: PLC0415 - for the copy alone

    path = tmp_path / f"damaged.{ending}"
    Image.open(small_picture).convert("RGB").save(path)
    data = path.read_bytes()

    def trial(done: list[Any], first: tuple[float, int]) -> None:
        path.write_bytes(damaged(data, done, first))
        in_words(lambda: read_picture(path))
        in_words(lambda: probe_picture(path))

    look(trial, changes, headers)


def test_a_callback_names_a_task_none_or_is_refused() -> None:
    def trial(body: bytes) -> None:
        try:
            task_id = named_task(body)
        except ValueError:
            return
        assert task_id is None or (isinstance(task_id, str) and 0 < len(task_id) <= 128)

    keys = st.sampled_from(["task_id", "id", "status", "data", "external_task_id"])
    bodies = st.dictionaries(keys, json_values, max_size=5).map(lambda value: json.dumps(value).encode())
    look(trial, st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()) | bodies)
