"""Every limit that a check can name has its words in Chinese, and its numbers in them."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.api.limits import Orientation
from kling_once.api.motion_control import MOTION_SETTINGS, MotionControl
from kling_once.jobs.violations import clip_bounds, order_violations, picture_bounds
from kling_once.media.bounds import clip_violations, picture_violations
from kling_once.order import Order, VideoFile
from kling_once.settings import load_settings
from kling_once.web.answers import BrokenRule
from tests.media.test_bounds import CLIP, PICTURE

if TYPE_CHECKING:
    from kling_once.errors import Violation

ROOT = Path(__file__).parents[2]
SOURCES = ("media/bounds.py", "media/damage.py", "jobs/violations.py", "jobs/staging.py", "hosting/*.py")
RULE = re.compile(r"(image|video|prompt|project|take|\w+_\w+)(\.[a-z_]+)+")


def words(language: str) -> dict[str, str]:
    path = ROOT / "locales" / language / "main.json"
    return json.loads(path.read_text(encoding="utf-8"))["klingOnce"]["rule"]


def rules() -> set[str]:
    """Return every rule that the sources name, and those of which they name the parts."""
    found = {"key", "hold", "limit", "ledger", "image.wired"}
    found |= {"motion_source.video.wired", "motion_source.frames.wired"}
    found |= {"video.duration.min", "video.duration.max"}
    found |= {"image.readable", "video.readable", "prompt.unicode", "project.unicode"}
    found |= {f"{item.name}.unknown" for item in MOTION_SETTINGS if item.choices}
    for path in (path for source in SOURCES for path in (ROOT / "kling_once").glob(source)):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        found |= {text for text in texts if isinstance(text, str) and RULE.fullmatch(text)}
    return found


def test_chinese_has_words_for_every_rule_and_for_no_other() -> None:
    assert words("zh").keys() == {rule.replace(".", "_") for rule in rules()}
    assert words("en").keys() <= words("zh").keys()


def broken_limits(tmp_path: Path) -> list[Violation]:
    """Break every limit that has numbers."""
    picture = replace(PICTURE, width_px=100, height_px=120_000, size_bytes=9_000_000)
    clip = replace(CLIP, width_px=100, height_px=9000, duration_seconds=41.2, size_bytes=200_000_000)
    motion = MotionControl(prompt="x" * 2501, take=-1)
    order = Order(
        image=None,
        video=VideoFile(tmp_path),
        motion=motion,
        wait_minutes=20_000,
        max_units=Decimal(-1),
    )
    return [
        *picture_violations(picture, picture_bounds("legacy")),
        *clip_violations(clip, clip_bounds(Orientation.VIDEO)),
        *clip_violations(replace(clip, duration_seconds=2.5), clip_bounds(Orientation.IMAGE)),
        *order_violations(order, "https://example.com", load_settings(), has_host=False),
    ]


def test_the_numbers_of_a_broken_limit_are_those_of_its_words(tmp_path: Path) -> None:
    told = {}
    for violation in broken_limits(tmp_path):
        broken = BrokenRule.model_validate(violation)
        text = words("zh")[broken.rule.replace(".", "_")]
        told[broken.rule] = [broken.values[int(place)] for place in re.findall(r"\{(\d)\}", text)]
    assert {rule: values for rule, values in told.items() if values} == {
        "image.size": ["9", "12", "10"],
        "image.side.min": ["100", "120000", "300"],
        "image.side.max": ["100", "120000", "65536"],
        "image.ratio": ["100", "120000", "1200.00", "2.5"],
        "video.size": ["200", "100"],
        "video.side.min": ["100", "9000", "340"],
        "video.side.max": ["100", "9000", "3850"],
        "video.duration.max": ["41.2", "3", "30", "29.96"],
        "video.duration.min": ["2.5", "3", "10"],
        "prompt.length": ["2501", "2500"],
        "take.range": ["-1", "0", "2147483647"],
        "wait_minutes.range": ["20000", "0", "10080", "7"],
    }


@pytest.mark.parametrize(
    ("message", "values"),
    [
        ("Reference video is 41.2 s long; 3 to 30 s.", ["41.2", "3", "30"]),
        ("model is 'kling-v2-6'; base64, MP4, v1.", []),
        ("at 0:04.5, 1:02; take is -3.", ["0:04.5", "1:02", "-3"]),
    ],
)
def test_numbers_are_read_from_a_message_and_names_are_not(message: str, values: list[Any]) -> None:
    assert BrokenRule(field="video", rule="x", message=message).values == values
