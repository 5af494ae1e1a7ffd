"""Kept results: names, sidecars, moving into place, small pictures, and whether a coming one will fit."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import shutil
import tempfile
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pydantic import AwareDatetime, BaseModel

from ..errors import DiskFull, ResultGone
from ..files import file_digest, write_file
from ..ledger.attempts import AttemptState
from ..ledger.job import JobLabel, short_key
from ..order import Service

if TYPE_CHECKING:
    from ..clock import Clock
    from ..ledger.attempts import Attempt

logger = logging.getLogger(__name__)


NAME_MAX_CHARACTERS: Final = 80
PART_CHARACTERS: Final = 24
"""Of the picture's and the clip's name within a result's name."""
SANDBOX_PREFIX: Final = "SANDBOX_"
WINDOWS_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
BYTES_PER_SECOND_AT_MOST: Final = 6_000_000
"""Generous for 1080p H.264; used to see before paying whether a result would fit on the disk."""
SPARE_BYTES: Final = 50_000_000
SHARING_SECONDS: Final = 10.0
"""How long a file that another program holds open on Windows is waited for."""


def safe_name(text: str, most: int) -> str:
    """Return text as one part of a file name that every system takes, at most `most` characters."""
    shown = unicodedata.normalize("NFC", text)
    shown = "".join(char if char.isalnum() or char in "-_." else "_" for char in shown)
    shown = re.sub(r"_+", "_", shown).strip("._ ")
    while len(shown) > most or len(shown.encode()) > 2 * most:
        shown = shown[:-1]
    shown = shown.strip("._ ")
    return f"_{shown}"[:most] if WINDOWS_DEVICES.fullmatch(shown) else shown


