"""A folder of pictures as frames, read one at a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from ..errors import UnreadableMedia
from .picture import rgb_pixels

if TYPE_CHECKING:
    from pathlib import Path

ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})


class FrameFolder:
    """Frames of shape (T, H, W, 3), float32 in 0..1, in the natural order of their file names."""

    def __init__(self, paths: tuple[Path, ...], shape: tuple[int, int, int, int]) -> None:
        self._paths = paths
        self.shape = shape

    @classmethod
    def open(cls, folder: Path) -> FrameFolder:
        """Look at a folder's first picture; the others are read when they are asked for.

        Raises:
            UnreadableMedia: no folder, or no pictures in it.
        """
        try:
            found = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS]
        except OSError as error:
            raise UnreadableMedia(f"The folder {folder.name} cannot be read: {error.strerror}.") from None
        if not found:
            raise UnreadableMedia(
                f"The folder {folder.name} holds no pictures.",
                hint="Give a folder of PNG or JPEG frames, named in order.",
            )
        paths = tuple(sorted(found, key=_natural))
        height, width = rgb_pixels(paths[0]).shape[:2]
        return cls(paths, (len(paths), height, width, 3))

    @property
    def folder(self) -> Path:
        """Return where the frames lie."""
        return self._paths[0].parent

    def __len__(self) -> int:
        return self.shape[0]

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> FrameFolder: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | FrameFolder:
        if isinstance(index, slice):
            part = self._paths[index]
            return FrameFolder(part, (len(part), *self.shape[1:]))
        pixels = rgb_pixels(self._paths[index])
        if pixels.shape != self.shape[1:]:
            raise UnreadableMedia(
                f"Frame {self._paths[index].name} is {pixels.shape[1]} x {pixels.shape[0]} px; the first one"
                f" is {self.shape[2]} x {self.shape[1]} px.",
                hint="All frames must have the same size.",
            )
        return pixels.astype(np.float32) / 255


def _natural(path: Path) -> list[Any]:
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
