"""How TLS is spoken: at least 1.2, certificate and host name verified, no key log, no renegotiation.

``ssl`` is imported when the first secure connection is made, not before: a plain endpoint never pays for it.
"""

from __future__ import annotations

import _socket
from typing import TYPE_CHECKING, Final

from dynamorm.effects import TransportError
from dynamorm.errors import ConfigError

if TYPE_CHECKING:
    from ssl import SSLContext

    from dynamorm.wire.endpoint import Endpoint

_VERSIONS: Final = {"TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3"}
_ALPN: Final = "http/1.1"


class TLSSettings:
    """Settings of secure connections. ``ca_bundle`` is a file or folder used *instead of* the system's authorities.

    ``verify=False`` is refused by the drivers for any host that is not loopback.

    Example: ``TLSSettings(min_version="TLSv1.3", ca_bundle="/etc/ssl/private-ca.pem")``
    """

    __slots__ = ("_context", "ca_bundle", "min_version", "verify")

    def __init__(self, verify: bool = True, min_version: str = "TLSv1.2", ca_bundle: str | None = None) -> None:  # noqa: FBT001, FBT002 (a value object's field)
        if min_version not in _VERSIONS:
            raise ConfigError(f"TLS version {min_version!r} is not one of {', '.join(_VERSIONS)}")
        self.verify: bool = verify
        self.min_version: str = min_version
        self.ca_bundle: str | None = ca_bundle
        self._context: SSLContext | None = None

    def __repr__(self) -> str:
        return f"TLSSettings(verify={self.verify}, min_version={self.min_version!r}, ca_bundle={self.ca_bundle!r})"

    def context(self) -> SSLContext:
        """Return the `ssl.SSLContext`, built once. Raises: `ConfigError` when the CA bundle cannot be read."""
        if self._context is None:
            self._context = self._build()
        return self._context

    def _build(self) -> SSLContext:
        import ssl

        # Not create_default_context(): that one writes session keys to the file SSLKEYLOGFILE names.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if issubclass(ssl.SSLSocket, _socket.socket):  # else a library has put its own in place of the system's
            context.sslsocket_class = type("SSLSocket", (ssl.SSLSocket,), {"__del__": _socket.socket.close})
        context.minimum_version = getattr(ssl.TLSVersion, _VERSIONS[self.min_version])
        context.options |= ssl.OP_NO_COMPRESSION | getattr(ssl, "OP_NO_RENEGOTIATION", 0)
        context.set_alpn_protocols([_ALPN])
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.ca_bundle is None:
            context.load_default_certs()
        else:
            self._load_bundle(context, self.ca_bundle)
        return context

    @staticmethod
    def _load_bundle(context: SSLContext, path: str) -> None:
        try:
            from pathlib import Path  # only for authorities of one's own: it costs milliseconds at import

            if Path(path).is_dir():
                context.load_verify_locations(capath=path)
            else:
                context.load_verify_locations(cafile=path)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(
                f"the CA bundle {path!r} cannot be used: {error}; correct ca_bundle, or AWS_CA_BUNDLE where that is set"
            ) from error


def handshake_failure(error: BaseException, host: str) -> TransportError:
    """Return what a failed handshake is to the caller: a bad certificate is final, anything else may pass."""
    import ssl

    if isinstance(error, ssl.CertificateError):
        reason = getattr(error, "verify_message", "") or str(error)
        return TransportError("certificate", f"{host}: {reason}", sent=False, fatal=True)
    return TransportError("tls", f"{host}: {str(error) or type(error).__name__}", sent=False)


def odd_protocol(selected: str | None) -> TransportError | None:
    """Refuse a server that chose a protocol nobody offered."""
    if selected is None or selected == _ALPN:
        return None
    return TransportError("tls", f"the server chose the protocol {selected!r}, which was not offered", sent=False)


def settings_for(endpoint: Endpoint, settings: TLSSettings | None) -> TLSSettings | None:
    """Return the settings to use, None for a plain endpoint.

    Raises: `ConfigError` when verification is switched off for a host that is not loopback.
    """
    if not endpoint.secure:
        return None
    if settings is not None and not settings.verify and not endpoint.is_loopback:
        raise ConfigError(f"TLS verification cannot be switched off for {endpoint.host}: only for a loopback host")
    return settings or TLSSettings()
