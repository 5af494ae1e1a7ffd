"""Where clips are made to fit: once for all orders that need the same, and gone with their last user."""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..ledger.leases import Owner
from ..media.source import check_stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import Violation
    from ..hosting.media_host import HostedFile
    from ..ledger.job import Job
    from ..media.types import ConformedClip, Stop

ClipKey: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MadeClip:
    """A reference video as it would be sent, or why it cannot be."""

    conformed: ConformedClip | None
    violations: tuple[Violation, ...]
    hosted: HostedFile | None = None


@dataclass(eq=False)
class WorkPlace:
    """A folder for one clip as orders of one kind need it; it appears with the first file."""

    folder: Path
    key: ClipKey | None
    users: int = 0
    made: MadeClip | None = None
    _making: threading.Lock = field(default_factory=threading.Lock)

    def clip(self, make: Callable[[], MadeClip], stop: Stop | None) -> MadeClip:
        """Return what was made here, or make it; whoever comes meanwhile waits, unless `stop` says so."""
        while not self._making.acquire(timeout=0.1):
            check_stop(stop)
        try:
            if self.made is not None:
                return self.made
            made = make()
            self.made = made if made.conformed is not None else None
            return made
        finally:
            self._making.release()

    def forget(self) -> None:
        """Let nobody use again what was made here: its source changed while it was read."""
        self.made = None


def clip_key(job: Job) -> ClipKey:
    """Return all that decides what a job's clip is made into."""
    order = job.order
    return (job.video_digest, order.motion.character_orientation, order.conform.value, order.cuts.value)


class WorkPlaces:
    """The folders of one process, under `<home>/work`.

    The one that was used last stays until another takes its place: a check and the run after it make the
    clip once. What a killed process left goes when the next one takes its first place.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._owner: Owner | None = None
        self._root: Path | None = None
        self._places: dict[ClipKey, WorkPlace] = {}
        self._count = 0

    def take(self, key: ClipKey | None) -> WorkPlace:
        """Return the place of a key, or one that nobody else gets; blocking. Give it back with `leave`."""
        with self._lock:
            root = self._root = self._root or self._opened()
            place = self._places.get(key) if key is not None else None
            if place is None:
                self._count += 1
                place = WorkPlace(root / str(self._count), key)
                if key is not None:
                    self._places[key] = place
            place.users += 1
            return place

    def leave(self, place: WorkPlace) -> None:
        """Let go of a place; blocking. Its files go, unless others use it or it is the last one used."""
        with self._lock:
            place.users -= 1
            if place.users:
                return
            gone = [place]
            if place.key is not None and place.made is not None:
                gone = [other for other in self._places.values() if not other.users and other is not place]
            for other in gone:
                if other.key is not None:
                    self._places.pop(other.key, None)
                shutil.rmtree(other.folder, ignore_errors=True)

    def close(self) -> None:
        """Remove everything; blocking."""
        with self._lock:
            if self._root is not None:
                shutil.rmtree(self._root, ignore_errors=True)
            if self._owner is not None:
                self._owner.close()
            self._owner = self._root = None
            self._places.clear()

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
