"""Names of results: short, and possible on every system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.clock import SystemClock
from kling_once.ledger.job import JobLabel
from kling_once.order import Service
from kling_once.results.store import ResultStore, safe_name

if TYPE_CHECKING:
    from pathlib import Path

KEY = "v1" + "0123456789abcdef" * 4
AWKWARD = [
    "plain",
    "with space and (brackets)",
    'a<b>c:d"e/f\\g|h?i*j',
    "..",
    "../../etc/passwd",
    "...",
    "trailing. . .",
    "CON",
    "con.mp4",
    "nul",
    "LPT1",
    "Ünïcödé",
    "人物と動き",
    "🎬🎬🎬",
    "e\u0301galite\u0301",
    "tab\tnew\nline\0nul",
    "x" * 300,
    "人" * 300,
    "🎬" * 300,
    "",
]


def label(**changes: Any) -> JobLabel:
    known: dict[str, Any] = {
        "key": KEY,
        "service": Service.KLING,
        "project": "",
        "image_name": "figure",
        "video_name": "walk",
        "take": 0,
    }
    return JobLabel(**(known | changes))


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results", SystemClock())


@pytest.mark.parametrize("text", AWKWARD)
@pytest.mark.parametrize("service", list(Service))
def test_a_name_is_possible_everywhere_and_at_most_80_characters(
    text: str, service: Service, store: ResultStore
) -> None:
    name = (
        store.name_of(label(image_name=text, video_name=text, service=service, take=2_000_000_000)) + ".mp4"
    )

    assert len(name) <= 80
    assert len((name.removesuffix(".mp4") + f"_999.mp4.{'h' * 40}-4194304-01234567.part").encode()) <= 255
    assert not set(name) & set('<>:"/\\|?*\0\n\t ')
    assert name == name.strip(". ")
    assert name.endswith("_01234567.mp4")
    assert name.partition(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT1"}
    store.folder_of(label()).mkdir(parents=True, exist_ok=True)
    (store.folder_of(label()) / name).write_bytes(b"")


@pytest.mark.parametrize("text", AWKWARD)
def test_a_project_never_leads_out_of_the_results_folder(text: str, store: ResultStore) -> None:
    folder = store.folder_of(label(project=text))

    folder.mkdir(parents=True, exist_ok=True)
    assert folder.resolve().is_relative_to(store.root.resolve())
    assert folder.parent in {store.root, store.root.parent}
    assert folder.name.upper() not in {"CON", "NUL", "LPT1"}


def test_the_name_says_what_it_is_of(store: ResultStore) -> None:
    assert store.name_of(label(take=3)) == "figure_walk_t3_01234567"
    assert store.folder_of(label(project="film")) == store.root / "film"


def test_results_of_the_sandbox_lie_apart_and_are_marked(store: ResultStore) -> None:
    of_sandbox = label(service=Service.SANDBOX)

    assert store.name_of(of_sandbox) == "SANDBOX_figure_walk_t0_01234567"
    assert store.folder_of(of_sandbox) == store.root / "sandbox"


def test_names_keep_the_letters_of_other_languages() -> None:
    assert safe_name("人物 と 動き", 24) == "人物_と_動き"
    assert safe_name("e\u0301te\u0301", 24) == "été"


def test_a_file_of_somebody_elses_is_not_written_over(
    engine: Any, sandbox: Any, order: Any, results: Path
) -> None:
    expected = results / "sandbox" / (engine.store.name_of(_label_of(engine, order())) + ".mp4")
    expected.parent.mkdir(parents=True)
    expected.write_text("a file of somebody else's")

    outcome = engine.run(order()).result(30)

    assert expected.read_text() == "a file of somebody else's"
    assert outcome.path.name == expected.name.replace(".mp4", "_2.mp4")


def _label_of(engine: Any, order: Any) -> JobLabel:
    checked = engine.check(order).result(30)
    names = order.shown_image_name, order.shown_video_name
    return JobLabel(checked.job_key, order.service, order.project, *names, order.motion.take)
