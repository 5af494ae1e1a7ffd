"""Foreign errors of object stores, put into plain words in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import HostingError

STORE_CODE = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
HTTP_STATUS = re.compile(r"\bstatus code: (\d{3})")
CREDENTIALS_HINT = (
    "Set the store's usual variables where this program runs: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
    " GOOGLE_SERVICE_ACCOUNT, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY."
)


@dataclass(frozen=True, slots=True)
class Cause:
    """How one cause shows itself in obstore's text, and what to tell people."""

    signs: re.Pattern[str]
    says: str
    hint: str


CAUSES = (
    Cause(
        re.compile(
            r"169\.254\.169\.254|/latest/api/token|/latest/meta-data|metadata\.google|MissingAccount"
            r"|Missing[A-Za-z]*Cred|No credentials"
        ),
        "no usable credentials were found for it.",
        CREDENTIALS_HINT,
    ),
    Cause(
        re.compile(r"NoSuchBucket|ContainerNotFound|ContainerBeingDeleted|specified bucket does not exist"),
        "the bucket does not exist there.",
        "Create it, or correct KLING_ONCE_STORE_URL.",
    ),
    Cause(
        re.compile(r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|301 Moved"),
        "the bucket is in another region.",
        "Set AWS_REGION to the bucket's region.",
    ),
    Cause(
        re.compile(r"RequestTimeTooSkewed|RequestExpired"),
        "this machine's clock differs too much.",
        "Set the clock right.",
    ),
    Cause(
        re.compile(
            r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|AuthenticationFailed"
            r"|Unauthenticated|status code: 401|InvalidKey|PemError|DecodeCredentials|invalid_grant"
        ),
        "it did not accept the credentials.",
        CREDENTIALS_HINT,
    ),
    Cause(
        re.compile(r"AccessDenied|AuthorizationFailure|AuthorizationPermission|PermissionDenied|code: 403"),
        "it denied the access.",
        "The credentials need to list, read, write and delete below kling-once/ in this bucket.",
    ),
    Cause(
        re.compile(r"BadScheme"),
        "its endpoint is plain http.",
        "Use https, or set AWS_ALLOW_HTTP=true for a server of your own.",
    ),
    Cause(
        re.compile(r"dns error|failed to lookup address"),
        "its host name is not known.",
        "Check AWS_ENDPOINT_URL and the network.",
    ),
    Cause(
        re.compile(r"certificate|TlsError|invalid peer"),
        "its TLS certificate is not accepted.",
        "Check AWS_ENDPOINT_URL and SSL_CERT_FILE.",
    ),
    Cause(
        re.compile(r"kind: Timeout|operation timed out"),
        "it does not answer in time.",
        "Run again; on a slow line make the clip smaller.",
    ),
    Cause(
        re.compile(r"kind: (Connect|Interrupted|Request)|ConnectError"),
        "it cannot be reached.",
        "Check AWS_ENDPOINT_URL, the proxy variables and the network, then run again.",
    ),
)


def store_error(error: Exception, doing: str, store: str) -> HostingError:
    """Translate an error of obstore.

    Nothing of its text is passed on but the store's own error code and the HTTP status: the rest
    holds addresses, and on some stores the request that was signed.

    Args:
        error: what obstore raised.
        doing: what was tried, as in "Uploading the clip".
        store: the store's address without prefix, as in `s3://bucket`.
    """
    text = f"{type(error).__name__} {error}"
    cause = next((cause for cause in CAUSES if cause.signs.search(text)), None)
    says = cause.says if cause else "it failed in a way that is not known here."
    hint = cause.hint if cause else "Run again later; if it stays, try the bucket with the store's own tool."
    found = [match.group(1) for match in (STORE_CODE.search(text), HTTP_STATUS.search(text)) if match]
    details = f" ({', '.join(found)})" if found else ""
    return HostingError(f"{doing} at {store} did not work: {says[:-1]}{details}.", hint=hint)
