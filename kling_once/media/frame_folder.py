"""A folder of pictures as frames that are read one at a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputChanged, UnreadableMedia
from .picture import rgb_pixels
from .source import changed, copy_file

if TYPE_CHECKING:
    from pathlib import Path

    from .types import Stop

ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})


class FrameFolder:
    """Frames of shape (T, H, W, 3), float32 in 0..1, in the natural order of their file names."""

    def __init__(self, paths: tuple[Path, ...], shape: tuple[int, int, int, int]) -> None:
        self._paths = paths
        self.shape = shape

    @classmethod
    def open(cls, folder: Path) -> FrameFolder:
        """Return the pictures of a folder as frames; only the first is read, for the size.

        Raises:
            UnreadableMedia: No folder, no pictures in it, or the first cannot be read.
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
        """Return the folder that holds the pictures."""
        return self._paths[0].parent

    def copy_to(self, folder: Path, *, stop: Stop | None = None) -> FrameFolder:
        """Copy the pictures into an existing folder under their own names, reading each once.

        Copies that were made are left there on failure.

        Returns:
            The same frames, read from the copies.

        Raises:
            UnreadableMedia: A picture cannot be opened or read.
            InputChanged: A picture was written meanwhile.
            DiskFull: There is no room for the copies.
        """
        copies = tuple(folder / path.name for path in self._paths)
        for path, copy in zip(self._paths, copies, strict=True):
            try:
                copy_file(path, copy, stop=stop)
            except InputChanged as error:
                raise changed(self.folder.name) from error
        return FrameFolder(copies, self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice) -> Any:
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
