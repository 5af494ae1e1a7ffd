"""Frames to MP4: ours against ComfyUI's `VideoFromComponents.save_to`, in turn in one run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import contest

GIGABYTE = 1e9


def main() -> None:
    """Print the ratios of each round."""
    asked = contest.options(__doc__ or "")
    with contest.folder() as name:
        for _ in range(asked.rounds):
            found = contest.run("encode", asked.frames, ".mp4", Path(name))
            told = {
                "against": found.against,
                "subject": found.subject,
                "frames": found.ours["frames"],
                "time_ratio": found.core["seconds"] / found.ours["seconds"],
                "cpu_time_ratio": found.core["cpu_seconds"] / found.ours["cpu_seconds"],
                "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
                "core_fps": found.core["frames"] / found.core["seconds"],
                "our_fps": found.ours["frames"] / found.ours["seconds"],
                "psnr_db": found.ours["psnr_db"],
                "core_psnr_db": found.core["psnr_db"],
                "extra_memory_gb": found.ours["peak_bytes"] / GIGABYTE,
                "core_extra_memory_gb": found.core["peak_bytes"] / GIGABYTE,
                "size_ratio": found.ours["size_bytes"] / found.core["size_bytes"],
            }
            print(json.dumps(told) if asked.json else _table(told))


def _table(told: dict) -> str:
    return (
        f"load average {told['load_average']:.1f}, {os.cpu_count()} cores; processor time "
        f"{told['cpu_time_ratio']:.2f} x less\n"
        f"{told['frames']} frames 1920x1080 ({told['subject']}) against {told['against']}\n"
        f"  time          {told['time_ratio']:.2f} x faster ({told['our_fps']:.1f} against "
        f"{told['core_fps']:.1f} fps); bar: 3.2\n"
        f"  PSNR          {told['psnr_db']:.2f} dB against {told['core_psnr_db']:.2f}; bar: 1 dB more\n"
        f"  extra memory  {told['extra_memory_gb']:.2f} GB (theirs {told['core_extra_memory_gb']:.2f}); "
        "bar: 0.3\n"
        f"  file          {told['size_ratio']:.2f} x theirs; bar: 3"
    )


if __name__ == "__main__":
    main()
