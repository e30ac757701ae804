"""What is tried again, for how long, and what is said in the end."""

from __future__ import annotations

import errno
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from s3_server import FlakyProxy
from s3fs.errors import translate_boto_error

from faithdiff_model.redaction import redact
from pipelines.errors import ItemError
from pipelines.stages.publish import write_errors
from pipelines.store.retries import RetriesExhaustedError, is_transient, retry_transient, without_secrets
from pipelines.store.store import Store, StoreError


class ClientResponseError(Exception):
    """As aiohttp's: the status is an attribute."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


def wrapped(outer: Exception, inner: Exception) -> Exception:
    try:
        try:
            raise inner
        except Exception as error:
            raise outer from error
    except Exception as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionResetError(),
        OSError(errno.EIO, "input/output error"),
        OSError(errno.ESTALE, "stale handle"),
        OSError(errno.EBUSY, "Please reduce your request rate."),
        ClientResponseError(503),
        ClientResponseError(429),
        wrapped(OSError("cannot"), ClientResponseError(500)),
        wrapped(OSError("cannot"), ConnectionRefusedError()),
    ],
)
def test_what_passes(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(),
        PermissionError(errno.EACCES, "no"),
        FileExistsError(),
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EROFS, "read-only"),
        OSError(errno.EINVAL, "The specified bucket is not valid."),
        ClientResponseError(403),
        ClientResponseError(404),
        wrapped(PermissionError("expired"), ClientResponseError(500)),
        ValueError("a bug of ours"),
        MemoryError(),
    ],
)
def test_what_does_not(error: Exception) -> None:
    assert not is_transient(error)
    calls = []

    def fail() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        retry_transient(fail, "reading x", 30)
    assert calls == [1]


@pytest.mark.parametrize(
    ("code", "status", "passing"),
    [
        ("SlowDown", 503, True),
        ("InternalError", 500, True),
        ("RequestTimeout", 400, True),
        ("ThrottlingException", 400, True),
        ("TooManyRequests", 429, True),
        ("ConditionalRequestConflict", 409, True),
        ("BadGateway", 502, True),
        ("NoSuchKey", 404, False),
        ("AccessDenied", 403, False),
        ("InvalidAccessKeyId", 403, False),
        ("SignatureDoesNotMatch", 403, False),
        ("ExpiredToken", 400, False),
        ("InvalidArgument", 400, False),
        ("SomethingNewAndWrong", 400, False),
        ("NotImplemented", 501, False),
        ("QuotaExceeded", 403, False),
        ("XMinioAdminBucketQuotaExceeded", 400, False),
        ("XMinioStorageFull", 507, False),
    ],
)
def test_what_s3fs_makes_of_an_answer(code: str, status: int, passing: bool) -> None:
    answer = {"Error": {"Code": code, "Message": "as it says"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = translate_boto_error(ClientError(answer, "PutObject"))
    assert isinstance(error, OSError)
    assert is_transient(error) is passing
    if code.endswith(("QuotaExceeded", "StorageFull")):
        with pytest.raises(ItemError) as caught, write_errors("1924/a.png"):
            raise error
        assert caught.value.code == "no_space"
        assert caught.value.reason.startswith("1924/a.png: cannot be written")


def test_it_is_tried_again_until_it_works() -> None:
    left = [ConnectionResetError(), TimeoutError()]

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    assert retry_transient(work, "reading x", 30) == "done"
    assert left == []


def test_it_gives_up_and_says_what_for_how_long_and_why() -> None:
    def fail() -> None:
        raise ConnectionResetError("peer https://user:pw@host/?X-Amz-Signature=abc")

    started = time.monotonic()
    with pytest.raises(RetriesExhaustedError) as caught:
        retry_transient(fail, "reading 1924/a.tif", 1.0)
    assert 0.9 < time.monotonic() - started < 6
    assert caught.value.strerror is not None
    assert caught.value.strerror.startswith(
        "reading 1924/a.tif failed for 1 s (ConnectionResetError: peer https://host/"
    )
    assert "abc" not in caught.value.strerror
    assert "pw" not in caught.value.strerror


@pytest.mark.parametrize(
    "text",
    [
        "GET https://user:s3cret@host/x",
        "https://host/x?X-Amz-Signature=s3cret&X-Amz-Credential=s3cret",
        "https://account.blob/x?sig=s3cret",
        "Authorization: Bearer s3cret",
        "{'Authorization': 'AWS4-HMAC-SHA256 Credential=s3cret/2026, Signature=s3cret'}",
        "aws_secret_access_key=s3cret",
    ],
)
def test_no_secret_of_a_stores_words_gets_through(text: str) -> None:
    assert "s3cret" not in redact(f"error: {text}\nnext line")
    assert "\n" not in redact(text)


@pytest.fixture
def flaky(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    with FlakyProxy(s3_server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def bucket(name: str, seconds: float) -> Store:
    store = Store(f"s3://{name}/archive", seconds)
    # s3fs keeps one file system for equal arguments, and with it the endpoint of its first use.
    store.fs = type(store.fs)(skip_instance_cache=True, config_kwargs={"retries": {"total_max_attempts": 1}})
    store.fs.retries = 1
    store.fs.mkdir(name)
    return store


@pytest.mark.parametrize("cut", [False, True])
def test_an_s3_that_fails_every_third_request_is_no_trouble(flaky: FlakyProxy, cut: bool) -> None:
    store = bucket(f"third-{cut}".lower(), 30)
    flaky.fail_every(3, cut=cut)
    for number in range(6):
        store.publish(f"{number}.png", b"%d" % number)
    assert [entry.path for entry in store.list()] == [f"{number}.png" for number in range(6)]
    assert [store.read(f"{number}.png") for number in range(6)] == [b"%d" % number for number in range(6)]
    assert store.create("lease", b"mine")
    assert not store.create("lease", b"theirs")
    assert flaky.refused > 3


def test_an_s3_that_stays_down_is_given_up_by_name(flaky: FlakyProxy) -> None:
    store = bucket("down", 1.0)
    store.publish("1924/a.png", b"x")
    flaky.fail_for(60)
    for use, what in (
        (lambda: store.read("1924/a.png"), "reading 1924/a.png failed for 1 s"),
        (lambda: store.publish("1924/b.png", b""), "writing 1924/b.png failed for 1 s"),
    ):
        with pytest.raises(RetriesExhaustedError) as caught:
            use()
        assert what in str(caught.value.strerror)
    with pytest.raises(StoreError, match=r"s3://down/archive: cannot be listed \(listing down/archive failed for 1 s"):
        list(store.list())


def test_an_error_that_is_made_in_its_own_way_loses_its_secret_too() -> None:
    class OwnError(PermissionError):
        def __init__(self, *, text: str) -> None:
            super().__init__(errno.EACCES, text)

    cleaned = without_secrets(OwnError(text="refused: X-Amz-Signature=abc123"))
    assert isinstance(cleaned, OSError)
    assert cleaned.errno == errno.EACCES
    assert "abc123" not in str(cleaned)
    plain = OwnError(text="refused")
    assert without_secrets(plain) is plain
