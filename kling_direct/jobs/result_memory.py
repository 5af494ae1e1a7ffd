"""Whether a result's frames will fit into memory, known before it is bought."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from ..api.limits import Mode
from ..media.memory import require_memory

if TYPE_CHECKING:
    from decimal import Decimal

FRAMES_PER_SECOND: Final = 30
"""What Kling delivers (seen in every result so far)."""
PIXELS: Final = {Mode.STD.value: 1280 * 720, Mode.PRO.value: 1920 * 1080}
"""About the same for every shape of picture."""
BYTES_PER_PIXEL: Final = 12
"""Three channels of float32."""


def require_memory_for_result(mode: str, seconds: Decimal) -> None:
    """Pass when the frames of a result of this length would fit.

    Raises:
        NotEnoughMemory: with the numbers; nothing was submitted.
    """
    frames = math.ceil(float(seconds) * FRAMES_PER_SECOND)
    pixels = PIXELS.get(mode, max(PIXELS.values()))
    require_memory(
        frames * pixels * BYTES_PER_PIXEL,
        f"The result's {frames} frames",
        "Nothing was submitted. Leave the frames output unwired and take the video output:"
        " Kling Direct Video Frames picks fewer or smaller frames from it.",
    )
