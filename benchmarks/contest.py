"""Both sides in turn on the same clip, each in a fresh process."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfyui
import subject

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    frames: int
    rounds: int
    json: bool


@dataclass(frozen=True)
class Round:
    """What both sides reported, and where they wrote to."""

    against: str
    subject: str
    core: dict[str, Any]
    ours: dict[str, Any]
    core_out: Path
    our_out: Path


def options(description: str) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--frames", type=int, default=300, help="length of the clip at 30 fps")
    parser.add_argument("--rounds", type=int, default=1, help="how often both sides run")
    parser.add_argument("--json", action="store_true", help="print one JSON object a round")
    known = parser.parse_args()
    return Options(known.frames, known.rounds, known.json)


def run(work: str, frames: int, suffix: str, folder: Path) -> Round:
    """Run core's side, then ours."""
    clip = folder / "subject.mp4"
    shows = subject.make(clip, frames) if not clip.exists() else (folder / "shows").read_text()
    (folder / "shows").write_text(shows)
    host = comfyui.find()
    core_out, our_out = folder / f"core{suffix}", folder / f"ours{suffix}"
    if host is None:
        against = "the plain PyAV loop (no ComfyUI found)"
        core = _side("loop", work, clip, core_out, Path(sys.executable), HERE)
    else:
        against = f"ComfyUI {host.version}"
        core = _side("core", work, clip, core_out, host.python, host.folder)
    ours = _side("ours", work, clip, our_out, Path(sys.executable), HERE)
    return Round(against, shows, core, ours, core_out, our_out)


def _side(name: str, work: str, clip: Path, out: Path, python: Path, folder: Path) -> dict[str, Any]:
    command = [str(python), str(HERE / "side.py"), name, work, str(clip), str(out)]
    if hasattr(os, "sync"):
        os.sync()  # what the side before wrote is not written while this one's clock runs
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def case(script: Path, clip: Path, name: str) -> dict[str, float]:
    """Return what `script case CLIP NAME` measured in a fresh process."""
    command = [sys.executable, str(script), "case", str(clip), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def folder() -> tempfile.TemporaryDirectory[str]:
    """Return a scratch folder that goes away by itself."""
    return tempfile.TemporaryDirectory(prefix="kling-once-benchmark-")
