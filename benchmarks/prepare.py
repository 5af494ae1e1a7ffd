"""What colour, privacy and camera checks add to preparing an order with a 30 s 1080p clip that fits."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Self

import contest
import subject

HERE = Path(__file__).resolve().parent
CASES = ("all", "without colours, privacy, camera")
MEASURES = ("processor_seconds", "seconds")
BAR = 1.1
FRAMES = 897


def main() -> None:
    """Run both cases in turn, each in a fresh process, and print the ratio of the quickest runs."""
    if len(sys.argv) > 2 and sys.argv[1] == "case":  # noqa: PLR2004 - "case" and a path
        print(json.dumps(asyncio.run(_measured(Path(sys.argv[2]), has_all=sys.argv[3] == CASES[0]))))
        return
    asked = contest.options(__doc__ or "")
    with contest.folder() as name:
        clip = Path(name) / "subject.mp4"
        subject.make(clip, max(asked.frames, FRAMES))
        rounds = [
            [contest.case(HERE / "prepare.py", clip, case) for case in CASES]
            for _ in range(max(3, asked.rounds))
        ]
    best = {
        what: [min(one[what] for one in column) for column in zip(*rounds, strict=True)] for what in MEASURES
    }
    if asked.json:
        print(json.dumps(best))
        return
    for what, (checked, bare) in best.items():
        print(f"{what:17} {checked:.2f} s, {bare:.2f} s {CASES[1]}: {checked / bare:.3f} (bar {BAR})")


async def _measured(clip: Path, *, has_all: bool) -> dict[str, float]:
    sys.path.insert(0, str(HERE.parent))
    from kling_once.demo import CHARACTER  # noqa: PLC0415 - after the path is set
    from kling_once.jobs.services import MediaThreads  # noqa: PLC0415
    from kling_once.jobs.staging import stage  # noqa: PLC0415
    from kling_once.jobs.staging_area import StagingArea  # noqa: PLC0415
    from kling_once.order import Order, VideoFile  # noqa: PLC0415

    if not has_all:
        _switch_off()
    media, area = MediaThreads(), StagingArea(clip.parent / "home")
    began, worked = time.perf_counter(), time.process_time()
    staged = await stage(Order(CHARACTER, VideoFile(clip)), "embedded", area, media)
    await staged.fit(media, generation="standard", china=False)
    told = {"processor_seconds": time.process_time() - worked, "seconds": time.perf_counter() - began}
    if staged.hosted is None:
        sys.exit(f"unexpected: {staged.violations}")
    media.close()
    area.close()
    return told


def _switch_off() -> None:
    from kling_once.media import conform_picture, plan, probe, survey  # noqa: PLC0415

    def nothing(*_: Any, **__: Any) -> Any:
        return ()

    survey.CameraTracker = _NoCamera
    probe.private_parts = nothing
    probe.container_colors = nothing
    plan.leaves_matrix_open = nothing  # type: ignore[assignment]
    conform_picture.conversion_of = lambda _image: None


class _NoCamera:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, *_: Any) -> None:
        pass

    def moves(self, **_: Any) -> tuple[()]:
        return ()


if __name__ == "__main__":
    main()
