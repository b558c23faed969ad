"""Opens a session for a face: reads the settings, and makes the engine of this process when they ask for it."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import Any, Protocol

from dynamorm.config.settings import Config

from ..errors import ConfigError
from ..io.tls import TLSSettings
from ..session import Session
from . import verbs


class InProcessEngine(Protocol):
    """DynamoDB inside this process, as `dynamorm.engine.Engine` is: what answers a request without a network."""

    def handle(
        self, target: str, body: bytes, *, strict: bool = False, access_key: str | None = None
    ) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        ...


def open_session(config: Config | InProcessEngine | None, extensions: tuple[Any, ...]) -> Session:
    """The session of a new face, without its plugins."""
    config = Config.from_env() if config is None else config
    if not isinstance(config, Config) and callable(getattr(config, "handle", None)):
        config = Config(engine=config)
    if not isinstance(config, Config):
        raise ConfigError(f"expected a Config, got {type(config).__name__}: write Config(endpoint=...) or a preset")
    if not isinstance(extensions, (tuple, list)):
        raise ConfigError(f"extensions is a tuple of plugins, not {type(extensions).__name__}: extensions=(plugin,)")
    if config.engine is None and config.endpoint is not None and "dynamorm.engine.engine" in sys.modules:
        engine = sys.modules["dynamorm.engine.engine"].engine_at(config.endpoint)
        if engine is not None:  # all else is as of any endpoint
            config = config.resolve().replace(engine=engine)
    if config.embedded:
        # By name: the engine is a development tool, and nothing of the library depends on it.
        engine = import_module("dynamorm.engine.shared").engine_of_process()
        place = {"endpoint": engine} if isinstance(engine, str) else {"endpoint": None, "engine": engine}
        config = config.replace(embedded=False, **place)
    session = Session(config.resolve(), time)
    session.stand_in(verbs)
    return session


def add_plugins(face: Any, extensions: tuple[Any, ...]) -> None:
    """Register the plugins of a new face: those it is given, and those of its settings. Where one fails, all are let go."""
    session: Session = face._session  # noqa: SLF001 - the face is being made
    config = session.config
    if config.circuit_breaker is not None:
        extensions = (face._breaker_of(config), *extensions)  # noqa: SLF001 - as above; it is asked before others are
    try:
        if extensions:
            face.use(*extensions)
        face._count_from_the_start()  # noqa: SLF001 - as above
    except BaseException:
        session.is_closed = True
        joined = [plugin for plugin in session.plugins if getattr(plugin, "joined", None) is not None]
        if joined:
            from .registration import let_go  # only where there are plugins

            let_go(joined, face)
        raise


def driver_options(session: Session) -> dict[str, Any]:
    """What the driver of a session is made with, beside its endpoint. Raises: ConfigError for a proxy it cannot use."""
    limits = session.config.performance
    return {
        "max_connections": limits.max_connections,
        "max_idle": limits.max_idle_connections,
        "max_age": limits.max_age,
        "max_quiet": limits.idle_timeout,
        "connection_timeout": limits.connection_timeout,
        "tls": _tls(session),
        "proxy": _proxy(session),
    }


def _proxy(session: Session) -> Any:
    if not session.config.trust_env:
        return None
    from ..io.proxy import proxy_for  # only for who asks for proxies

    return proxy_for(session.endpoint)


def _tls(session: Session) -> TLSSettings | None:
    """What the driver needs to speak TLS, None for a plain loopback endpoint."""
    config = session.config
    if not session.endpoint.secure:
        return None
    return TLSSettings(config.verify_tls, config.min_tls_version, config.ca_bundle)
