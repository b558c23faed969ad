"""What ``db.idempotent(...)`` was asked for, on either face: the options of one operation, or of a function's operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from dynamorm.errors import InvalidUse
from dynamorm.plugin import OfOneProcess

from .held import Known
from .options import Options, checked, record_key

_KNOWN: Final[WeakKeyDictionary[Any, Known]] = WeakKeyDictionary()
"""What the executions of a database have in common."""


def known_of(database: Any) -> Known:
    """What the executions of a database have in common."""
    found = _KNOWN.get(database)
    return _KNOWN.setdefault(database, Known()) if found is None else found


class Asked(OfOneProcess):
    """The arguments of ``db.idempotent(...)``. As a block they are those of one operation, as a decorator of a function's calls.

    A block is of the scope in which it was made, and refused in another one; what was made in none is of that in which it
    begins. A decorator is made once, and each call of its function is of the scope of the call.
    """

    unpicklable_for = "belongs to a database"
    unpicklable_instead = "begin the operation where it runs, with db.idempotent(...)"

    def __init__(
        self, records: Any, run: Callable[[Any], Any], key: Any, *, payload: Any, scope: Any, **times: Any
    ) -> None:
        self._records = records
        self._run = run
        self._key = key
        self._payload = payload
        self._scope = scope
        self._times = times
        self._is_entered = False
        self._made = made = records.in_scope()
        if not (callable(key) or callable(payload)):
            self._options: Options | None = self._checked(made, key, payload)
        else:  # the rest is looked at now, and what the functions give with each call
            self._options = None
            self._checked(made, "key", None)

    def _checked(self, records: Any, key: Any, payload: Any) -> Options:
        marks = records.config.idempotency_key
        return checked(records.tenant, key, payload=payload, scope=self._scope, marks=marks, **self._times)

    def _of_block(self) -> tuple[Any, Options]:
        """The records and the options of a block. Raises: InvalidUse; what refuses the scope that it is begun in."""
        options = self._options
        if options is None:
            raise InvalidUse(
                "key and payload are functions, which are called with the arguments of a decorated function: give a block the key"
                " itself, db.idempotent(order.id, payload=..., scope=...)"
            )
        if self._is_entered:
            raise InvalidUse("an operation is used for one block: call db.idempotent(...) for each")
        records = self._made.in_scope()
        tenant = records.tenant
        if tenant != options.tenant:  # it was made in no scope
            options = replace(options, tenant=tenant, record_key=record_key(tenant, options.scope, options.key))
        self._is_entered = True
        return records, options

    def _of_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Options]:
        """The records and the options of one call of a decorated function. Raises: what refuses the scope of the call."""
        records = self._records.in_scope()
        key, payload = (one(*args, **kwargs) if callable(one) else one for one in (self._key, self._payload))
        return records, self._checked(records, key, payload)
