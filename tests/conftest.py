"""Shared fixtures. Helpers are the modules of `support/`, which is importable."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

sys.path.insert(0, str(Path(__file__).parent / "support"))

# Nothing that a test does touches the user's caches or Prefect set-up.
_HOME = tempfile.TemporaryDirectory(prefix="faitharchive-tests-")
os.environ["FAITHARCHIVE_CACHE"] = f"{_HOME.name}/cache"
os.environ["PREFECT_HOME"] = f"{_HOME.name}/prefect"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("COLUMNS", None)  # workers of pytest-xdist have it, and a console made then has that width for good

import jobs.cli.main  # noqa: E402, F401 (prepares the rest)

SHARED = Path(__file__).parents[2] / "shared"
# Long files that would come last: one process of pytest-xdist would still be at them when the other has nothing left.
_FIRST = ("test_secrets.py", "test_metrics.py", "test_readmes.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in _FIRST)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One small local Ray for all tests that need one."""
    import ray

    ray.init(
        address="local", num_cpus=3, object_store_memory=300 << 20, include_dashboard=False, log_to_driver=False,
        logging_level="ERROR",
    )  # fmt: skip
    try:
        yield
    finally:
        ray.shutdown()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """URL of an S3 server; `s3://bucket/...` means it in this process and in those that it starts."""
    from s3_server import start_s3

    server = start_s3()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    os.environ.update(
        AWS_ACCESS_KEY_ID="archive",
        AWS_SECRET_ACCESS_KEY="archive-secret",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ENDPOINT_URL=url,
        AWS_EC2_METADATA_DISABLED="true",
    )
    try:
        yield url
    finally:
        server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; tests skip where there is none. A module's and no more: no other event loop runs in its thread meanwhile."""
    from browser import start_browser

    with start_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    """Real photographs of ../shared; tests that need them skip where it is missing."""
    files = sorted((SHARED / "photos" / "val").glob("*.png"))
    if not files:
        pytest.skip("needs ../shared/photos, which is not here")
    return files
