"""A folder of pictures as frames that are read one at a time."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputChanged, UnreadableMedia
from .picture import ON_WHITE, open_picture, read_picture, rgb_of, rgb_pixels
from .profile import conversion_of
from .source import changed, copy_file

if TYPE_CHECKING:
    from pathlib import Path

    from .types import Stop

_NUMBER: Final = re.compile(r"(?P<before>.*?)(?P<number>\d+)\D*", re.DOTALL)
_SHOWN_GAPS: Final = 5
ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})


class FrameFolder:
    """Frames of shape (T, H, W, 3), float32 in 0..1, in the natural order of their file names."""

    def __init__(
        self, paths: tuple[Path, ...], shape: tuple[int, int, int, int], report: tuple[str, ...] = ()
    ) -> None:
        self._paths = paths
        self.shape = shape
        self.report = report
        """One sentence for each thing that is done to the colours of the first picture, and so of all."""

    @classmethod
    def open(cls, folder: Path, *, may_have_gaps: bool = False) -> FrameFolder:
        """Return the pictures of a folder as frames; only the first is read, for the size and the colours.

        What macOS writes beside a picture (`._name`) is none.

        Raises:
            UnreadableMedia: No folder, no pictures in it, or the first cannot be read; or numbers are missing
                from the names, unless it `may_have_gaps`.
        """
        try:
            found = [
                path
                for path in folder.iterdir()
                if path.suffix.lower() in ENDINGS and not path.name.startswith("._")
            ]
        except OSError as error:
            raise UnreadableMedia(f"The folder {folder.name} cannot be read: {error.strerror}.") from None
        if not found:
            raise UnreadableMedia(
                f"The folder {folder.name} holds no pictures.",
                hint="Give a folder of PNG or JPEG frames, named in order.",
            )
        paths = tuple(sorted(found, key=_natural))
        if not may_have_gaps and (gaps := _gaps(paths)):
            more = f" and {len(gaps) - _SHOWN_GAPS} more gaps" if len(gaps) > _SHOWN_GAPS else ""
            raise UnreadableMedia(
                f"The folder {folder.name} lacks frames: {', '.join(gaps[:_SHOWN_GAPS])}{more}, so the motion"
                " would jump.",
                hint="Export the missing frames, or say that they are meant to be missing: --gaps keep.",
            )
        first = read_picture(paths[0])
        with open_picture(first) as image:
            conversion = conversion_of(image)
            report = [] if conversion is None else [conversion.sentence]
            if image.has_transparency_data:
                report.append(ON_WHITE)
            height, width = rgb_of(first, image, conversion).shape[:2]
        return cls(paths, (len(paths), height, width, 3), tuple(report))

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
        return FrameFolder(copies, self.shape, self.report)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            part = self._paths[index]
            return FrameFolder(part, (len(part), *self.shape[1:]), self.report)
        pixels = rgb_pixels(self._paths[index])
        if pixels.shape != self.shape[1:]:
            raise UnreadableMedia(
                f"Frame {self._paths[index].name} is {pixels.shape[1]} x {pixels.shape[0]} px; the first one"
                f" is {self.shape[2]} x {self.shape[1]} px.",
                hint="All frames must have the same size.",
            )
        return pixels.astype(np.float32) / 255


def _gaps(paths: tuple[Path, ...]) -> list[str]:
    """Return the numbers that are missing between the first and the last, such as "10 to 34".

    The number is the last one in a name. Every second or fifth frame is no gap, and names whose numbers
    follow no step, such as times, have none.
    """
    found = [_NUMBER.fullmatch(path.stem) for path in paths]
    named = [(match["before"], int(match["number"])) for match in found if match]
    steps = [later[1] - one[1] for one, later in pairwise(named) if one[0] == later[0]]
    if len(named) < len(paths) or not steps:
        return []
    step, count = Counter(steps).most_common(1)[0]
    if step < 1 or count * 2 < len(steps):
        return []
    gaps = []
    for (before, one), (other, later) in pairwise(named):
        if before == other and later - one > step:
            first, last = one + step, later - step
            gaps.append(f"{first}" if first >= last else f"{first} to {last}")
    return gaps


def _natural(path: Path) -> list[Any]:
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
