"""The inputs of `kling-once demo` and of the example workflows; `examples/draw_demo.py` makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
CHARACTER: Final = FOLDER / "character.png"
MOTION: Final = FOLDER / "motion.mp4"
LONG_MOTION: Final = FOLDER / "long_motion.mp4"
"""75 s, longer than Kling takes at once."""
