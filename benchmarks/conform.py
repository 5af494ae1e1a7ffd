"""Memory and time of conforming a 30 s 1080p clip: re-encoded, and already fitting."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import contest
import subject
from peak import watched

HERE = Path(__file__).resolve().parent
MEGABYTE = 1e6


def main() -> None:
    """Run each case in a fresh process and print what it took."""
    if len(sys.argv) > 2 and sys.argv[1] == "case":  # noqa: PLR2004 - "case" and a path
        print(json.dumps(_measured(Path(sys.argv[2]), sys.argv[3])))
        return
    asked = contest.options(__doc__ or "")
    with contest.folder() as name:
        clip = Path(name) / "subject.mp4"
        subject.make(clip, max(asked.frames, 897))
        told = {case: contest.case(HERE / "conform.py", clip, case) for case in ("reencode", "fits")}
    if asked.json:
        print(json.dumps(told))
        return
    for case, bar in (("reencode", 250), ("fits", 60)):
        found = told[case]
        print(f"{case:9} {found['added_mb']:6.0f} MB added (bar {bar}), {found['seconds']:.1f} s")


def _measured(clip: Path, case: str) -> dict[str, float]:
    sys.path.insert(0, str(HERE.parent))
    from kling_once.media.conform import conform_clip  # noqa: PLC0415 - after the path is set
    from kling_once.media.types import ClipBounds, ConformMode  # noqa: PLC0415

    most_px = 3850 if case == "fits" else 1900  # a smaller limit makes a re-encode at nearly full size
    bounds = ClipBounds(3, 30, 340, most_px, 100_000_000, "video")
    with watched() as peak:
        began = time.perf_counter()
        made = conform_clip(clip, clip.parent / "out", bounds, mode=ConformMode.AUTO)
        seconds = time.perf_counter() - began
    if made.violations or made.is_original != (case == "fits"):
        sys.exit(f"unexpected: {made}")
    return {"added_mb": peak.added_bytes / MEGABYTE, "seconds": seconds}


if __name__ == "__main__":
    main()
