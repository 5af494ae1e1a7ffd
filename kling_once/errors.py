"""Every error that this package raises on purpose.

::

    KlingOnceError
    |- SettingsError                 a setting cannot be read or contradicts another
    |- CredentialsError              (also PermissionError)
    |  |- MissingCredentials         no key for the profile
    |  |- UnknownProfile             the profile is not in the file
    |  |- KeyExists                  a stored key would be overwritten
    |  `- CredentialsChanged         the task belongs to a credential that is gone
    |- InputRefused                  inputs break documented limits; holds every `Violation`
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
    |  |- ModelRetired               the text says that the model is switched off, whatever the code
    |  |- Busy                       1302, 1303
    |  `- ServerFault                5000, 5001, 5002 and every code not listed here
    |- LedgerError
    |  |- LedgerNotWritable
    |  |  |- LedgerLocked            another program holds it
    |  |  `- LedgerUnreachable       its server does not answer
    |  |- LedgerDamaged
    |  |- LedgerTooNew
    |  `- LeaseLost                  another process has taken an attempt over
    |- SpendingRefused
    |  |- BudgetReached
    |  |- SubmissionsHeld
    |  `- ExternalIdTaken
    |- DiskFull                      (also OSError)
    |- JobError                      carries the task id
    |  |- TaskFailed                 the vendor says so
    |  |- OutcomeUnknown             it is not known yet whether the create was accepted
    |  |- StillRunning               the time to wait is over, the task still runs
    |  `- ResultGone                 expired or deleted
    `- DownloadError                 the paid result is not here yet; carries the task id
       |- DownloadRefused            an address, size or type that is not allowed
       `- DownloadBroken             cut off, or not a video

The message says what happened, the value and the limit; `hint` says what to do next; `task_id` is set
wherever a task is known. No message holds a key, a header or a presigned URL.

An error raised by a step for itself alone is a subclass in that step's module, never a new branch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

VENDOR_TEXT_LIMIT = 500


def vendor_text(text: object) -> str:
    """Return foreign text made safe for a message: one line, printable, at most 500 characters.

    Escape sequences, text direction marks and lone surrogates are not printable.
    """
    shown = "".join(char if char.isprintable() else " " for char in str(text))
    shown = " ".join(shown.split())
    return shown if len(shown) <= VENDOR_TEXT_LIMIT else shown[: VENDOR_TEXT_LIMIT - 3] + "..."


class KlingOnceError(Exception):
    """The root of every error raised on purpose.

    Args:
        message: what happened, as one or more sentences.
        hint: what the user can do next.
        task_id: the vendor's id of the task concerned, once there is one.
    """

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
    """A setting cannot be read, or contradicts another one."""


class CredentialsError(KlingOnceError, PermissionError):
    """There is no usable key."""


class MissingCredentials(CredentialsError):
    """No key is configured for the profile."""


class UnknownProfile(CredentialsError):
    """The profile is not in the credentials file."""


class KeyExists(CredentialsError):
    """The profile has a key already, and replacing it was not asked for."""


class CredentialsChanged(CredentialsError):
    """A task belongs to a credential that is no longer configured."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One documented limit that an input breaks."""

    field: str
    """The order's input: `image`, `video`, `prompt`, `character_orientation`, ..."""
    rule: str
    """Stable name of the limit, such as `video.duration.max`."""
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
    """The caller stopped the work; no file is left behind."""


class InputChanged(MediaError):
    """A picture or clip was changed while it was read, so that its bytes are not those of the order."""


class NotEnoughMemory(MediaError, MemoryError):
    """The frames do not fit into free memory."""


class HostingError(KlingOnceError):
    """A local reference video has no URL that Kling can fetch."""


class TransportError(KlingOnceError, ConnectionError):
    """The request did not reach the API, or no readable answer came back."""


class NeverSent(TransportError):
    """Proof that the request did not leave this machine: connection refused, DNS, TLS."""


