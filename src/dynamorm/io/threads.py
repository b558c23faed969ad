"""What blocks, run in a thread of its own, so that a limit holds for it. It must not know what it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any


def start(work: Callable[[], Any], tell: Callable[[Any, BaseException | None], None]) -> None:
    """Run ``work()`` in a daemon thread with the caller's context variables, then ``tell(result, error)`` in that thread."""
    context = copy_context()

    def run() -> None:
        try:
            result = context.run(work)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            tell(None, error)
        else:
            tell(result, None)

    threading.Thread(target=run, name="dynamorm-call", daemon=True).start()


def within(work: Callable[[], Any], timeout: float) -> Any:
    """The result of ``work()``, waited for in this thread.

    Raises: what it raises; TimeoutError when it has not ended after ``timeout`` seconds.
    """
    ended = threading.Event()
    outcome: list[Any] = []

    def tell(result: Any, error: BaseException | None) -> None:
        outcome.extend((result, error))
        ended.set()

    start(work, tell)
    if not ended.wait(timeout):
        raise TimeoutError(f"not ended within {timeout:.3g} s")
    result, error = outcome
    if error is not None:
        try:
            raise error
        finally:
            outcome.clear()  # the error holds this frame
            del error
    return result
