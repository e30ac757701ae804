"""Credentials kept out of messages, logs and records."""

from __future__ import annotations

import re

__all__ = ["redact", "redact_url", "without_credentials"]

_SIGNATURES = re.compile(
    r"((?:X-Amz-[\w-]+|X-Goog-[\w-]+|AWSAccessKeyId|Signature|sig|token|key|secret|password|credential)=)[^&\s\"']+",
    re.IGNORECASE,
)
_HEADERS = re.compile(
    r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?)(?:(?:basic|bearer|aws4-hmac-sha256)\s+)?[^\s'\",;]+[^\n'\"]*"
)


def redact_url(url: str) -> str:
    """A URL without user name, password and query: what may stand in messages. A local path stays as it is."""
    return without_credentials(url).split("?", 1)[0] if "://" in url else url


def without_credentials(text: str) -> str:
    """A URI or a message without user names and passwords.

    Unlike `redact_url` it keeps `?`, which may be part of a file's name.
    """
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


def redact(text: str) -> str:
    """A store's own words on one line, without credentials, signatures and authorization headers."""
    text = without_credentials(" ".join(text.split()))
    return _HEADERS.sub(r"\1***", _SIGNATURES.sub(r"\1***", text))
