"""Trying again what a store failed at in passing: a timeout, a cut connection, a server that asks to be spared."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from faithdiff_model.redaction import redact

__all__ = [
    "RetriesExhaustedError",
    "causes",
    "code_of",
    "is_transient",
    "retry_transient",
    "what_failed",
    "without_secrets",
]

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 8.0  # seconds between two tries
_PASSING_ERRNOS = {
    errno.EAGAIN, errno.EBUSY, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTDOWN,
    errno.EHOSTUNREACH, errno.EINTR, errno.EIO, errno.ENETDOWN, errno.ENETRESET, errno.ENETUNREACH, errno.EPIPE,
    errno.EREMOTEIO, errno.ESTALE, errno.ETIMEDOUT,
}  # fmt: skip
_PASSING_STATUSES = {408, 409, 425, 429}  # and from 500; 409: another's conditional put of the key was under way
_FINAL_STATUSES = {501, 507}  # not implemented; no space
_THROTTLED = re.compile(r"Throttl|SlowDown|TooManyRequests|RequestLimitExceeded|BandwidthLimitExceeded")
# Libraries' own classes for a connection that broke, by name: none of them need be installed.
_PASSING_CLASSES = re.compile(
    r"(Timeout|Connection\w*|Connector\w*|ServerDisconnected|ClientPayload|ClientOSError|EndpointConnection|HTTPClient|"
    r"IncompleteRead|ServiceRequest|ServiceResponse|ResponseStreaming|ProtocolError|ChunkedEncoding)(Error|$)"
)

Result = TypeVar("Result")


class RetriesExhaustedError(OSError):
    """A store kept failing; `strerror` says at what, for how long and how."""


def retry_transient(call: Callable[[], Result], what: str, seconds: float) -> Result:
    """The result of a call to a store, tried again while its failures pass.

    Args:
        call: what to do; repeating it must do no harm.
        what: names it and the object in an error, such as `reading 1924/a.tif`.
        seconds: for how long in all; 0 tries once.

    Raises:
        RetriesExhaustedError: it failed in passing until the end.
        Exception: any other failure, as it came.
    """
    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        wait=wait_exponential_jitter(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT, jitter=_FIRST_WAIT),
        stop=stop_after_delay(seconds),
        reraise=True,
    )
    try:
        return retrying(call)
    except Exception as error:
        if not is_transient(error):
            harmless = without_secrets(error)
            if harmless is error:
                raise
            raise harmless from None
        text = redact(f"{type(error).__name__}: {error}")
        raise RetriesExhaustedError(errno.ETIMEDOUT, f"{what} failed for {seconds:.0f} s ({text[:200]})") from (
            error if without_secrets(error) is error else None
        )


def without_secrets(error: Exception) -> Exception:
    """The error itself, or one like it without the secrets that it or its causes quote: loggers print whole chains."""
    if all(redact(str(one)) == " ".join(str(one).split()) for one in causes(error)):
        return error
    text = redact(str(error))
    if not isinstance(error, OSError):
        return OSError(text)
    said = (error.errno, redact(error.strerror)) if error.strerror else (text,)
    try:
        return type(error)(*said)
    except TypeError:  # a library's own, made in another way
        return OSError(*said)


def what_failed(error: Exception) -> str:
    """What an error of a store says, without secrets, in one line: at what it kept failing, or its class and its words."""
    words = error.strerror if isinstance(error, RetriesExhaustedError) else None
    return redact(words or f"{type(error).__name__}: {error}")


def is_transient(error: BaseException) -> bool:
    """Whether a failure may be gone in a moment. What a store says on purpose (not there, forbidden, full) is not."""
    if isinstance(
        error, FileNotFoundError | FileExistsError | PermissionError | IsADirectoryError | NotADirectoryError
    ):
        return False
    chain = list(causes(error))
    status = next((status for one in chain if (status := _status(one)) is not None), None)
    if status is None or isinstance(error, TimeoutError | ConnectionError):
        return any(_passes(one) for one in chain)
    # s3fs makes EIO of each code that it does not know, so what the server answered decides.
    throttled = any(_THROTTLED.search(code_of(one)) for one in chain)
    return throttled or status in _PASSING_STATUSES or (status >= 500 and status not in _FINAL_STATUSES)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it: file systems wrap those of the libraries under them."""
    current: BaseException | None = error
    for _ in range(4):
        if current is None:
            return
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _passes(error: BaseException) -> bool:
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:  # below 0: names not resolved
        return error.errno in _PASSING_ERRNOS
    return any(_PASSING_CLASSES.search(kind.__name__) for kind in type(error).__mro__[:-2])


def code_of(error: object) -> str:
    """The code in an error of botocore."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _status(error: object) -> int | None:
    """The HTTP status in an error of botocore, aiohttp, gcsfs or azure."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    for name in ("status", "status_code", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and 100 <= value < 600:
            return value
    return None
