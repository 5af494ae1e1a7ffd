"""The inputs of `kling-once demo`; `examples/draw_demo.py` makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
CHARACTER: Final = FOLDER / "character.png"
MOTION: Final = FOLDER / "motion.mp4"
