"""C2PA manifests of results (content credentials), signed with the archive's own certificate when they are exported.

A manifest is a file beside the result and not inside it: signatures hold the moment and chance, and results with equal
identities have equal bytes. The scan is its ingredient `parentOf`; the action `c2pa.edited` has the Digital Source Type and the
words of the result's own disclosure. Needs the extra `c2pa`. The private key is read once and handed to the library alone.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.export.item import Item, ItemFile, NotExportedError, media_type
from pipelines.export.package import opened
from pipelines.manifest.disclosure import Disclosure, disclosure_of

__all__ = ["CredentialsError", "Signer", "credentials_name"]

_LABEL = "scan"  # by which the action names its ingredient
_WANTED = "give a PEM file with an EC (P-256, P-384, P-521), RSA or Ed25519 key that is not encrypted"
_CURVES = {256: "es256", 384: "es384", 521: "es512"}


class CredentialsError(ValueError):
    """Certificate and key cannot be used, or the extra is missing; one line that says what to do. It never quotes a key."""


def credentials_name(result: str) -> str:
    """The name of a result's manifest file."""
    return f"{result}.c2pa"


class Signer:
    """Signs manifests with a certificate chain and its private key.

    Args:
        certificates: PEM file: the signing certificate, then those above it.
        key: PEM file of its private key, not encrypted: EC P-256, P-384 or P-521, RSA, or Ed25519.

    Raises:
        CredentialsError: either cannot be used, or `c2pa-python` is not installed.
    """

    def __init__(self, certificates: Path, key: Path) -> None:
        try:
            import c2pa
        except ImportError as error:
            raise CredentialsError('C2PA needs the extra c2pa: pip install "faitharchive[c2pa]"') from error
        self._library, self._lock = c2pa, threading.Lock()  # the library's signer is not for several threads at once
        chain, secret = _file(certificates, "certificate"), _file(key, "private key")
        _check_pair(chain, secret, certificates, key)
        try:
            info = c2pa.C2paSignerInfo(_algorithm(secret, key), chain, secret, None)
            self._signer = c2pa.Signer.from_info(info)
        except c2pa.C2paError as error:
            raise CredentialsError(
                f"{certificates} and {key}: no C2PA manifest can be signed with them ({type(error).__name__}); the first must "
                "hold the signing certificate and those above it, the second its private key"
            ) from None  # the library's words might quote what it was given

    def signed(self, item: Item) -> Item:
        """The same item with a C2PA manifest of its result.

        Raises:
            NotExportedError: scan or result cannot be read, or is no file of its format.
        """
        result, scan = item.file("restored"), item.file("scan")
        assert result is not None and scan is not None
        data = self._manifest(item, result, scan)
        name = credentials_name(result.name)
        made = ItemFile(
            role="credentials", name=name, sha256=hashlib.sha256(data).hexdigest(), size=len(data), data=data
        )
        return replace(item, files=(*item.files, made))

    def _manifest(self, item: Item, result: ItemFile, scan: ItemFile) -> bytes:
        c2pa = self._library
        definition = _definition(disclosure_of(item.row), item, result, scan)
        try:
            with (
                self._lock,
                c2pa.Builder(json.dumps(definition)) as builder,
                opened(scan) as origin,
                opened(result) as asset,
            ):
                builder.set_no_embed()
                parent = {"title": scan.name, "relationship": "parentOf", "label": _LABEL}
                builder.add_ingredient(parent, media_type(scan.name), origin)
                with tempfile.TemporaryFile() as copy:  # the library writes the asset once more, unchanged
                    return bytes(builder.sign(self._signer, media_type(result.name), asset, copy))
        except c2pa.C2paError as error:
            text = " ".join(str(error).split())[:200]
            raise NotExportedError(
                f"{item.row['source_path']}: no C2PA manifest could be made of {result.name} and {scan.name} ({text}); export "
                "it without --c2pa-cert"
            ) from error


def _definition(told: Disclosure, item: Item, result: ItemFile, scan: ItemFile) -> dict[str, object]:
    """The manifest before it is signed: the words of the disclosure in C2PA's terms."""
    name, _, number = told.program.partition(" ")
    restored_by = json.loads(item.row["software"] or "{}").get("faitharchive", number)
    edited = {
        "action": "c2pa.edited",
        "when": item.row["finished_at"].isoformat(),
        "softwareAgent": {"name": name, "version": restored_by},
        "digitalSourceType": item.row["disclosure"] or told.source_type,
        "description": "; ".join(told.steps),
        "parameters": {"ingredientIds": [_LABEL], "org.faitharchive.identity": told.identity},
    }
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [_LABEL]}}
    return {
        "claim_generator_info": [{"name": name, "version": number}],
        "title": result.name,
        "format": media_type(result.name),
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [opened, edited]}}],
    }


def _file(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredentialsError(
            f"{what} {path}: cannot be read ({error.strerror}); give the path of a PEM file"
        ) from error


def _check_pair(chain: bytes, secret: bytes, certificates: Path, key: Path) -> None:
    """Refuse a certificate that is none, or another key's: the library would say so at the first signature."""
    from cryptography import x509

    try:
        first = x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        raise CredentialsError(
            f"certificate {certificates}: no certificate in PEM form; give the signing one, then those above it"
        ) from None
    if first.public_key() != _private_key(secret, key).public_key():
        raise CredentialsError(
            f"private key {key}: it is not that of the first certificate in {certificates}; give both of one"
        )


def _algorithm(secret: bytes, path: Path) -> str:
    """C2PA's name of the algorithm that a key signs by."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    key = _private_key(secret, path)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size in _CURVES:
        return _CURVES[key.curve.key_size]
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise CredentialsError(f"private key {path}: {_WANTED}")


def _private_key(secret: bytes, path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(secret, password=None)
    except (ValueError, TypeError):
        raise CredentialsError(f"private key {path}: {_WANTED}") from None  # nothing of the key goes into a traceback
