"""A certificate chain as an archive would have it for C2PA: an authority of its own, and a certificate for signing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Chain:
    """Files of a chain: the signing certificate with its authority's, the private key, and the authority's alone."""

    certificates: Path
    key: Path
    authority: Path


def make_chain(folder: Path, days: int = 30) -> Chain:
    """Make a chain that is valid from yesterday, for so many days, with EC keys of 256 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    begin = datetime.now(UTC) - timedelta(days=1)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, name = _name("Test archive authority"), _name("Test archive")
    usage = {
        "digital_signature": False, "content_commitment": False, "key_encipherment": False, "data_encipherment": False,
        "key_agreement": False, "key_cert_sign": False, "crl_sign": False, "encipher_only": False, "decipher_only": False,
    }  # fmt: skip

    def certificate(subject: x509.Name, public: ec.EllipticCurvePublicKey, authority: bool) -> x509.Certificate:
        bits = usage | ({"key_cert_sign": True, "crl_sign": True} if authority else {"digital_signature": True})
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**bits), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        )
        if not authority:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True
            )
        return builder.sign(root_key, hashes.SHA256())

    root = certificate(root_name, root_key.public_key(), True)
    leaf = certificate(name, key.public_key(), False)
    chain = Chain(folder / "chain.pem", folder / "key.pem", folder / "authority.pem")
    pem = serialization.Encoding.PEM
    chain.authority.write_bytes(root.public_bytes(pem))
    chain.certificates.write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
    chain.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return chain


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CH"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test archive"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
