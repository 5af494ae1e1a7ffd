"""The reference video in the user's own bucket, behind a presigned URL.

obstore is called in threads, never through its async functions: those leave a Rust thread that touches
Python a moment after the answer, and one process in ten that ends right then aborts (tried with obstore
0.12.1; https://github.com/PyO3/pyo3-async-runtimes/issues/40).
"""

from __future__ import annotations

import asyncio
import io
import re
import secrets
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from ..concurrency import SingleFlight, in_daemon_thread
from ..errors import HostingError
from ..files import digest_of, kept_value
from ..origins import url_parts
from .fetch_check import Hop, check_fetch
from .media_host import HostedFile, Leftover, MediaHost, checked_digest, checked_lifetime

if TYPE_CHECKING:
    from pathlib import Path

    from ..settings import Settings
    from .media_host import HostedFile

FOLDER = "kling-once"
INSTALL_ID = re.compile(r"[0-9a-f]{16}")
LONGEST_LIFETIME = timedelta(days=7)
"""The longest X-Amz-Expires: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""

PART_BYTES = 8 * 2**20
PARTS_AT_ONCE = 4
"""Parts times their size is the memory of an upload, whatever the size of the clip."""
UPLOAD_SECONDS = 600
"""Time limit of one part: enough for a line of 0.5 Mbit/s."""
REQUEST_SECONDS = 15
"""Time limit of every other request: head, list, delete and sign are small."""
ABORT_SECONDS = 5.0
"""How long a cancelled upload may take to remove the parts it has sent."""

STORES = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
STORE_FAILURES = (BaseError, OSError, ValueError, TypeError)
"""What obstore raises: its own tree, FileNotFoundError, and complaints about variables."""


def install_id(home: Path) -> str:
    """Return this home's 16 hex digits, which keep several users of one bucket apart; created once.

    Raises:
        HostingError: `<home>/install_id` cannot be read or created.
    """
    return kept_value(home / "install_id", lambda: secrets.token_hex(8), INSTALL_ID)


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """The address of a bucket, taken apart."""

    scheme: str
    bucket: str
    prefix: str
    """Empty, or ending in a slash."""

    @classmethod
    def parse(cls, url: str, setting: str = "KLING_ONCE_STORE_URL") -> StoreAddress:
        """Read `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.

        Args:
            url: the address.
            setting: the name of its variable, for messages.

        Raises:
            HostingError: another form; the message does not repeat it, because people put keys there.
        """
        parts = url_parts(url)
        folders = [folder for folder in parts.path.split("/") if folder]
        plain = all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in [parts.netloc, *folders])
        if (
            parts.scheme not in STORES
            or not plain
            or parts.query
            or parts.fragment
            or {".", ".."} & {*folders}
        ):
            raise HostingError(
                f"{setting} is not an address of a bucket.",
                hint="Write s3://bucket/prefix, gs://bucket/prefix or az://container/prefix; names may hold"
                " letters, digits, '_', '.' and '-'. Keys belong into the store's own variables.",
            )
        return cls(parts.scheme, parts.netloc, "".join(f"{folder}/" for folder in folders))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}"


class ObjectStore(MediaHost):
    """The user's own bucket: S3 and compatible stores, Google, Azure.

    Objects are named `<prefix>kling-once/<install id>/<digest>.mp4`; nothing outside
    `kling-once/<install id>/` is ever listed, written or deleted. Concurrent publishes of one clip share one
    upload within an instance (single flight); two processes may both upload it, which leaves one object. A
    presigned URL made with temporary credentials ends with them, whatever lifetime was asked for.
    """

    kind = "object_store"

    def __init__(self, settings: Settings) -> None:
        """Parse the address; the bucket is not contacted yet.

        Raises:
            HostingError: `settings.store_url` is not an address of a bucket.
        """
        self._address = StoreAddress.parse(settings.store_url or "")
        self._home = settings.home
        self._given = _given_config(settings)
        self._stores: dict[int, S3Store | GCSStore | AzureStore] = {}
        self._uploads = SingleFlight[None]()

    def location(self, file: HostedFile) -> str:
        """Return `scheme://bucket/key`."""
        return f"{self._address}/{self._key_of(file)}"

    async def publish(self, file: HostedFile) -> str:
        """Upload the clip unless an object of its digest and size exists; return `scheme://bucket/key`.

        Readers see the whole object or none. The file is streamed: memory does not grow with its size.
        """
        key = self._key_of(file)
        await self._uploads.run(key, lambda: self._upload(key, file))
        return self.location(file)

    async def sign(self, location: str, lifetime_seconds: float) -> str:
        """Return a presigned GET URL that lives a minute longer than asked, at most S3's 7 days."""
        expires = checked_lifetime(lifetime_seconds, LONGEST_LIFETIME)
        key = self._key(location)
        try:
            return await in_daemon_thread(lambda: obstore.sign(self._opened(), "GET", key, expires))
        except STORE_FAILURES as error:
            raise store_error(error, "Signing the clip's link", str(self._address)) from None

    async def verify(self, url: str, file: HostedFile) -> None:
        """Fetch three parts through the presigned URL and compare them with the file."""
        await check_fetch(
            url,
            file,
            Hop(
                name="the object store",
                missing="The clip is no longer there: run again, and it is uploaded again.",
                denied="The credentials may not read, or have ended, or a bucket policy forbids it.",
                down="Check that the store's endpoint can be reached from outside.",
            ),
        )

    async def withdraw(self, location: str) -> None:
        """Delete the object; one that is gone already is no error."""
        key = self._key(location)
        try:
            await in_daemon_thread(lambda: obstore.delete(self._opened(), key))
        except FileNotFoundError:
            return
        except STORE_FAILURES as error:
            raise store_error(error, "Deleting the clip", str(self._address)) from None

    async def leftovers(self) -> list[Leftover]:
        """Return every object under this home's install id, in no particular order.

        Raises:
            HostingError: the store does not answer or denies listing.
        """
        try:
            return await in_daemon_thread(self._listed)
        except STORE_FAILURES as error:
            raise store_error(error, "Listing our clips", str(self._address)) from None

    def _listed(self) -> list[Leftover]:
        folder = self._folder()
        return [
            Leftover(f"{self._address}/{item['path']}", item["size"], item["last_modified"])
            for chunk in obstore.list(self._opened(), prefix=folder)
            for item in chunk
            if item["path"].startswith(folder)
        ]

    async def _upload(self, key: str, file: HostedFile) -> None:
        stopped = threading.Event()
        sending = asyncio.ensure_future(in_daemon_thread(self._send, key, file, stopped))
        try:
            await asyncio.shield(sending)
        except STORE_FAILURES as error:
            raise store_error(error, "Uploading the clip", str(self._address)) from None
        except asyncio.CancelledError:
            stopped.set()
            done, _ = await asyncio.wait({sending}, timeout=ABORT_SECONDS)
            _ = [ended.exception() for ended in done]  # marks it as retrieved
            raise

    def _send(self, key: str, file: HostedFile, stopped: threading.Event) -> None:
        if self._size(key) == file.size_bytes:
            return
        with StoppableFile(file, stopped) as reader:
            obstore.put(
                self._opened(uploading=True),
                key,
                reader,
                attributes={"Content-Type": file.content_type},
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

    def _size(self, key: str) -> int | None:
        try:
            return obstore.head(self._opened(), key)["size"]
        except FileNotFoundError:
            return None

    def _key_of(self, file: HostedFile) -> str:
        return f"{self._folder()}{checked_digest(file.digest)}.mp4"

    def _folder(self) -> str:
        return f"{self._address.prefix}{FOLDER}/{install_id(self._home)}/"

    def _key(self, location: str) -> str:
        folder = f"{self._address}/{self._folder()}"
        name = location.removeprefix(folder)
        if name == location or not re.fullmatch(r"[0-9a-f]{64}\.mp4", name):
            raise HostingError(
                "The clip was put into another bucket, or by another installation; it is not touched.",
                hint=f"KLING_ONCE_STORE_URL names {self._address} now.",
            )
        return self._folder() + name

    def _opened(self, *, uploading: bool = False) -> S3Store | GCSStore | AzureStore:
        """Return the store, with the time limit that its requests need."""
        seconds = UPLOAD_SECONDS if uploading else REQUEST_SECONDS
        if seconds not in self._stores:
            self._stores[seconds] = open_store(self._address, seconds, self._given)
        return self._stores[seconds]


def open_store(
    address: StoreAddress, seconds: int = UPLOAD_SECONDS, given: dict[str, str] | None = None
) -> S3Store | GCSStore | AzureStore:
    """Return a bucket's store.

    Args:
        address: the bucket.
        seconds: the time limit of a request.
        given: address and credentials; what it leaves open comes from the store's own variables.
    """
    kind: Any = STORES[address.scheme]
    # Not as `client_options`: those replace what obstore reads from AWS_ALLOW_HTTP and its kin.
    config = {"timeout": f"{seconds}s", "connect_timeout": "10s"} | (given or {})
    retries = {"max_retries": 3, "retry_timeout": timedelta(seconds=seconds)}
    return kind(address.bucket, config=config, retry_config=retries)


def _given_config(settings: Settings) -> dict[str, str]:
    """Return what the settings say of an S3-like store; what they leave open obstore reads for itself."""
    keys = settings.store_access_key, settings.store_secret_key
    endpoint = settings.store_endpoint or ""
    given = {
        "endpoint": endpoint,
        "region": settings.store_region or "",
        "access_key_id": keys[0].get_secret_value() if keys[0] else "",
        "secret_access_key": keys[1].get_secret_value() if keys[1] else "",
        "allow_http": "true" if endpoint.startswith("http://") else "",
    }
    return {name: value for name, value in given.items() if value}


class StoppableFile(io.FileIO):
    """The bytes of a clip for an upload in a thread; setting `stopped` fails the next read, and the upload.

    Raises:
        HostingError: the file cannot be read, or its bytes do not match its digest.
    """

    def __init__(self, file: HostedFile, stopped: threading.Event) -> None:
        self._stopped = stopped
        try:
            super().__init__(file.path, "rb")
        except OSError as error:
            raise HostingError(f"{file.path.name} cannot be read: {error.strerror}.") from None
        if digest_of(self) != file.digest:
            self.close()
            raise HostingError(f"{file.path.name} was changed before it could be uploaded; run again.")
        self.seek(0)

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes.

        Raises:
            InterruptedError: `stopped` is set.
        """
        if self._stopped.is_set():
            raise InterruptedError
        return super().read(-1 if size is None else size)


STORE_CODE = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
HTTP_STATUS = re.compile(r"\bstatus code: (\d{3})")
CREDENTIALS_HINT = (
    "Set the store's usual variables where this program runs: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
    " GOOGLE_SERVICE_ACCOUNT, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY."
)
UNKNOWN_CAUSE = (
    "it failed in a way that is not known here.",
    "Run again later; if it stays, try the bucket with the store's own tool.",
)
CAUSES = (
    (
        (
            r"169\.254\.169\.254|/latest/api/token|/latest/meta-data|metadata\.google|MissingAccount"
            r"|Missing[A-Za-z]*Cred|No credentials"
        ),
        "no usable credentials were found for it.",
        CREDENTIALS_HINT,
    ),
    (
        r"NoSuchBucket|ContainerNotFound|ContainerBeingDeleted|specified bucket does not exist",
        "the bucket does not exist there.",
        "Create it, or correct KLING_ONCE_STORE_URL.",
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|301 Moved",
        "the bucket is in another region.",
        "Set AWS_REGION to the bucket's region.",
    ),
    (
        r"RequestTimeTooSkewed|RequestExpired",
        "this machine's clock differs too much.",
        "Set the clock right.",
    ),
    (
        (
            r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|AuthenticationFailed"
            r"|Unauthenticated|status code: 401|InvalidKey|PemError|DecodeCredentials|invalid_grant"
        ),
        "it did not accept the credentials.",
        CREDENTIALS_HINT,
    ),
    (
        r"AccessDenied|AuthorizationFailure|AuthorizationPermission|PermissionDenied|code: 403",
        "it denied the access.",
        "The credentials need to list, read, write and delete below kling-once/ in this bucket.",
    ),
    (
        r"BadScheme",
        "its endpoint is plain http.",
        "Use https, or set AWS_ALLOW_HTTP=true for a server of your own.",
    ),
    (
        r"dns error|failed to lookup address",
        "its host name is not known.",
        "Check AWS_ENDPOINT_URL and the network.",
    ),
    (
        r"certificate|TlsError|invalid peer",
        "its TLS certificate is not accepted.",
        "Check AWS_ENDPOINT_URL and SSL_CERT_FILE.",
    ),
    (
        r"kind: Timeout|operation timed out",
        "it does not answer in time.",
        "Run again; on a slow line make the clip smaller.",
    ),
    (
        r"kind: (Connect|Interrupted|Request)|ConnectError",
        "it cannot be reached.",
        "Check AWS_ENDPOINT_URL, the proxy variables and the network, then run again.",
    ),
)
"""The first whose sign is found in obstore's text, what it says, and what to do."""


def store_error(error: Exception, doing: str, store: str) -> HostingError:
    """Return the `HostingError` for an error of obstore.

    Of its text only the store's error code and the HTTP status are passed on: the rest holds addresses and,
    with some stores, the signed request.

    Args:
        error: what obstore raised.
        doing: the operation, as in "Uploading the clip".
        store: the store's address without prefix, as in `s3://bucket`.
    """
    text = f"{type(error).__name__} {error}"
    says, hint = next((row[1:] for row in CAUSES if re.search(row[0], text)), UNKNOWN_CAUSE)
    found = [match.group(1) for match in (STORE_CODE.search(text), HTTP_STATUS.search(text)) if match]
    details = f" ({', '.join(found)})" if found else ""
    return HostingError(f"{doing} at {store} did not work: {says[:-1]}{details}.", hint=hint)