class AnswerLost(TransportError, TimeoutError):
    """The request may have reached the API; its answer was lost."""


class UnreadableAnswer(TransportError):
    """An answer arrived that is not the API's envelope: HTML, broken JSON, a proxy's page."""


class ApiError(KlingOnceError):
    """The API answered with a service code other than 0."""

    def __init__(
        self, message: str, *, code: int, http_status: int, request_id: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.http_status = http_status
        self.request_id = request_id
        self.server_time: datetime | None = None
        """The answer's `Date` header: the vendor's clock."""


class AuthenticationError(ApiError, PermissionError):
    """The key or token was not accepted (1000, 1001, 1002)."""


class TokenTimingError(ApiError, PermissionError):
    """The token is not valid yet, or has expired (1003, 1004): usually because of a wrong clock.

    The client repeats the request once with a newly signed token.
    """


class AccountError(ApiError, PermissionError):
    """The account may not do this, or not now (1100, 1101, 1102, 1103, 1304)."""


class InvalidRequest(ApiError, ValueError):
    """The request is malformed in the API's eyes (1200, 1202)."""


class InvalidValue(ApiError, ValueError):
    """A value is not valid, or an id is not known (1201)."""


class ResourceMissing(ApiError, LookupError):
    """Something named in the request does not exist (1203)."""


class ModerationRefusal(ApiError, ValueError):
    """Platform policy or content security refused the input (1300, 1301)."""


class ModelRetired(ApiError, LookupError):
    """The vendor has switched the model off; its text says so, under a code that no page documents."""


class Busy(ApiError):
    """Too many requests or parallel tasks (1302, 1303); the request waits its turn."""


class ServerFault(ApiError):
    """The API failed internally (5000, 5001, 5002) or answered with an undocumented code.

    After a create it is not known whether a task exists: the attempt is settled.
    """


class LedgerError(KlingOnceError):
    """The ledger cannot be used; without it nothing is submitted."""


class LedgerNotWritable(LedgerError, OSError):
    """The ledger cannot be written; nothing was submitted."""


class LedgerLocked(LedgerNotWritable):
    """Another program holds the ledger's lock; nothing was submitted."""


class LedgerUnreachable(LedgerNotWritable):
    """The server of the ledger's database does not answer; nothing was submitted."""


class LedgerDamaged(LedgerError):
    """The ledger is no database of ours, or lacks what this version wrote into it."""


class LedgerTooNew(LedgerError):
    """A newer version of this package wrote the ledger."""


class LeaseLost(LedgerError):
    """Another process has taken over the attempt's lease; this one must not act on it."""


class SpendingRefused(KlingOnceError):
    """A spending rule of the user or of the server forbids this submit."""


class BudgetReached(SpendingRefused):
    """The submit would exceed a spending limit."""


class SubmissionsHeld(SpendingRefused):
    """The operator has put live submissions on hold."""


class ExternalIdTaken(SpendingRefused):
    """The user's own external id belongs to another job, or to a task that the ledger does not know."""


class DiskFull(KlingOnceError, OSError):
    """There is too little free disk space to keep a result; nothing was submitted."""


class JobError(KlingOnceError):
    """A job ended, or the wait for it ended, without a video."""


class TaskFailed(JobError):
    """The vendor reports the task as failed, or an earlier task of the job failed because of its input."""


class OutcomeUnknown(JobError):
    """It is not known whether the create was accepted; the attempt is settled at the next opportunity."""


class StillRunning(JobError, TimeoutError):
    """The time to wait is over and the task still runs; queueing again picks it up."""


class ResultGone(JobError, LookupError):
    """The result has expired after 30 days, or its file was deleted and cannot be fetched again."""


class DownloadError(KlingOnceError):
    """The paid result could not be fetched; it can be collected later."""


class DownloadRefused(DownloadError, PermissionError):
    """The result's address, size or type is not allowed."""


class DownloadBroken(DownloadError, ConnectionError):
    """The result was cut off, or is not a video."""
