"""What stores and their libraries say when they refuse: as errors that our code knows, naming the object, without secrets."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from aiohttp import ClientPayloadError
from botocore.exceptions import NoCredentialsError

from pipelines.store.retries import RetriesExhaustedError
from pipelines.store.store import Store, StoreError


@pytest.mark.parametrize(
    "url", ["https://user:s3cret@host.example:8443/archive", "nonsense://user:s3cret@host/archive"]
)
def test_a_url_with_credentials_is_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store(url)
    assert "s3cret" not in str(caught.value)
    assert "user" not in str(caught.value)
    assert "holds credentials" in str(caught.value)


@pytest.mark.parametrize("url", ["abfss://scans@museum.dfs.core.windows.net/1924", "oci://scans@museum/1924"])
def test_a_containers_name_before_its_account_is_no_credential(url: str) -> None:
    try:
        Store(url)
    except StoreError as error:  # its package is missing here, or finds no credentials
        assert "holds credentials" not in str(error)
    with pytest.raises(StoreError, match="holds credentials"):
        Store(url.replace("@", ":s3cret@"))


def test_errors_of_a_stores_library_arrive_as_os_errors_that_name_the_object() -> None:
    store = Store(f"s3://{uuid.uuid4().hex}/archive", retry_seconds=0)
    store.fs = _Raising(NoCredentialsError())
    for use, doing in (
        (lambda: store.read("a/b.png"), "reading a/b.png"),
        (lambda: store.publish("a/b.png", b""), "writing a/b.png"),
        (lambda: store.create("a/b.png", b""), "creating a/b.png"),
        (lambda: store.exists("a/b.png"), "looking for a/b.png"),
    ):
        with pytest.raises(
            OSError, match=rf"{doing} failed \(NoCredentialsError: Unable to locate credentials\)"
        ) as caught:
            use()
        assert not isinstance(caught.value, RetriesExhaustedError)
    with pytest.raises(StoreError, match=r"cannot be listed \(Unable to locate credentials"):
        list(store.list())


@pytest.mark.parametrize("kind", [PermissionError, FileNotFoundError, OSError, ClientPayloadError, RuntimeError])
def test_what_reading_and_writing_say_holds_no_secret(kind: type[Exception]) -> None:
    store = Store(f"s3://{uuid.uuid4().hex}/archive", retry_seconds=0)
    store.fs = _Raising(kind("403 at https://user:s3cret@host/x?X-Amz-Signature=s3cret&x=1"))
    for use in (lambda: store.read("a.png"), lambda: store.publish("a.png", b"")):
        with pytest.raises(kind if issubclass(kind, OSError) else OSError) as caught:
            use()
        assert "s3cret" not in str(caught.value)
        assert "host" in str(caught.value)
        assert "s3cret" not in (caught.value.strerror or "")


class _Raising:
    """A file system that fails in one way, whatever it is asked."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def invalidate_cache(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        def fail(*_: Any, **__: Any) -> None:
            raise self.error

        return fail


def test_secrets_in_a_stores_own_words_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store("https://host.example:8443/archive", retry_seconds=0)
    monkeypatch.setattr(store, "fs", _Refusing())
    shown = []
    for use in (store.check_writable, lambda: list(store.list())):
        with pytest.raises(StoreError) as caught:
            use()
        shown.append(str(caught.value))
    with pytest.raises(StoreError) as caught:
        Store("https://host.example/archive?token=s3cret")
    shown.append(str(caught.value))
    assert not [text for text in shown if "s3cret" in text or "user" in text]
    assert all("host" in text for text in shown)


class _Refusing:
    """A file system whose errors repeat the whole URL, as some do."""

    def ls(self, path: str, detail: bool) -> None:
        raise PermissionError(
            "403 at https://user:s3cret@host/?X-Amz-Signature=s3cret&x=1 Authorization: Bearer s3cret"
        )

    def makedirs(self, path: str, exist_ok: bool) -> None:
        pass

    def pipe_file(self, path: str, data: bytes) -> None:
        raise OSError("cannot PUT https://user:s3cret@host/?sig=s3cret")

    def unstrip_protocol(self, path: str) -> str:
        return path


def test_a_store_whose_package_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str) -> None:
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(
        StoreError, match=r"store gs://scans: the package for gs:// is not installed; run: pip install gcsfs$"
    ):
        Store("gs://scans")
    with pytest.raises(StoreError, match=r"pip install 'faitharchive\[s3\]'$"):
        Store("s3://scans")
