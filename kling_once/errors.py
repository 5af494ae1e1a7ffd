"""Every error this package raises on purpose.

::

    KlingOnceError
    |- SettingsError                 a setting cannot be read or contradicts another
    |- CredentialsError              (also PermissionError)
    |  |- MissingCredentials         no key for the profile
    |  |- UnknownProfile             the profile is not in the file
    |  |- KeyExists                  a stored key would be replaced unasked
    |  `- CredentialsChanged         the task belongs to a credential that is gone
    |- InputRefused                  documented limits are broken; holds every `Violation`
    |- MediaError
    |  |- UnreadableMedia            not a picture, not a clip, or damaged
    |  |- MediaStopped               the caller asked to stop
    |  |- InputChanged               a file was written while it was read
    |  `- NotEnoughMemory            frames would not fit (also MemoryError)
    |- HostingError                  no URL for a local reference video
    |- TransportError
    |  |- NeverSent                  proof that the request did not leave this machine
    |  |- AnswerLost                 sent, or perhaps sent; no answer (also TimeoutError)
    |  `- UnreadableAnswer           an answer that is not the API's envelope
    |- ApiError                      the API answered with a service code
    |  |- AuthenticationError        1000, 1001, 1002
    |  |- TokenTimingError           1003, 1004
    |  |- AccountError               1100, 1101, 1102, 1103, 1304
    |  |- InvalidRequest             1200, 1202
    |  |- InvalidValue               1201
    |  |- ResourceMissing            1203
    |  |- ModerationRefusal          1300, 1301
    |  |- Busy                       1302, 1303
    |  `- ServerFault                5000, 5001, 5002 and every code not listed here
    |- LedgerError
    |  |- LedgerNotWritable
    |  |- LedgerTooNew
    |  `- LeaseLost                  another process has taken an attempt over
    |- SpendingRefused
    |  |- BudgetReached
    |  |- SubmissionsHeld
    |  `- ExternalIdTaken
    |- DiskFull                      (also OSError)
    |- JobError                      carries the task id
    |  |- TaskFailed                 the vendor says so
    |  |- OutcomeUnknown             nobody knows yet whether the create was accepted
    |  |- StillRunning               the wait is over, the task is not
    |  `- ResultGone                 expired or deleted
    `- DownloadError                 the paid result is not here yet; carries the task id
       |- DownloadRefused            an address, size or type that is not allowed
       `- DownloadBroken             cut off, or not a video

Each error says what happened, the value and the limit; `hint` says what to do next; `task_id` is
set wherever a task is known. No message holds a key, a header or a signed URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import datetime

VENDOR_TEXT_LIMIT = 500


def vendor_text(text: object) -> str:
    """Return a foreign text fit for a message: one line, printable, at most 500 characters."""
    shown = "".join(char if char.isprintable() else " " for char in str(text))
    shown = " ".join(shown.split())
    return shown if len(shown) <= VENDOR_TEXT_LIMIT else shown[: VENDOR_TEXT_LIMIT - 3] + "..."


class KlingOnceError(Exception):
    """The root of every error raised on purpose."""

    def __init__(self, message: str, *, hint: str = "", task_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.task_id = task_id

    def __str__(self) -> str:
        parts = [self.message]
        if self.task_id and self.task_id not in self.message:
            parts.append(f"Task {self.task_id}.")
        if self.hint:
            parts.append(self.hint)
        return " ".join(parts)


class SettingsError(KlingOnceError):
    """A setting cannot be read, or contradicts another."""


class CredentialsError(KlingOnceError, PermissionError):
    """No usable key."""


class MissingCredentials(CredentialsError):
    """No key is configured for the profile."""


class UnknownProfile(CredentialsError):
    """The profile is not in the credentials file."""


class KeyExists(CredentialsError):
    """The profile has a key already, and nobody said that it may be replaced."""


class CredentialsChanged(CredentialsError):
    """A task belongs to a credential that is no longer configured."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One documented limit that an input breaks."""

    field: str
    """The input in the user's words: `image`, `video`, `prompt`, `character_orientation`, ..."""
    rule: str
    """A stable name for the limit, such as `video.duration.max`."""
    message: str
    """What is wrong, the value, the limit, and what to do."""