class Sidecar(BaseModel, frozen=True):
    """What lies beside a result, so that a lost ledger does not buy it again."""

    job_key: str
    task_id: str
    external_task_id: str
    service: str
    profile: str
    seconds: Decimal | None
    """Of the reference video."""
    units_estimated: Decimal | None
    units_charged: Decimal | None
    cash_charged: Decimal | None
    currency: str | None
    unread_charge: str | None = None
    vendor_created_at: AwareDatetime | None
    digest: str = ""
    """blake3 of the video file, in hex."""
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A result on disk."""

    relative: str
    """To the results folder, with forward slashes."""
    size_bytes: int
    digest: str


class ResultStore:
    """The results folder."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self.root = root
        self.clock = clock

    def path(self, relative: str) -> Path:
        """Return where a kept result lies."""
        return self.root.joinpath(*PurePosixPath(relative).parts)

    def watermarked_path(self, relative: str) -> Path:
        """Return where the watermarked copy of a kept result lies, if one was asked for."""
        return watermarked(self.path(relative))

    def has(self, relative: str | None, size_bytes: int | None) -> bool:
        """Tell whether a kept result is still there, by its size."""
        if relative is None:
            return False
        try:
            return self.path(relative).stat().st_size == size_bytes
        except OSError:
            return False

    def holds(self, attempt: Attempt) -> bool:
        """Tell whether an attempt's result is kept and still there."""
        if attempt.state is not AttemptState.KEPT:
            return False
        if attempt.made_element_id is not None:
            return True
        return self.has(attempt.result_path, attempt.result_size_bytes)

    def folder_of(self, label: JobLabel) -> Path:
        """Return the folder of a job's results."""
        base = self.root / "sandbox" if label.service is Service.SANDBOX else self.root
        project = safe_name(label.project, 60)
        return base / project if project else base

    def name_of(self, label: JobLabel) -> str:
        """Return a job's file name without its ending: picture, clip, take and 8 digits of the key."""
        prefix = SANDBOX_PREFIX if label.service is Service.SANDBOX else ""
        parts = (safe_name(name, PART_CHARACTERS) for name in (label.image_name, label.video_name))
        tail = f"_t{label.take}_{label.short_key}"
        head = prefix + "_".join(part for part in parts if part)
        return head[: NAME_MAX_CHARACTERS - len(tail) - len(".mp4")] + tail

    def require_space(self, label: JobLabel, seconds: Decimal) -> None:
        """Pass when a result of this length would fit into the job's folder.

        Raises:
            DiskFull: with the numbers, or because the folder cannot be written.
        """
        needed = SPARE_BYTES + int(float(seconds) * BYTES_PER_SECOND_AT_MOST)
        folder = self.folder_of(label)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".write-test-") as probe:
                probe.write(b"kling-once")
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise DiskFull(
                f"The results folder {folder} cannot be written: {error.strerror}.",
                hint=f"Nothing was submitted. {way_out(error)} Or set KLING_ONCE_RESULTS.",
            ) from None
        if free < needed:
            raise DiskFull(
                f"{free / 1e6:.0f} MB are free in {self.root}; the result may need {needed / 1e6:.0f} MB.",
                hint="Nothing was submitted. Make room or set KLING_ONCE_RESULTS.",
            )

    def part_path(self, label: JobLabel, owner: str) -> Path:
        """Return the file that a download writes; those of other owners are left-overs and go away."""
        folder, name = self.folder_of(label), self.name_of(label)
        folder.mkdir(parents=True, exist_ok=True)
        mine = folder / f"{name}.{owner}.part"
        for old in folder.glob(f"{_literal(name)}.*.part"):
            if old != mine:
                with contextlib.suppress(PermissionError):  # on Windows its process has it open still
                    old.unlink(missing_ok=True)
        return mine

    async def keep(self, label: JobLabel, part: Path, sidecar: Sidecar) -> KeptFile:
        """Move a finished download into place and return where it is.

        The sidecar goes first: a video without one would not be known as ours.
        """
        kept = await asyncio.to_thread(self._describe, label, part, sidecar)
        deadline = self.clock.monotonic() + SHARING_SECONDS
        while True:
            try:
                await asyncio.to_thread(_replace_durably, part, self.path(kept.relative))
            except PermissionError:
                if os.name != "nt" or self.clock.monotonic() > deadline:
                    raise
                await self.clock.sleep(0.25)
            else:
                return kept

    def _describe(self, label: JobLabel, part: Path, sidecar: Sidecar) -> KeptFile:
        target = self._free_target(label, sidecar.task_id)
        kept = KeptFile(target.relative_to(self.root).as_posix(), part.stat().st_size, file_digest(part))
        sidecar = sidecar.model_copy(update={"digest": kept.digest, "size_bytes": kept.size_bytes})
        write_file(target.with_suffix(".json"), sidecar.model_dump_json(indent=1) + "\n")
        return kept

    def find_kept(self, job_key: str, task_id: str | None = None) -> tuple[KeptFile, Sidecar] | None:
        """Return a job's result, of this task or of any, if its sidecar and the video it names are here."""
        for path in sorted(self.root.rglob(f"*_{short_key(job_key)}*.json")):
            sidecar = read_sidecar(path)
            if sidecar is None or sidecar.job_key != job_key or task_id not in {None, sidecar.task_id}:
                continue
            video = path.with_suffix(".mp4")
            if _holds(video, sidecar):
                relative = video.relative_to(self.root).as_posix()
                return KeptFile(relative, video.stat().st_size, sidecar.digest), sidecar
        return None

    async def find(self, job_key: str, task_id: str | None = None) -> tuple[KeptFile, Sidecar] | None:
        """Return a job's result, of this task or of any, if its sidecar and the video it names are here."""
        return await asyncio.to_thread(self.find_kept, job_key, task_id)

    def describe(self) -> str:
        """Return what reports say of it."""
        return str(self.root)

    def forget(self, attempt: Attempt) -> list[str]:
        """Delete an attempt's video and its sidecar; return what was deleted."""
        return self.delete(attempt.result_path) if attempt.result_path else []

    def delete(self, relative: str) -> list[str]:
        """Delete a kept video, its sidecar and its watermarked copy; return what was deleted.

        Nothing outside the results folder is deleted.
        """
        root, video, gone = self.root.resolve(), self.path(relative), []
        for path in (video, video.with_suffix(".json"), watermarked(video)):
            real = path.resolve()
            if real.is_relative_to(root) and real.is_file():
                real.unlink()
                gone.append(real.relative_to(root).as_posix())
        return gone

    def _free_target(self, label: JobLabel, task_id: str) -> Path:
        """Return where a task's video goes: never over another task's, nor over one that was edited."""
        folder, name = self.folder_of(label), self.name_of(label)
        for number in range(1, 1000):
            target = folder / (f"{name}.mp4" if number == 1 else f"{name}_{number}.mp4")
            sidecar = read_sidecar(target.with_suffix(".json"))
            is_taken = sidecar is not None and sidecar.task_id != task_id
            if not is_taken and (not target.exists() or (sidecar is not None and _holds(target, sidecar))):
                return target
        raise DiskFull(f"{folder} holds a thousand files named {name}.", hint="Move some of them away.")


def sidecar_of(attempt: Attempt, label: JobLabel) -> Sidecar:
    """Return the note that lies beside an attempt's result."""
    if attempt.task_id is None:
        raise ResultGone(f"Attempt {attempt.external_id} has no task.", hint="Run the job again.")
    return Sidecar(
        job_key=attempt.job_key,
        task_id=attempt.task_id,
        external_task_id=attempt.external_id,
        service=label.service.value,
        profile=attempt.profile,
        seconds=attempt.seconds,
        units_estimated=attempt.units_estimated,
        units_charged=attempt.units_charged,
        cash_charged=attempt.cash_charged,
        currency=attempt.currency,
        unread_charge=attempt.unread_charge,
        vendor_created_at=attempt.vendor_created_at,
    )


def watermarked(video: Path) -> Path:
    """Return where the watermarked copy of a video lies."""
    return video.with_name(f"{video.stem}_watermark.mp4")


def way_out(error: OSError) -> str:
    """Return what to do about a folder that cannot be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "Make room there."
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return "Move the file away that lies in its place."
    return "Let the user that this program runs as write there."


def _replace_durably(source: Path, target: Path) -> None:
    with source.open("rb+") as file:
        os.fsync(file.fileno())
    source.replace(target)


def _holds(video: Path, sidecar: Sidecar) -> bool:
    """Tell whether a file is there, and is the video that its sidecar names."""
    try:
        return video.is_file() and file_digest(video) == sidecar.digest
    except OSError:
        return False


def read_sidecar(path: Path) -> Sidecar | None:
    """Return the sidecar in a file, None where it is none."""
    try:
        return Sidecar.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def _literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)
