"""`Face`, what `DB` and `AsyncDB` have in common: settings, and what is said where one is taken for another thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

from .errors import InvalidUse
from .other_ways import FACE, of_settings, teach

if TYPE_CHECKING:
    from .config import Config
    from .session import Session


class Face:
    """A database as a program holds it."""

    _io: Any
    _session: Session

    @property
    def config(self) -> Config:
        """The settings that this database was opened with; the endpoint of an embedded engine is among them.

        Another process, or another event loop, opens the same database with them.

        Example: ``AsyncDB(test_db.config)``
        """
        return self._session.config

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        name = type(self).__name__
        raise InvalidUse(
            f"a {name} holds connections, so it can be neither pickled nor deeply copied: send its settings (db.config)"
            f" and open a {name} with them on the other side"
        )


teach(Face, FACE)


def not_here(face: type, given: dict[str, Any]) -> InvalidUse:
    """The error for settings that were given to a face."""
    from .config import Config  # only a mistake needs it

    return of_settings(face.__name__, next(iter(given)), Config.__struct_fields__)


def wrong_block(right: str) -> Any:
    """What stands for the methods of a ``with`` block of the other kind: it says which one is right."""

    def refused(self: Any, *_: object) -> NoReturn:
        raise InvalidUse(right.format(name=type(self).__name__))

    return refused
