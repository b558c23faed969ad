"""Certificates made on the spot: X.509 with ECDSA over P-256, written out by hand so that no package is needed.

For tests only: the arithmetic is plain and takes no care of timing.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import ssl
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

Point: TypeAlias = "tuple[int, int] | None"

# SEC 2, section 2.4.2 (secp256r1)
_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def _add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0]:
        if (a[1] + b[1]) % _P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, _P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _P)
    x = (slope * slope - a[0] - b[0]) % _P
    return x, (slope * (a[0] - x) - a[1]) % _P


def _times(factor: int) -> tuple[int, int]:
    found: Point = None
    power: Point = _G
    while factor:
        if factor & 1:
            found = _add(found, power)
        power = _add(power, power)
        factor >>= 1
    assert found is not None
    return found


def _der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([0x80 | (size.bit_length() + 7) // 8]) + _bytes(size)
    return bytes([tag]) + length + body


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _integer(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


_ECDSA = _der(0x30, bytes.fromhex("06082a8648ce3d040302"))  # ecdsa-with-SHA256
_CURVE = bytes.fromhex("06082a8648ce3d030107")  # prime256v1
_KEY_KIND = _der(0x30, bytes.fromhex("06072a8648ce3d0201"), _CURVE)  # id-ecPublicKey


def _name(text: str) -> bytes:
    return _der(0x30, _der(0x31, _der(0x30, bytes.fromhex("0603550403"), _der(0x0C, text.encode()))))


def _time(moment: datetime) -> bytes:
    return _der(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return _der(0x30, bytes.fromhex(oid), _der(0x01, b"\xff") if critical else b"", _der(0x04, value))


def _alternative(host: str) -> bytes:
    try:
        return _der(0x87, ipaddress.ip_address(host).packed)
    except ValueError:
        return _der(0x82, host.encode())


def _pem(label: str, der: bytes) -> str:
    text = b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


class Key:
    """A private key."""

    def __init__(self) -> None:
        self._secret = secrets.randbelow(_N - 1) + 1
        x, y = _times(self._secret)
        self._point = b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
        self.public = _der(0x30, _KEY_KIND, _der(0x03, b"\0" + self._point))

    def sign(self, data: bytes) -> bytes:
        """An ECDSA signature."""
        digest = int.from_bytes(hashlib.sha256(data).digest(), "big")
        nonce = secrets.randbelow(_N - 1) + 1
        r = _times(nonce)[0] % _N
        s = pow(nonce, -1, _N) * (digest + r * self._secret) % _N
        return _der(0x30, _integer(r), _integer(s))

    def pem(self) -> str:
        """As OpenSSL reads it (RFC 5915)."""
        secret = self._secret.to_bytes(32, "big")
        return _pem("EC PRIVATE KEY", _der(0x30, _integer(1), _der(0x04, secret), _der(0xA0, _CURVE)))


class Authority:
    """Signs certificates; ``bundle`` is the file to trust."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self._folder = folder
        self._name = name
        self._key = Key()
        self.bundle = folder / f"{name}.pem"
        self.bundle.write_text(self._certificate(name, self._key, self._key, name, [], authority=True))

    def context(
        self, *hosts: str, expired: bool = False, early: bool = False, self_signed: bool = False
    ) -> ssl.SSLContext:
        """A server's context with a certificate for these hosts."""
        key = Key()
        text = self._certificate(
            hosts[0], key, key if self_signed else self._key, hosts[0] if self_signed else self._name, list(hosts),
            days=(-9, -2) if expired else (2, 9) if early else (-9, 9),
        )  # fmt: skip
        path = self._folder / f"server-{secrets.token_hex(4)}.pem"
        path.write_text(key.pem() + text)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    @staticmethod
    def _certificate(
        subject: str,
        key: Key,
        signer: Key,
        issuer: str,
        hosts: list[str],
        *,
        days: tuple[int, int] = (-9, 9),
        authority: bool = False,
    ) -> str:
        now = datetime.now(UTC)
        extensions = [_extension("0603551d13", _der(0x30, _der(0x01, b"\xff") if authority else b""), critical=True)]
        if hosts:
            extensions.append(_extension("0603551d11", _der(0x30, *map(_alternative, hosts))))
        told = _der(
            0x30,
            _der(0xA0, _integer(2)),
            _integer(secrets.randbits(63)),
            _ECDSA,
            _name(issuer),
            _der(0x30, *(_time(now + timedelta(days=day)) for day in days)),
            _name(subject),
            key.public,
            _der(0xA3, _der(0x30, *extensions)),
        )
        return _pem("CERTIFICATE", _der(0x30, told, _ECDSA, _der(0x03, b"\0" + signer.sign(told))))
