"""The driver of a blocking face, loaded when one is opened. `asyncio_driver` is its mirror."""

from __future__ import annotations

from typing import Any

from ...session import Session
from ..opening import driver_options


def open_driver(session: Session) -> Any:
    """The driver to the endpoint of a session; on a development machine one that tells when it holds up an event loop."""
    engine = session.config.engine
    if engine is not None:
        from ...io.in_process import InProcess, ProvenAnswer  # only for an engine in this process

        driver = InProcess(session.endpoint, **driver_options(session))
        driver.engine = engine
        if session.config.crc == "require":
            driver.answers = ProvenAnswer
        return driver
    if session.config.preset == "local_development":
        from ...io.watchful import Watchful  # one of the two is loaded

        return Watchful(session.endpoint, **driver_options(session))
    from ...io.blocking import Blocking  # one of the two is loaded

    return Blocking(session.endpoint, **driver_options(session))
