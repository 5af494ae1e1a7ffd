"""The pictures of the README: `just pictures` takes them anew into docs/images/."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PICTURE, CLIP = "purple shirt.png", "wave.mp4"
MOTION = "KlingOnce_MotionControl"
FRAMES, FRAME_MS, WIDTH_PX = 16, 500, 760


@pytest.fixture(scope="module", autouse=True)
def past(comfy: Any, inputs: Path, sandbox: Any) -> None:
    """Fill the list: results of the sandbox, two that were paid, one that failed."""
    for name, source in ((PICTURE, "character.png"), (CLIP, "motion.mp4"), ("dance.mp4", "motion.mp4")):
        shutil.copyfile(inputs / source, inputs / name)
    url = {"motion_source": "url", "motion_source.url": sandbox.upload(inputs / CLIP)}
    live = {"service": "kling", "profile": "studio"} | url
    orders: list[dict[str, Any]] = [
        {"project": "tests"},
        {"project": "spring campaign"} | live,
        {"project": "spring campaign", "take": 1} | live,
        {"project": "tests", "take": 2, "mode": "pro"},
        {"project": "trailer", "take": 3},
    ]
    for place, order in enumerate(orders):
        if place == 3:
            sandbox.script("create", "task-failed")
        assert comfy.run(prompt_of(**order)).ok == (place != 3)


def prompt_of(**inputs: Any) -> dict[str, Any]:
    clip = {"motion_source": "video", "motion_source.video": ["2", 0]}
    given = {"image": ["1", 0]} | (inputs if "motion_source" in inputs else clip | inputs)
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": PICTURE}},
        "2": {"class_type": "LoadVideo", "inputs": {"file": CLIP}},
        "3": {"class_type": MOTION, "inputs": given},
        "4": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["3", 0], "filename_prefix": "kling", "format": "auto", "codec": "auto"},
        },
    }


@pytest.fixture
def editor(comfy: Any, screen: Callable[..., Any]) -> Any:
    seen = screen(comfy.url, settings={"Comfy.Minimap.Visible": False})
    seen.open_template("1 motion control")
    seen.wait_for_strip(".*free")
    return seen


def test_a_node_before_it_runs(editor: Any, picture: Callable[..., None]) -> None:
    editor.widget(MOTION, "service", "kling")
    editor.widget(MOTION, "mode", "pro")
    editor.widget("LoadImage", "image", PICTURE)
    editor.widget("LoadVideo", "file", CLIP)
    editor.wait_for_strip(r"up to 3\.2 units")
    editor.look_at(scale=0.9)
    picture(editor, "node", {"x": 220, "y": 90, "width": 800, "height": 620})


def test_the_list_of_tasks(editor: Any, picture: Callable[..., None]) -> None:
    tasks = editor.tasks()
    tasks.wait_for("failed")
    editor.page.wait_for_load_state("networkidle")
    picture(editor, "sidebar", {"x": 0, "y": 0, "width": 800, "height": 640})


def test_totals_and_limits(editor: Any, picture: Callable[..., None]) -> None:
    editor.tasks().show("totals")
    editor.page.get_by_text("spring campaign").first.wait_for()
    picture(editor, "totals", {"x": 0, "y": 0, "width": 520, "height": 600})


def test_the_keys(editor: Any, picture: Callable[..., None]) -> None:
    assert editor.keys().state("studio")
    picture(editor, "keys", {"x": 64, "y": 40, "width": 1152, "height": 640})


@pytest.fixture
def picture(shot: Callable[..., Path]) -> Callable[..., None]:
    """Take a picture of a part of a page, among the artefacts or into the README's."""

    def take(seen: Any, name: str, part: dict[str, int]) -> None:
        path = shot(seen, name)
        seen.page.screenshot(path=str(path), clip=part)

    return take


def test_a_run_as_an_animated_picture(editor: Any, sandbox: Any, shot: Callable[..., Path]) -> None:
    sandbox.move(policy="polls", polls=4)
    editor.widget("LoadImage", "image", PICTURE)
    editor.widget("LoadVideo", "file", CLIP)
    editor.widget(MOTION, "take", 7)
    editor.tasks().wait_for("kept")
    editor.look_at(scale=0.62)
    frames = [frame_of(editor)]
    editor.run()
    for _ in range(FRAMES):
        editor.page.wait_for_timeout(FRAME_MS)
        frames.append(frame_of(editor))
    palette = side_by_side([frames[0], frames[len(frames) // 3], frames[-1]]).quantize(255)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    path = shot(editor, "run")
    path.unlink()
    first.save(path.with_suffix(".gif"), save_all=True, append_images=others, duration=FRAME_MS, loop=0)
    assert len({frame.tobytes() for frame in frames}) > 3, "it moves"


def frame_of(editor: Any) -> Image.Image:
    taken = Image.open(BytesIO(editor.page.screenshot())).convert("RGB")
    return taken.resize((WIDTH_PX, taken.height * WIDTH_PX // taken.width), Image.Resampling.LANCZOS)


def side_by_side(frames: list[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (len(frames) * frames[0].width, frames[0].height))
    for number, frame in enumerate(frames):
        sheet.paste(frame, (number * frame.width, 0))
    return sheet
