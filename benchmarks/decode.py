"""MP4 to frames: ours against ComfyUI's `VideoFromFile.get_components`, in turn in one run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import contest
import numpy as np


def main() -> None:
    """Print the ratios of each round."""
    asked = contest.options(__doc__ or "")
    with contest.folder() as name:
        for _ in range(asked.rounds):
            found = contest.run("decode", asked.frames, ".npy", Path(name))
            core, ours = (np.load(path) for path in (found.core_out, found.our_out))
            difference = np.abs(core - ours) * 255
            told = {
                "against": found.against,
                "subject": found.subject,
                "frames": found.ours["frames"],
                "time_ratio": found.core["seconds"] / found.ours["seconds"],
                "cpu_time_ratio": found.core["cpu_seconds"] / found.ours["cpu_seconds"],
                "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
                "core_fps": found.core["frames"] / found.core["seconds"],
                "our_fps": found.ours["frames"] / found.ours["seconds"],
                "peak_memory_ratio": found.ours["peak_bytes"] / found.ours["tensor_bytes"],
                "core_peak_memory_ratio": found.core["peak_bytes"] / found.core["tensor_bytes"],
                "max_abs_diff": float(difference.max()),
                "mean_abs_diff": float(difference.mean()),
            }
            print(json.dumps(told) if asked.json else _table(told))


def _table(told: dict) -> str:
    return (
        f"load average {told['load_average']:.1f}, {os.cpu_count()} cores; processor time "
        f"{told['cpu_time_ratio']:.2f} x less\n"
        f"{told['frames']} frames 1920x1080 ({told['subject']}) against {told['against']}\n"
        f"  time          {told['time_ratio']:.2f} x faster ({told['our_fps']:.1f} against "
        f"{told['core_fps']:.1f} fps); bar: 5\n"
        f"  peak memory   {told['peak_memory_ratio']:.3f} x the tensor (theirs "
        f"{told['core_peak_memory_ratio']:.2f}); bar: 1.05\n"
        f"  difference    {told['max_abs_diff']:.2f}/255 at most, {told['mean_abs_diff']:.3f}/255 on average;"
        " bars: 2 and 0.5"
    )


if __name__ == "__main__":
    main()
