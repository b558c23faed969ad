"""The driver of an asyncio face, loaded with the face: an event loop must not wait for it. `blocking_driver` is its mirror."""

from __future__ import annotations

from ...io.aio import Aio
from ...session import Session
from ..opening import driver_options


def open_driver(session: Session) -> Aio:
    """The driver to the endpoint of a session."""
    return Aio(session.endpoint, **driver_options(session))