class InputRefused(KlingOnceError, ValueError):
    """Inputs break documented limits; nothing was sent."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__(" ".join(violation.message for violation in violations))
        self.violations = violations


class MediaError(KlingOnceError):
    """A picture, clip or tensor cannot be used."""


class UnreadableMedia(MediaError, ValueError):
    """Not a picture, not a clip, or damaged."""


class MediaStopped(MediaError):
    """The caller asked the work to stop; no file was left behind."""


class InputChanged(MediaError):
    """A picture or clip was written while it was read: what would be sent is not what was ordered."""


class NotEnoughMemory(MediaError, MemoryError):
    """Frames would not fit into the memory that is free."""


class HostingError(KlingOnceError):
    """A local reference video has no URL that Kling can fetch."""


class TransportError(KlingOnceError, ConnectionError):
    """The API was not reached, or its answer was not."""


class NeverSent(TransportError):
    """Proof that the request did not leave this machine: connection refused, DNS, TLS."""


class AnswerLost(TransportError, TimeoutError):
    """The request may have arrived; its answer did not."""


class UnreadableAnswer(TransportError):
    """An answer arrived that is not the API's envelope: HTML, broken JSON, a proxy's page."""


class Repeat(StrEnum):
    """What may be done with a request that was answered by a service code."""

    NEVER = "never"
    ONCE_RESIGNED = "once, after signing again"
    LATER = "later, with growing pauses"
    AFTER_SETTLING = "only after it is known that no task was made"


class ApiError(KlingOnceError):
    """The API answered with a service code other than 0."""

    repeat_read: ClassVar[Repeat] = Repeat.NEVER
    repeat_create: ClassVar[Repeat] = Repeat.NEVER

    def __init__(
        self, message: str, *, code: int, http_status: int, request_id: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.http_status = http_status
        self.request_id = request_id
        self.server_time: datetime | None = None
        """The vendor's own clock when it answered."""


class AuthenticationError(ApiError, PermissionError):
    """The key or token was not accepted (1000, 1001, 1002)."""


class TokenTimingError(ApiError, PermissionError):
    """The token is not valid yet, or no longer (1003, 1004): usually a wrong clock."""

    repeat_read = Repeat.ONCE_RESIGNED
    repeat_create = Repeat.ONCE_RESIGNED


class AccountError(ApiError, PermissionError):
    """The account may not do this now (1100, 1101, 1102, 1103, 1304)."""


class InvalidRequest(ApiError, ValueError):
    """The request as such was refused (1200, 1202)."""


class InvalidValue(ApiError, ValueError):
    """A value was refused, or an id is not known (1201)."""


class ResourceMissing(ApiError, LookupError):
    """Something named in the request does not exist (1203)."""


class ModerationRefusal(ApiError, ValueError):
    """Platform policy or content security refused the input (1300, 1301)."""


class Busy(ApiError):
    """Too many requests or parallel tasks (1302, 1303); the request waits its turn."""

    repeat_read = Repeat.LATER
    repeat_create = Repeat.LATER


class ServerFault(ApiError):
    """The API failed inside (5000, 5001, 5002), or answered with a code nobody documents."""

    repeat_read = Repeat.LATER
    repeat_create = Repeat.AFTER_SETTLING


class LedgerError(KlingOnceError):
    """The ledger cannot be used; without it nothing is submitted."""


class LedgerNotWritable(LedgerError, OSError):
    """The ledger cannot be written; nothing was submitted."""


class LedgerTooNew(LedgerError):
    """A newer version of this package wrote the ledger."""


class LeaseLost(LedgerError):
    """Another process has taken the attempt over; this one must not touch it any more."""


class SpendingRefused(KlingOnceError):
    """Money would move, and a rule of the user's or the server's forbids it."""


class BudgetReached(SpendingRefused):
    """A spending limit would be passed."""


class SubmissionsHeld(SpendingRefused):
    """Live submissions are on hold."""


class ExternalIdTaken(SpendingRefused):
    """A task id of the user's own choosing belongs to another job, or to a task we do not know."""


class DiskFull(KlingOnceError, OSError):
    """Too little free disk space to keep a result; nothing was submitted."""


class JobError(KlingOnceError):
    """A job did not end with a video."""


class TaskFailed(JobError):
    """The vendor reports the task as failed, or refused it earlier for the input's sake."""


class OutcomeUnknown(JobError):
    """It is not known yet whether the create was accepted; it is settled at the next opportunity."""


class StillRunning(JobError, TimeoutError):
    """The wait is over, the task is not: queueing again picks it up."""


class ResultGone(JobError, LookupError):
    """The result is past the vendor's 30 days, or its kept file was deleted and cannot be had again."""


class DownloadError(KlingOnceError):
    """The paid result could not be fetched; it stays collectable."""


class DownloadRefused(DownloadError, PermissionError):
    """The result's address, size or type is not allowed."""


class DownloadBroken(DownloadError, ConnectionError):
    """The result was cut off, or what came is not a video."""
