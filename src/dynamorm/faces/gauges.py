"""Numbers of this moment: of the connections, of the retries, and of plugins that have some."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dynamorm.errors.log import close_coroutine, interrupts
from dynamorm.plugin import Greatest

if TYPE_CHECKING:
    from dynamorm.errors.log import FailureLog
    from dynamorm.session import Session


def of(session: Session, driver: Any) -> dict[str, float]:
    """See `dynamorm.faces.face.Face.gauges`."""
    channel = session.channel
    found: dict[str, float] = {}
    pool = getattr(driver, "pool", None)  # the driver of a dry run has none
    if pool is not None:
        idle = len(pool.idle)
        found |= {
            "pool_busy": max(pool.size - idle, 0),
            "pool_idle": idle,
            "pool_waiting": len(pool.waiters),
            "pool_waits": pool.waits,
            "pool_wait_seconds": pool.waited,
            "pool_connections_max": pool.max_connections,
        }
    # These belong to the endpoint, which several databases may have.
    found |= {
        "retry_tokens": Greatest(channel.bucket.tokens),
        "clock_skew_seconds": Greatest(channel.skew.measured or 0.0),
        "clock_samples": Greatest(channel.skew.samples),
    }
    for gauges, failed in session.gauges:
        found |= _given(gauges, failed)
    return found


def reader_of(session: Session, driver: Any) -> Callable[[], dict[str, float]]:
    """The same for a plugin to ask for: it does not keep the database alive."""
    known = weakref.ref(session)

    def read() -> dict[str, float]:
        session = known()
        return {} if session is None else of(session, driver)

    return read


def _given(gauges: Callable[[], Any], failed: FailureLog) -> Mapping[str, float]:
    """What a plugin gives. What fails is logged: the other numbers are good."""
    try:
        found = gauges()
        close_coroutine(found)
        return {str(key): value if isinstance(value, Greatest) else float(value) for key, value in found.items()}
    except BaseException as error:  # as above
        if interrupts(error):
            raise
        failed(error)
        return {}
