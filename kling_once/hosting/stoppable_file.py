"""A clip that is read in another thread, and whose reading can be stopped from outside."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from blake3 import blake3

from ..errors import HostingError

if TYPE_CHECKING:
    import threading

    from .media_host import HostedFile


CHUNK_BYTES = 2**20


class StoppableFile(io.FileIO):
    """The file of a clip; once `stopped` is set the next read fails, and with it the upload that reads.

    Raises:
        HostingError: the file is gone, or its bytes are not those of its digest any more.
    """

    def __init__(self, file: HostedFile, stopped: threading.Event) -> None:
        self._stopped = stopped
        try:
            super().__init__(file.path, "rb")
        except OSError as error:
            raise HostingError(f"{file.path.name} cannot be read: {error.strerror}.") from None
        hasher = blake3()
        while chunk := super().read(CHUNK_BYTES):
            hasher.update(chunk)
        self.seek(0)
        if hasher.hexdigest() != file.digest:
            self.close()
            raise HostingError(f"{file.path.name} was changed before it could be uploaded; run again.")

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes, or fail with InterruptedError when stopped."""
        if self._stopped.is_set():
            raise InterruptedError
        return super().read(-1 if size is None else size)
