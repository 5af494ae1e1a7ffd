"""Where ComfyUI and its interpreter are, if anywhere."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ComfyUI:
    """A checkout and the interpreter that runs it."""

    folder: Path
    python: Path
    version: str


def find() -> ComfyUI | None:
    """Look in COMFYUI_PATH, then ~/comfy/ComfyUI, then the folder that holds this pack."""
    pack = Path(__file__).resolve().parent.parent
    named = os.environ.get("COMFYUI_PATH")
    folders = [Path(named)] if named else [Path.home() / "comfy" / "ComfyUI", pack.parent.parent]
    for folder in folders:
        if (folder / "comfy_api").is_dir() and (folder / "main.py").is_file():
            return ComfyUI(folder, _python(folder), _version(folder))
    return None


def _python(folder: Path) -> Path:
    named = os.environ.get("COMFYUI_PYTHON")
    inside = (
        folder / name / path
        for name in (".venv", "venv")
        for path in (Path("bin/python"), Path("Scripts/python.exe"))
    )
    return Path(named) if named else next((path for path in inside if path.exists()), Path(sys.executable))


def _version(folder: Path) -> str:
    for line in (folder / "comfyui_version.py").read_text().splitlines():
        if line.startswith("__version__"):
            return line.split('"')[1]
    return "unknown"
