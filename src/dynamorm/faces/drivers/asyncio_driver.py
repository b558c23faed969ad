"""The driver of an asyncio face, loaded with the face: an event loop must not wait for it. `blocking_driver` is its mirror."""

from __future__ import annotations

from ...io.aio import Aio
from ...session import Session
from ..opening import driver_options


def open_driver(session: Session) -> Aio:
    """The driver to the endpoint of a session."""
    engine = session.config.engine
    if engine is not None:
        from ...io.aio_in_process import AioInProcess, ProvenAnswer  # only for an engine in this process

        driver = AioInProcess(session.endpoint, **driver_options(session))
        driver.engine = engine
        if session.config.crc == "require":
            driver.answers = ProvenAnswer
        return driver
    return Aio(session.endpoint, **driver_options(session))
