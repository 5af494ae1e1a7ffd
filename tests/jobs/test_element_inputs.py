"""What an element may be made of: inputs are read, measured and refused before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from kling_once.errors import InputRefused
from kling_once.order import VideoFile, VideoUrl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.jobs.engine import Engine
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations


def test_everything_of_an_element_that_cannot_be_read_is_told_at_once(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any], tmp_path: Path
) -> None:
    for name in ("front.png", "side.png", "clip.mp4"):
        (tmp_path / name).write_bytes(b"this is neither a picture nor a clip")
    pictures = element(image=tmp_path / "front.png", views=(tmp_path / "side.png",))
    clip = replace(element(), image=None, views=(), video=VideoFile(tmp_path / "clip.mp4"))

    for order, fields in ((pictures, ["frontal", "views[1]"]), (clip, ["video"])):
        with pytest.raises(InputRefused) as refused:
            engine.create_element(order).result(30)
        assert [violation.field for violation in refused.value.violations] == fields
    assert sandbox.element_creates() == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": ""}, "name is empty"),
        ({"name": "x" * 21}, "name has 21 characters; Kling takes 20"),
        ({"description": "x" * 101}, "description has 101 characters; Kling takes 100"),
        ({"views": ()}, "0 other views; Kling takes 1 to 3"),
        ({"image": None}, "no frontal picture"),
        ({"video": VideoUrl("https://clips.example.com/mia.mp4")}, "pictures or of one clip"),
        ({"name": "half \ud83d"}, "half of a character"),
    ],
)
def test_limits_are_checked_before_anything_is_sent(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any], changes: Any, told: str
) -> None:
    with pytest.raises(InputRefused, match=told):
        engine.create_element(element(**changes)).result(30)
    assert sandbox.element_creates() == []


def test_the_frontal_picture_among_the_views_is_refused_also_as_another_file(
    sandbox: SandboxControl,
    engine: Engine,
    element: Callable[..., Any],
    small_picture: Path,
    small_view: Path,
    tmp_path: Path,
) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(small_picture.read_bytes())
    with pytest.raises(InputRefused, match="the frontal picture again") as caught:
        engine.create_element(element(views=(small_view, copy))).result(30)
    assert [one.field for one in caught.value.violations] == ["views[2]"]
    assert sandbox.element_creates() == []


def test_more_than_three_views_are_refused(
    engine: Engine, element: Callable[..., Any], small_view: Path
) -> None:
    with pytest.raises(InputRefused, match="4 other views"):
        engine.create_element(element(views=(small_view,) * 4)).result(30)


@pytest.mark.parametrize(("frames", "seconds"), [(20, "2.0"), (90, "9.0")])
def test_a_clip_that_is_too_short_or_too_long_is_refused(
    sandbox: SandboxControl,
    engine: Engine,
    element: Callable[..., Any],
    draw_hd_clip: Callable[..., Path],
    frames: int,
    seconds: str,
) -> None:
    clip = VideoFile(draw_hd_clip(1920, 1080, frames))
    with pytest.raises(InputRefused, match=f"is {seconds} s long; an element allows 3 to 8 s"):
        engine.create_element(element(image=None, views=(), video=clip)).result(30)
    assert sandbox.element_creates() == []


def test_tensors_and_files_of_equal_pixels_are_one_element(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any]
) -> None:
    order = element()

    def tensor(path: Path) -> Any:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"), np.float32)[None] / 255

    drawn = replace(order, image=tensor(order.image), views=(tensor(order.views[0]),))
    made = engine.create_element(order).result(30)
    assert engine.create_element(drawn).result(30).element_id == made.element_id


def test_a_clip_of_1080p_makes_an_element_and_another_shape_is_refused(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any], draw_hd_clip: Callable[..., Path]
) -> None:
    order = replace(element(), image=None, views=(), video=VideoFile(draw_hd_clip(1920, 1080)))
    made = engine.create_element(order).result(60)
    (known,) = sandbox.elements()
    assert (known["reference_type"], str(known["element_id"])) == ("video_refer", made.element_id)
    (create,) = sandbox.element_creates()
    assert set(create["body"]["element_video_list"]) == {"refer_videos"}

    with pytest.raises(InputRefused, match="1080p in 16:9 or 9:16"):
        engine.create_element(replace(order, video=VideoFile(draw_hd_clip(1440, 1080)))).result(60)
    with pytest.raises(InputRefused, match="an element allows 3 to 8 s"):
        engine.create_element(replace(order, video=VideoFile(draw_hd_clip(1920, 1080, 90)))).result(60)
