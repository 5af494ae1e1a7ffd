"""All that the server tells people has its words in Chinese, with its values in them."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from kling_once.api.limits import Orientation
from kling_once.api.motion_control import MOTION_SETTINGS, MotionControl
from kling_once.errors import Violation
from kling_once.jobs.violations import clip_bounds, order_violations, picture_bounds
from kling_once.media.bounds import clip_violations, picture_violations
from kling_once.media.split import Division, Part
from kling_once.order import Order, VideoFile
from kling_once.settings import load_settings
from kling_once.web import sentences
from kling_once.web.answers import BrokenRule, Told
from kling_once.web.sentences import Piece, sentence_id, taken_apart
from tests.media.test_bounds import CLIP, PICTURE
from tests.web.sentences import PATH, templates, text, texts_of
from tests.web.sentences import words as sentence_words

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


def test_chinese_calls_a_widget_as_the_node_does() -> None:
    nodes = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
    shown = {
        name: given["name"]
        for node in ("KlingOnce_MotionControl", "KlingOnce_SplitVideo", "KlingOnce_CreateElement")
        for name, given in nodes[node]["inputs"].items()
        if "_" in name or name in {"conform", "cuts", "take", "overlap", "material"}
    }
    told = [*words("zh").values(), *sentence_words("zh").values()]
    for text_told, (name, word) in product(told, shown.items()):
        if re.search(rf"(?<![\w.{{]){name}(?![\w.}}])", text_told):
            assert f"{word}（{name}）" in text_told, text_told  # noqa: RUF001 - Chinese signs


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


PLACES = re.compile(r"\{\d+\}")


def test_the_list_of_sentences_is_that_of_the_sources() -> None:
    """`python -m tests.web.sentences` makes it again."""
    assert PATH.read_text(encoding="utf-8") == text()


def test_chinese_has_words_for_every_sentence_and_for_no_other() -> None:
    assert sentence_words("zh").keys() == {sentence_id(one) for one in templates()}


def test_sentences_with_one_id_differ_in_their_capital_alone() -> None:
    found = {one.lower() for one in templates()}
    assert len({sentence_id(one) for one in found}) == len(found)


def test_a_sentence_is_known_again_with_its_values() -> None:
    known = sentence_words("zh")
    for template in templates():
        places = sorted(set(PLACES.findall(template)))
        given = re.sub(r"\{(\d+)\}", r"value\1", template)
        (piece,) = taken_apart(given)
        assert (piece.message, len(piece.values), piece.rule in known) == (given, len(places), True)
        assert sorted(set(PLACES.findall(known[sentence_id(template)]))) == places, template


def test_a_text_of_several_sentences_is_taken_apart() -> None:
    told = "The ledger /home/a.db is damaged: malformed. Nobody wrote this sentence. Try again later."
    assert [(piece.rule, piece.values) for piece in taken_apart(told) if piece.message.strip()] == [
        ("the_ledger_0_is_damaged_1", ("/home/a.db", "malformed")),
        ("", ()),
        ("try_again_later", ()),
    ]
    assert "".join(piece.message for piece in taken_apart(told)) == told


def test_a_phrase_within_a_sentence_is_taken_apart_as_well() -> None:
    (piece,) = taken_apart("Charge: 3 units.")
    assert piece.values == ((Piece("3 units", "0_units_phrase", ("3",)),),)


def test_what_a_node_shows_while_it_runs_is_taken_apart() -> None:
    line = (
        "waiting for Kling (Kling says: processing) | 0:12 of about 2:30 | up to 3 units (0.42 USD) | task 99"
    )
    assert [piece.rule for piece in taken_apart(line) if piece.rule] == [
        "waiting_for_kling_phrase",
        "kling_says_0_phrase",
        "0_of_about_1_phrase",
        "up_to_0_units_1_2_phrase",
        "task_0_phrase",
    ]


def test_a_broken_limit_within_a_text_keeps_its_rule() -> None:
    broken = Violation("take", "take.range", "take is -1; it may be 0 to 5.")
    told = Told.of(f"Would be refused; nothing would be spent:\n- {broken.message}", [broken])
    assert [(piece.rule, piece.values) for piece in told.said][-1] == ("take.range", ["-1", "0", "5"])
    assert "".join(piece.message for piece in told.said) == told.message


def test_a_very_long_text_is_left_as_it_is() -> None:
    long = "word. " * sentences.TEXT_MAX
    assert [piece.rule for piece in taken_apart(long)] == [""]


def test_prose_that_begins_like_a_short_sentence_is_not_taken_for_it() -> None:
    assert [piece.rule for piece in taken_apart("Task failed due to an internal error.")] == [""]
    assert [piece.rule for piece in taken_apart("Task 8731.")] == ["task_0"]


SPOKEN = ("media/split.py", "media/join.py", "media/joined_sound.py", "jobs/outcome.py", "../nodes/*.py")
NAMES = {"Kling Once", "created (UTC)"}


def test_all_that_nodes_and_what_splits_and_joins_say_has_words() -> None:
    known = set(templates())
    paths = [path for source in SPOKEN for path in (ROOT / "kling_once").glob(source)]
    assert len(paths) > len(SPOKEN)
    said = {one for path in paths for one in texts_of(ast.parse(path.read_text(encoding="utf-8")))}
    assert {one for one in said if " " in one} - known - NAMES == set()


def test_a_report_of_split_has_words_to_its_last_sentence() -> None:
    parts = (Part(Fraction(0), Fraction(25)), Part(Fraction(24), Fraction(20), Fraction(1)))
    report = Division(parts, (12.5,)).report
    assert all(piece.rule for line in report for piece in taken_apart(line) if piece.message.strip())
    assert [piece.values for line in report for piece in taken_apart(line)][:3] == [
        ("1", "0:00-0:25", "25.00"),
        ("2", "0:24-0:44", "20.00"),
        ("2", "1"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Joined 2 of 3 videos: 0:50 (50.00 s).\nPart 2 of 3 is missing: Kling says: no whole body found.",
        "Joined 3 videos: 1:15 (75.00 s).\nThe sound was encoded anew, since it is opus of 48000 Hz.",
        "Every part is missing. Content moderation refused the input.",
        "Pictures and sound were encoded anew, since a b.avi is stored as mjpeg in avi.",
        "Submitted and made once. Sandbox: nothing costs money.\nAt Kling the charge would be: 2 units.",
    ],
)
def test_what_join_and_a_result_say_has_words(text: str) -> None:
    pieces = [piece for piece in taken_apart(text) if piece.message.strip()]
    assert [piece.message for piece in pieces if not piece.rule] == []
    assert "".join(piece.message for piece in taken_apart(text)) == text
