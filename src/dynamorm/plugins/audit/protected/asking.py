"""What is asked of protected values, which may have to wait for keys: once, for who writes records and for who reads them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, TypeVar

from dynamorm.effects import Flow
from dynamorm.errors import EncryptionError, KeyUnavailable
from dynamorm.plugin import NotReady

T = TypeVar("T")
MOST: Final = 8
"""Things that the opening of one value may wait for."""


def unless_gone(ask: Callable[[], T]) -> Generator[NotReady, bool, T | None]:
    """What a function gives; None where that needs a key that is gone.

    It yields what is missing, and is sent whether that is gone, once it was fetched. Raises: KeyUnavailable.
    """
    missing: NotReady | None = None
    for _ in range(MOST):
        try:
            return ask()
        except NotReady as waiting:
            missing = waiting
        except EncryptionError as error:
            if not error.is_final:
                raise
            return None
        if (yield missing):
            return None
    assert missing is not None  # or it was there
    raise KeyUnavailable(f"{missing.name} ended each time before it could be used")


def is_gone(missing: NotReady) -> Flow[bool]:
    """Fetch what is missing; whether it is gone. Raises: KeyUnavailable."""
    try:
        yield from missing.flow()
    except EncryptionError as error:
        if not error.is_final:
            raise
        return True
    return False
