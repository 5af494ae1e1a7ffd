"""The copy of a result that `--out` asks for."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..errors import DownloadBroken, SettingsError
from ..order import VideoFile, VideoFrames

if TYPE_CHECKING:
    from ..order import Order


@dataclass(frozen=True, slots=True)
class Copy:
    """Where a result is copied to.

    Attributes:
        path: a file, or a folder that takes the copy under the kept file's name.
        is_folder: which of the two.
        inputs: files that must not be overwritten, and folders whose content must not.
    """

    path: Path
    is_folder: bool
    inputs: tuple[Path, ...] = ()

    @classmethod
    def of(cls, text: str, order: Order | None = None) -> Self | None:
        """Return what `--out` says, checked before anything is spent; None without it.

        Args:
            text: a file, a folder, or with a slash at its end a folder that may have to be made.
            order: whose inputs are protected.

        Raises:
            SettingsError: there is no folder for the file, or an input would be overwritten.
        """
        if not text:
            return None
        path = Path(text)
        copy = cls(path, text.endswith(("/", os.sep)) or os.path.isdir(path), _inputs_of(order))  # noqa: PTH112 - never raises
        folder = path.absolute().parent
        if not copy.is_folder and not os.path.isdir(folder):  # noqa: PTH112 - never raises
            raise SettingsError(f"There is no folder {folder} to write {path.name} into.")
        if copy.spoils_an_input(path / "result" if copy.is_folder else path):
            raise SettingsError(
                f"{path.name} is an input, and --out would overwrite it. Give another name."
                if not copy.is_folder
                else f"{path.name} is an input, and --out would write into it. Give another folder."
            )
        return copy

    def spoils_an_input(self, target: Path) -> bool:
        """Return whether a file is an input, under whatever name, or lies in a folder that is one."""
        resolved = target.resolve()
        return any(
            resolved == path.resolve() or path.resolve() in resolved.parents or _is_same(target, path)
            for path in self.inputs
        )

    def make(self, kept: Path, task_id: str | None) -> Path:
        """Copy a kept file by atomic rename and return the copy's path.

        Where the copy would lie on the kept file itself, nothing is copied.

        Raises:
            DownloadBroken: it cannot be copied; the message names the kept file.
        """
        from ..files import write_file  # noqa: PLC0415 - keeps --help quick

        shown = self.path / kept.name if self.is_folder else self.path
        try:
            if self.is_folder:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            target = shown.resolve()  # a link goes on to point where it points
            if _is_same(target, kept):
                return shown
            if self.spoils_an_input(target):
                raise FileExistsError(None, "it is an input")
            with kept.open("rb") as source:
                if target.exists() and not target.is_file():  # a pipe or a device is no file to replace
                    with target.open("wb") as sink:
                        shutil.copyfileobj(source, sink)
                else:
                    write_file(target, lambda sink: shutil.copyfileobj(source, sink), private=True)
        except OSError as error:
            raise DownloadBroken(
                f"The result could not be copied to {shown}: {error.strerror or error}.",
                hint=f"It is kept as {kept}.",
                task_id=task_id,
            ) from None
        return shown


def _inputs_of(order: Order | None) -> tuple[Path, ...]:
    if order is None:
        return ()
    found = [order.image]
    if isinstance(order.video, VideoFile):
        found.append(order.video.path)
    elif isinstance(order.video, VideoFrames):
        found.append(getattr(order.video.frames.frames, "folder", None))
    return tuple(path for path in found if isinstance(path, Path))


def _is_same(one: Path, other: Path) -> bool:
    """Return whether two names lead to one file, also through a hard link."""
    try:
        return one.samefile(other)
    except OSError:
        return False
