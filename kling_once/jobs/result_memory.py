"""Whether a result's frames will fit into memory, known before it is bought."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from ..api.limits import Mode
from ..media.memory import require_memory

if TYPE_CHECKING:
    from decimal import Decimal

    from ..order import Spender

FRAMES_PER_SECOND: Final = 30
"""What Kling delivers (seen in every result so far)."""
PIXELS: Final = {Mode.STD.value: 1280 * 720, Mode.PRO.value: 1920 * 1080}
"""About the same for every shape of picture."""
BYTES_PER_PIXEL: Final = 12
"""Three channels of float32."""


class ComingFrames:
    """Frames that will be decoded, by prompt, node and job: those of one prompt are in memory together."""

    def __init__(self) -> None:
        self._frames: dict[tuple[Spender, str], tuple[int, int]] = {}

    def count(self, spender: Spender, job_key: str, mode: str, seconds: Decimal) -> None:
        """Write down what a node decodes: all of its items, of which `job_key` is one."""
        frames = math.ceil(float(seconds) * FRAMES_PER_SECOND)
        pixels = PIXELS.get(mode, max(PIXELS.values()))
        self._frames[spender, job_key] = (frames * pixels * BYTES_PER_PIXEL, frames)

    def forget(self, spender: Spender, job_key: str) -> None:
        """Take a job out that has ended: what is decoded of it, free memory tells."""
        self._frames.pop((spender, job_key), None)

    def require_memory(self, prompt_id: str) -> None:
        """Pass when the frames of all of a prompt's nodes would fit.

        Raises:
            NotEnoughMemory: with the numbers; nothing was submitted.
        """
        nodes: dict[str, tuple[int, int]] = {}
        for (spender, _job_key), found in self._frames.copy().items():
            if spender.prompt_id == prompt_id:
                nodes[spender.node_id] = max(found, nodes.get(spender.node_id, (0, 0)))
        require_memory(
            sum(size_bytes for size_bytes, _frames in nodes.values()),
            f"The {sum(frames for _size, frames in nodes.values())} frames of this prompt's results",
            "Nothing was submitted. Leave the frames output unwired and take the video output:"
            " Kling Once Video Frames picks fewer or smaller frames from it.",
        )


COMING: Final = ComingFrames()
"""One for the process: its memory is one."""
