"""Certificates made on the spot, for servers in tests."""

from __future__ import annotations

import ipaddress
import secrets
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


class Authority:
    """Signs certificates; ``bundle`` is the file to trust."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self._folder = folder
        self._name = _named(name)
        self._key = _key()
        self.bundle = folder / f"{name}.pem"
        self.bundle.write_bytes(self._certificate(self._name, self._key, [], authority=True))

    def context(
        self, *hosts: str, expired: bool = False, early: bool = False, self_signed: bool = False
    ) -> ssl.SSLContext:
        """A server's context with a certificate for these hosts."""
        key, subject = _key(), _named(hosts[0])
        days = (-9, -2) if expired else (2, 9) if early else (-9, 9)
        signer = (key, subject) if self_signed else None
        text = self._certificate(subject, key, [_alternative(host) for host in hosts], days=days, signer=signer)
        path = self._folder / f"server-{secrets.token_hex(4)}.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + text)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        hosts: list[x509.GeneralName],
        *,
        days: tuple[int, int] = (-9, 9),
        authority: bool = False,
        signer: tuple[ec.EllipticCurvePrivateKey, x509.Name] | None = None,
    ) -> bytes:
        signing, issuer = signer or (self._key, self._name)
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return builder.sign(signing, SHA256()).public_bytes(Encoding.PEM)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
