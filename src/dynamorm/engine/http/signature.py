"""AWS Signature Version 4, seen from the service: whether a request was signed with a key that is known. It knows no DynamoDB.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, TypeAlias

from dynamorm.engine.refusal import Refusal

ALGORITHM: Final = "AWS4-HMAC-SHA256"
WINDOW: Final = 15 * 60.0
"""Seconds that the clock of who signs may differ."""

Headers: TypeAlias = Sequence[tuple[str, str]]
"""Names in lower case, with their values, in the order of the request."""

_parts = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]*)").findall
_spaces = re.compile(r"  +")


def value_of(headers: Headers, name: str) -> str | None:
    """The value of a header; several are joined, as HTTP joins them."""
    found = [value for key, value in headers if key == name]
    return ",".join(found) if found else None


def parts_of(headers: Headers) -> dict[str, str]:
    """Credential, SignedHeaders and Signature of a request. Raises: Refusal where one of them is missing."""
    given = value_of(headers, "authorization")
    if given is None:
        raise Refusal("MissingAuthenticationTokenException", "Request is missing Authentication Token")
    if not given.startswith(ALGORITHM):
        raise _incomplete(f"Authorization header is no {ALGORITHM}")
    found = dict(_parts(given))
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not found.get(name):
            raise _incomplete(f"Authorization header requires '{name}' parameter")
    return found


class Signatures:
    """Checks signatures by ``keys``: the secret of each access key id. ``now`` is the clock.

    ``session`` finds the ``secret`` and the ``token`` of an access key that the token service gave out.

    Example: ``Signatures({"local": "local"}, region="us-east-1").check("dynamodb", headers, body)``
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        region: str,
        now: Callable[[], float] = time.time,
        session: Callable[[str], Mapping[str, Any] | None] = lambda _: None,
    ) -> None:
        self._keys = keys
        self._region = region
        self._now = now
        self._session = session

    def check(self, service: str, headers: Headers, body: bytes, *, path: str = "/", query: str = "") -> None:
        """Raise Refusal for a POST that is not signed with a key that is known, for this service and Region, about now."""
        parts = parts_of(headers)
        key_id, *scope = parts["Credential"].split("/")
        if len(scope) != 4:
            raise _incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term"
            )
        secret = self._secret(key_id, headers)
        date, region, of_service, term = scope
        stamp = self._stamp(headers)
        if (region, of_service, term) != (self._region, service, "aws4_request"):
            raise _invalid(
                f"Credential should be scoped to the Region {self._region}, the service {service} and the term aws4_request"
            )
        if date != stamp[:8]:
            raise _invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
        signed = parts["SignedHeaders"].split(";")
        canonical = "\n".join(
            ["POST", path, query, *_canonical(signed, headers), "", parts["SignedHeaders"], sha256(body).hexdigest()]
        )
        text = "\n".join([ALGORITHM, stamp, "/".join(scope), sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{secret}".encode()
        for part in (*scope, text):
            key = hmac.digest(key, part.encode(), "sha256")
        if not hmac.compare_digest(key.hex().encode(), parts["Signature"].encode(errors="replace")):
            raise _invalid(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key"
                " and signing method. Consult the service documentation for details."
            )

    def _secret(self, key_id: str, headers: Headers) -> str:
        """The secret of an access key. Raises: Refusal for one that is not known, is expired, or comes without its token."""
        secret = self._keys.get(key_id)
        if secret is not None:
            return secret
        session = self._session(key_id)
        token = value_of(headers, "x-amz-security-token") or ""
        if session is None or not hmac.compare_digest(session["token"].encode(), token.encode(errors="replace")):
            raise Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
        found: str = session["secret"]
        return found

    def _stamp(self, headers: Headers) -> str:
        """When it was signed, as X-Amz-Date says. Raises: Refusal."""
        stamp = value_of(headers, "x-amz-date") or ""
        try:
            signed = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise _incomplete(
                "Authorization header requires existence of an 'X-Amz-Date' of the form 20240101T000000Z"
            ) from None
        now = self._now()
        if abs(now - signed) > WINDOW:
            shown = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
            order = "Signature expired" if signed < now else "Signature not yet current"
            raise _invalid(
                f"{order}: {stamp} is {'now earlier' if signed < now else 'still later'} than {shown} (15 min.)"
            )
        return stamp


def _canonical(signed: list[str], headers: Headers) -> list[str]:
    """The lines of the signed headers. Raises: Refusal for one that is not there, and for one that must be signed."""
    names = {name for name, _ in headers}
    must = {"host", *(name for name in names if name.startswith("x-amz-"))}
    if not must <= set(signed):
        raise _invalid(f"{', '.join(sorted(must - set(signed)))} must be among the SignedHeaders")
    lines = []
    for name in signed:
        value = value_of(headers, name)
        if value is None:
            raise _invalid(f"the header {name[:64]!r} was signed, and is not there")
        lines.append(f"{name}:{_spaces.sub(' ', value.strip())}")
    return lines


def _incomplete(text: str) -> Refusal:
    return Refusal("IncompleteSignatureException", text)


def _invalid(text: str) -> Refusal:
    return Refusal("InvalidSignatureException", text)
