"""Small pictures for lists are made without holding up the server that they are made in."""

from __future__ import annotations

import gc
import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from kling_once.results.pictures import SIDE_PX, poster_of

if TYPE_CHECKING:
    import pytest

MOTION = Path(__file__).parents[2] / "kling_once" / "demo" / "motion.mp4"


def test_a_poster_is_a_small_picture_and_collects_no_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    collected = []
    monkeypatch.setattr(gc, "collect", lambda *generation: collected.append(generation))
    poster = Image.open(io.BytesIO(poster_of(MOTION)))
    assert (poster.format, max(poster.size)) == ("JPEG", SIDE_PX)
    assert collected == []
