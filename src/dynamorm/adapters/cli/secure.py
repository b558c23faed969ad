"""How TLS is agreed with an endpoint: version, cipher and certificate, or why there is no agreement, and what to do."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any, Final

from dynamorm import DB
from dynamorm.io.proxy import proxy_for
from dynamorm.io.tls import TLSSettings

_SOON: Final = 14 * 86400
_TIMEOUT: Final = 10.0
_CLOCK: Final = "or set the clock of this machine, where that is wrong"
_AUTHORITY: Final = "name the file of its authority by ca_bundle or AWS_CA_BUNDLE: a server of your own, and a proxy that looks into TLS, have one"
_REMEDIES: Final = {
    9: f"wait until it is valid, {_CLOCK}",
    10: f"renew it at the server, {_CLOCK}",
    18: _AUTHORITY,
    19: _AUTHORITY,
    20: _AUTHORITY,
    21: _AUTHORITY,
    62: "write the name that the certificate has into --endpoint",
    64: "write the name that the certificate has into --endpoint, not an address",
}
"""By the numbers of OpenSSL. Source: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/"""


def agreed(db: DB) -> tuple[bool, str] | None:
    """Whether TLS is agreed, and on what; None where none is spoken, or a proxy or no connection is in between."""
    endpoint, config = db._session.endpoint, db.config  # noqa: SLF001 - it belongs to the library
    if not endpoint.secure or (config.trust_env and proxy_for(endpoint) is not None):
        return None
    context = TLSSettings(config.verify_tls, config.min_tls_version, config.ca_bundle).context()
    try:
        plain = socket.create_connection((endpoint.host, endpoint.port), _TIMEOUT)
    except OSError:
        return None  # the connection says why
    try:
        with plain, context.wrap_socket(plain, server_hostname=endpoint.host) as secure:
            version, cipher = secure.version(), secure.cipher()
            found = f"{version}, {cipher[0] if cipher else 'no cipher'}"
            return True, f"{found}; {_certificate(secure.getpeercert())}"
    except ssl.SSLCertVerificationError as error:
        remedy = _REMEDIES.get(error.verify_code, "look at the certificate of the server")
        return False, f"the certificate of {endpoint.host} is refused: {error.verify_message}; {remedy}"
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        remedy = f"does this port speak TLS, and {config.min_tls_version} at least? A port without TLS is http://"
        return False, f"no agreement with {endpoint.host}: {reason}; {remedy}"


def _certificate(found: Any) -> str:
    if not found:
        return "its certificate was not checked (verify_tls=False)"
    names = ", ".join(value for kind, value in found.get("subjectAltName", ()) if kind in {"DNS", "IP Address"})
    issuer = {name: value for part in found.get("issuer", ()) for name, value in part}
    by = issuer.get("organizationName") or issuer.get("commonName") or "an authority without a name"
    end = ssl.cert_time_to_seconds(found["notAfter"])
    left = end - time.time()
    soon = f", in {left / 86400:.0f} days: it must be renewed" if left < _SOON else ""
    day = time.strftime("%Y-%m-%d", time.gmtime(end))
    return f"the certificate for {names[:100]} is of {by}, and ends on {day}{soon}"
