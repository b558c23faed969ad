r"""A licence: ``DLIC1.<claims>.<signature>``, and what makes one valid. It must not know where it was found, nor features.

The signature, Ed25519, is over ``"dynamorm-license/1\0"`` and the bytes of the claims as they came: it is checked first, and
only then is anything read of them. Source: RFC 8032 (Ed25519), RFC 4648, section 5 (base64url).
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from msgspec import Struct

from dynamorm.errors import LicenseError

from .keys import KEYS, REVOKED, TESTING_KEY, TESTING_KID

LONGEST: Final = 8192
"""Characters of a licence."""
DRIFT: Final = 300
"""Seconds by which the clock of this machine may be wrong."""
LONGEST_GRACE: Final = 30 * 86400
"""Seconds for which a licence may still count after its end, with a warning."""
SIGNED: Final = b"dynamorm-license/1\0"

_FORM: Final = re.compile(r"DLIC1\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})", re.ASCII)
_TEXTS: Final = ("kid", "lid", "sub")
_LAST_DAY: Final = 253_402_214_400  # 9999-12-31
_TIMES: Final = ("iat", "nbf", "exp")
_KNOWN: Final = frozenset({*_TEXTS, *_TIMES, "feat", "grace", "alg", "ver"})
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


class Licence(Struct, frozen=True):
    """What a licence says: its id, whose it is, for which features, and when. Times are seconds since 1970."""

    kid: str
    lid: str
    sub: str
    feat: tuple[str, ...]
    iat: int
    nbf: int
    exp: int
    grace: int = 0

    def in_grace(self, now: float) -> bool:
        """Whether it has ended, and counts only for some time still."""
        return now >= self.exp + DRIFT

    def check_time(self, now: float) -> None:
        """Refuse it before its time and after it. Raises: LicenseError."""
        if now < self.iat - DRIFT:
            raise LicenseError(
                f"the licence {self.lid} was issued on {day(self.iat)}, which is yet to come: check this machine's clock"
            )
        if now < self.nbf - DRIFT:
            raise LicenseError(
                f"the licence {self.lid} is not valid before {day(self.nbf)}: check this machine's clock"
            )
        if now >= self.exp + self.grace + DRIFT:
            raise LicenseError(
                f"the licence {self.lid} has ended on {day(self.exp)}: a new one is needed to enable features;"
                " what is stored can be read without one"
            )


def day(seconds: int) -> str:
    """A time as a day of UTC, for people; the last that there is for what is behind it. Example: ``"2027-01-31"``."""
    return datetime.fromtimestamp(min(seconds, _LAST_DAY), UTC).date().isoformat()


def read(text: str, *, loopback: bool, keys: Mapping[str, str] = KEYS) -> Licence:
    """What a licence says, once its signature is found right. Its times are checked by `Licence.check_time`.

    ``loopback``: the engine is on this machine, where licences of `dynamorm.testing.licence` count too.

    Raises: LicenseError, which never shows the licence.
    """
    payload, signature = _parts(text)
    if loopback:
        keys = {**keys, TESTING_KID: TESTING_KEY}
    kid = _signer(payload, signature, keys)
    if kid is None:
        _refuse("its signature is by no key of this version: it was altered, or is for another version")
    licence = _checked(_claims(payload))
    if licence.kid != kid:
        _refuse("it names another key than the one it is signed with")
    if licence.lid in REVOKED or kid in REVOKED:
        _refuse("it was revoked")
    return licence


def _parts(text: str) -> tuple[bytes, bytes]:
    """The claims and the signature, in their one spelling. Raises: LicenseError."""
    if len(text) > LONGEST:
        _refuse(f"it is longer than {LONGEST} characters")
    found = _FORM.fullmatch(text)
    if found is None:
        _refuse("it is not of the form DLIC1.<claims>.<signature>: copy it whole, on one line")
    parts = []
    for part in found.groups():
        try:
            raw = urlsafe_b64decode(part + "=" * (-len(part) % 4))
        except ValueError:
            raw = b""
        if urlsafe_b64encode(raw).rstrip(b"=").decode() != part:  # other spellings of the same bytes are none of it
            _refuse("it is no base64url: copy it whole")
        parts.append(raw)
    return parts[0], parts[1]


def _signer(payload: bytes, signature: bytes, keys: Mapping[str, str]) -> str | None:
    """The id of the key that the claims are signed with."""
    try:
        from cryptography.exceptions import InvalidSignature  # an optional dependency, for whom has a licence
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise LicenseError(
            "a licence is checked by the package cryptography: pip install 'dynamorm-py[secure]'"
        ) from error
    for kid, key in keys.items():
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, SIGNED + payload)
        except InvalidSignature:
            continue
        return kid
    return None


def _claims(payload: bytes) -> dict[str, Any]:
    """The claims of a licence whose signature is right. Raises: LicenseError."""
    try:
        claims = json.loads(
            payload.decode("utf-8"), object_pairs_hook=_without_repetition, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        _refuse("its claims are no JSON")
    if not isinstance(claims, dict):
        _refuse("its claims are no JSON object")
    return claims


def _checked(claims: dict[str, Any]) -> Licence:
    """The claims as a licence. Types are exact: True is no number of seconds. Raises: LicenseError."""
    if claims.keys() - _KNOWN:
        _refuse(f"this version does not know all of its claims; known are {', '.join(sorted(_KNOWN))}")
    if claims.get("alg", "Ed25519") != "Ed25519" or (type(ver := claims.get("ver", 1)), ver) != (int, 1):
        _refuse("it is of a version or an algorithm that is not known")
    for name in _TEXTS:
        if type(claims.get(name)) is not str or not 0 < len(claims[name]) <= 200:
            _refuse(f"its {name!r} is a text of 1 to 200 characters")
    for name in _TIMES:
        if type(claims.get(name)) is not int or not 0 <= claims[name] < 2**40:
            _refuse(f"its {name!r} is a whole number of seconds")
    grace, features = claims.get("grace", 0), claims.get("feat")
    if type(grace) is not int or not 0 <= grace <= LONGEST_GRACE:
        _refuse(f"its 'grace' is a whole number of seconds, at most {LONGEST_GRACE}")
    if type(features) is not list or not all(type(one) is str and _NAME.fullmatch(one) for one in features):
        _refuse("its 'feat' is a list of names of features")
    if claims["nbf"] > claims["exp"]:
        _refuse("it ends before it begins")
    times = {name: claims[name] for name in (*_TEXTS, *_TIMES)}
    return Licence(feat=tuple(features), grace=grace, **times)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse("its claims name something twice")
    return found


def _refuse_constant(_: str) -> NoReturn:
    _refuse("its claims are no JSON")


def _refuse(problem: str) -> NoReturn:
    raise LicenseError(f"the licence is not valid: {problem}")
