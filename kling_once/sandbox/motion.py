"""The reference video as small pictures, one for each moment of the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import av.error

from .planar import to_yuv, turned

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from .backdrop import Stage

SHARE: Final = 0.55


class Motion:
    """Walk through the clip; `inset` is the picture shown at the moment last asked for.

    A clip that ends early or cannot be read on keeps its last picture. Memory holds two pictures.
    """

    def __init__(self, container: Any, stage: Stage) -> None:
        stream = container.streams.best("video")
        stream.thread_type = "AUTO"
        self._stage = stage
        self._frames = _decode(container, stream)
        self._ahead: Any = next(self._frames, None)
        self._start = 0.0 if self._ahead is None else self._ahead.time or 0.0
        self.inset: npt.NDArray[np.uint8] | None = None

    def advance(self, moment: float) -> None:
        """Show the last picture that begins at or before `moment` seconds."""
        shown = None
        while self._ahead is not None and (self._ahead.time or 0.0) - self._start <= moment + 1e-6:
            shown, self._ahead = self._ahead, next(self._frames, None)
        if shown is not None:
            self.inset = self._small(shown)

    def _small(self, frame: Any) -> npt.NDArray[np.uint8]:
        turns = round((frame.rotation or 0) / 90) % 4
        width, height = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
        scale = min(self._stage.width * SHARE / width, self._stage.height * SHARE / height)
        width, height = max(2, int(width * scale) // 4 * 4), max(2, int(height * scale) // 4 * 4)
        if turns % 2:
            width, height = height, width
        small = to_yuv(frame, width, height)
        return turned(small, width, height, turns) if turns else small


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    try:
        yield from container.decode(stream)
    except av.error.FFmpegError:
        return
