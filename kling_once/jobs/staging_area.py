"""The private folders that staged clips lie in: shared, kept for the next order, and swept after a kill."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from ..concurrency import SingleFlight
from ..ledger.leases import Owner
from ..media.survey import survey_clip

if TYPE_CHECKING:
    from ..errors import Violation
    from ..hosting.media_host import HostedFile
    from ..media.digest import ClipCopy
    from ..media.survey import Survey
    from ..media.types import ConformedClip, Stop
    from ..order import VideoFile, VideoFrames

REMEMBERED_CLIPS: Final = 64
ClipKey: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FittedClip:
    """A reference video as it would be sent, or why it cannot be."""

    conformed: ConformedClip | None
    violations: tuple[Violation, ...]
    hosted: HostedFile | None = None
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class StagedClip:
    """A folder with a staged reference video; orders that need the same one made to fit alike share it."""

    folder: Path
    key: ClipKey | None = None
    video: VideoFile | VideoFrames | None = None
    """What lies in the folder; None for frames in memory, which stay with their order."""
    copied: ClipCopy | None = None
    """The copy of a file."""
    users: int = 0
    fitted: FittedClip | None = None


class StagingArea:
    """The staged clips of one process, under `<home>/work`.

    The clip that was used last stays until another takes its place: a check and the run after it make it fit
    once. What a killed process left is removed when the next one stages its first input.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._owner: Owner | None = None
        self._root: Path | None = None
        self._clips: dict[ClipKey, StagedClip] = {}
        self._count = 0
        self._surveys: OrderedDict[str, Survey] = OrderedDict()
        self.fitting = SingleFlight()

    def new_folder(self) -> Path:
        """Return a new private folder; blocking."""
        with self._lock:
            root = self._root = self._root or self._opened()
            self._count += 1
            folder = root / str(self._count)
        folder.mkdir(mode=0o700)
        return folder

    def share(self, clip: StagedClip) -> StagedClip:
        """Return the clip that is staged under the same key, `clip` itself where there is none; blocking.

        Every call needs its `leave`. A folder that is not needed is removed.
        """
        with self._lock:
            shared = clip if clip.key is None else self._clips.setdefault(clip.key, clip)
            shared.users += 1
        if shared is not clip:
            shutil.rmtree(clip.folder, ignore_errors=True)
        return shared

    def leave(self, clip: StagedClip) -> None:
        """Let go of a clip; blocking. Its files go, unless others use it or it is the one used last."""
        with self._lock:
            clip.users -= 1
            if clip.users:
                return
            gone = [clip]
            if clip.key is not None and clip.fitted is not None and clip.fitted.conformed is not None:
                gone = [other for other in self._clips.values() if not other.users and other is not clip]
            for other in gone:
                if other.key is not None:
                    self._clips.pop(other.key, None)
                shutil.rmtree(other.folder, ignore_errors=True)

    async def let_go(self, clip: StagedClip) -> None:
        """Let go of a clip in a thread, whatever becomes of the caller."""
        await asyncio.shield(asyncio.to_thread(self.leave, clip))

    def survey_of(self, clip: HostedFile, stop: Stop | None) -> Survey:
        """Return what a clip's frames show, looked at once for each content; blocking."""
        survey = self._surveys.get(clip.digest)
        if survey is None:
            survey = self._surveys[clip.digest] = survey_clip(clip.path, stop=stop)
            while len(self._surveys) > REMEMBERED_CLIPS:
                self._surveys.popitem(last=False)
        return survey

    def close(self) -> None:
        """Remove everything; blocking."""
        with self._lock:
            if self._root is not None:
                shutil.rmtree(self._root, ignore_errors=True)
            if self._owner is not None:
                self._owner.close()
            self._owner = self._root = None
            self._clips.clear()

    def _opened(self) -> Path:
        work = self._home / "work"
        try:
            self._owner = Owner(work)
            for folder in work.iterdir():
                if folder.is_dir() and self._owner.is_dead(folder.name):
                    shutil.rmtree(folder, ignore_errors=True)
            root = work / self._owner.name
            root.mkdir(mode=0o700)
        except (OSError, NotImplementedError):  # the ledger says what is wrong with the home
            return Path(tempfile.mkdtemp(prefix="kling-once-"))
        return root
