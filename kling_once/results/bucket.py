"""Results in a bucket that several machines share, with a cache of the newest ones on this disk."""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import obstore

from ..concurrency import in_daemon_thread
from ..errors import DownloadBroken, HostingError
from ..files import digest_of, write_file
from ..hosting.object_store import STORE_FAILURES, StoreAddress, open_store, store_error
from .store import KeptFile, ResultStore, Sidecar, read_sidecar, safe_name

if TYPE_CHECKING:
    from ..clock import Clock
    from ..ledger.attempts import Attempt
    from ..ledger.job import JobLabel

logger = logging.getLogger(__name__)

JOBS: Final = "jobs"
"""The folder of the bucket that holds what is known of each job, by job key."""
PART_BYTES: Final = 8 * 2**20
SETTING: Final = "KLING_ONCE_RESULTS"


class StoredSidecar(Sidecar, frozen=True):
    """What is known of a result in the bucket, under its job key."""

    object_key: str
    relative: str
    """Where it lies in a cache."""


class BucketStore(ResultStore):
    """Results in a bucket. A result is kept once video and sidecar are there; the folder is a cache."""

    def __init__(self, url: str, cache: Path, cache_bytes: int, clock: Clock) -> None:
        """Parse the address; the bucket is not contacted yet.

        Args:
            url: `s3://bucket/prefix`, `gs://` or `az://`.
            cache: a folder of this machine.
            cache_bytes: beyond it the oldest videos leave the cache.
            clock: waits for files that are held open.

        Raises:
            SettingsError: it is no address of a bucket.
        """
        super().__init__(cache, clock)
        self._address = StoreAddress.parse(url, SETTING)
        self._cache_bytes = cache_bytes
        self._store: Any = None

    def describe(self) -> str:
        """Return what reports say of the bucket, once it has answered; blocking.

        Raises:
            HostingError: it does not.
        """
        self._asked("Listing results", lambda: self._listed("none"))
        return (
            f"{self._address}/{self._address.prefix}, cache {self.root} up to {self._cache_bytes / 1e9:g} GB"
        )

    async def keep(self, label: JobLabel, part: Path, sidecar: Sidecar) -> KeptFile:
        """Put a finished download into the bucket, then into the cache, and return where it is.

        Raises:
            DownloadBroken: the bucket does not take it; the task can be collected again.
        """
        try:
            await in_daemon_thread(self._upload, label, part, sidecar)
        except HostingError as error:
            raise DownloadBroken(
                f"The result could not be kept: {error.message}",
                hint=f"{error.hint} Then run again: the video is paid and stays collectable.",
                task_id=sidecar.task_id,
            ) from None
        kept = await super().keep(label, part, sidecar)
        await in_daemon_thread(self._evict, self.path(kept.relative))
        return kept

    def find_kept(self, job_key: str, task_id: str | None = None) -> tuple[KeptFile, Sidecar] | None:
        """Return a job's result, of this task or of any; from the bucket, it is fetched into the cache.

        Raises:
            HostingError: the bucket does not answer, so that nothing may be bought.
        """
        return super().find_kept(job_key, task_id) or self._asked(
            "Looking for the result", lambda: self._fetch(job_key, task_id)
        )

    def forget(self, attempt: Attempt) -> list[str]:
        """Delete an attempt's video and its sidecar from the bucket and the cache; return what was deleted.

        Raises:
            HostingError: the bucket does not answer.
        """

        def remove() -> list[str]:
            gone = []
            for name, known in self._sidecars(attempt.job_key):
                if known.task_id == attempt.task_id:
                    obstore.delete(self._opened(), [known.object_key, name])
                    gone.append(known.object_key)
            return gone

        return [*self._asked("Deleting the result", remove), *super().forget(attempt)]

    def _upload(self, label: JobLabel, part: Path, sidecar: Sidecar) -> None:
        """Put video and sidecar into the bucket, in this order: a sidecar without a video would lie."""
        folder = self.folder_of(label).relative_to(self.root).as_posix()
        name = f"{self.name_of(label)}_{safe_name(sidecar.task_id, 128)}.mp4"
        relative = PurePosixPath(folder, f"{self.name_of(label)}.mp4").as_posix()
        with part.open("rb") as file:
            digest = digest_of(file)
        stored = StoredSidecar(
            **sidecar.model_dump(exclude={"digest", "size_bytes"}),
            digest=digest,
            size_bytes=part.stat().st_size,
            object_key=f"{self._address.prefix}{PurePosixPath(folder, name)}",
            relative=relative,
        )

        def put() -> None:
            store = self._opened()
            with part.open("rb") as file:
                attributes = {"Content-Type": "video/mp4"}
                obstore.put(store, stored.object_key, file, attributes=attributes, chunk_size=PART_BYTES)
            text = stored.model_dump_json(indent=1).encode()
            obstore.put(store, f"{self._folder_of(stored.job_key)}{name.removesuffix('.mp4')}.json", text)

        self._asked("Uploading the result", put)

    def _fetch(self, job_key: str, task_id: str | None) -> tuple[KeptFile, Sidecar] | None:
        """Fetch a job's result into the cache; what is not what its sidecar says is passed over."""
        for _name, known in self._sidecars(job_key):
            if known.job_key != job_key or task_id not in {None, known.task_id}:
                continue
            target = self._cache_path(known)
            try:
                write_file(target, lambda file, key=known.object_key: self._copy(key, file), durable=False)
            except FileNotFoundError:
                continue
            with target.open("rb") as file:
                is_whole = digest_of(file) == known.digest
            if not is_whole:
                logger.warning("%s in the bucket is not what its sidecar says.", known.object_key)
                target.unlink()
                continue
            sidecar = Sidecar.model_validate(known.model_dump(exclude={"object_key", "relative"}))
            write_file(target.with_suffix(".json"), sidecar.model_dump_json(indent=1) + "\n")
            self._evict(target)
            return KeptFile(target.relative_to(self.root).as_posix(), known.size_bytes, known.digest), sidecar
        return None

    def _cache_path(self, known: StoredSidecar) -> Path:
        """Return where a result goes in the cache: inside of it, and over no other task's."""
        target = self.path(known.relative)
        is_inside = target.resolve().is_relative_to(self.root.resolve()) and target.suffix == ".mp4"
        there = read_sidecar(target.with_suffix(".json"))
        if not is_inside or target.exists() or (there is not None and there.task_id != known.task_id):
            target = self.root / f"{safe_name(PurePosixPath(known.object_key).stem, 200)}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _copy(self, key: str, file: Any) -> None:
        for chunk in obstore.get(self._opened(), key).stream(min_chunk_size=PART_BYTES):
            file.write(chunk)

    def _sidecars(self, job_key: str) -> list[tuple[str, StoredSidecar]]:
        found = []
        for name in self._listed(job_key):
            try:
                content = bytes(obstore.get(self._opened(), name).bytes())
                found.append((name, StoredSidecar.model_validate_json(content)))
            except (FileNotFoundError, ValueError):
                logger.warning("%s in the bucket is no sidecar of ours.", name)
        return found

    def _listed(self, job_key: str) -> list[str]:
        chunks = obstore.list(self._opened(), prefix=self._folder_of(job_key))
        return sorted(item["path"] for chunk in chunks for item in chunk)

    def _folder_of(self, job_key: str) -> str:
        return f"{self._address.prefix}{JOBS}/{job_key}/"

    def _evict(self, kept: Path) -> None:
        """Let the oldest videos leave the cache until it is within its limit; what was just kept stays."""
        videos = [video for video in self.root.rglob("*.mp4") if video.with_suffix(".json").is_file()]
        sizes = {video: video.stat() for video in videos}
        total = sum(stat.st_size for stat in sizes.values())
        for video in sorted(videos, key=lambda video: sizes[video].st_mtime_ns):
            if total <= self._cache_bytes or video == kept:
                continue
            video.unlink(missing_ok=True)
            video.with_suffix(".json").unlink(missing_ok=True)
            total -= sizes[video].st_size

    def _opened(self) -> Any:
        if self._store is None:
            self._store = open_store(self._address)
        return self._store

    def _asked(self, doing: str, work: Any) -> Any:
        try:
            return work()
        except STORE_FAILURES as error:
            if isinstance(error, HostingError):
                raise
            raise store_error(error, doing, str(self._address)) from None
