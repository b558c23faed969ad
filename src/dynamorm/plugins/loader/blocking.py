"""`Loader`, for blocking code: what is wanted is collected, and read together when the first of it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, RLock
from typing import Any, Generic, TypeVar, cast

from dynamorm.errors import DeadlineExceeded
from dynamorm.plugin import OfOneProcess

from .gets import UNPICKLABLE_FOR, UNPICKLABLE_INSTEAD, Asked, Gets

M = TypeVar("M")

_LONGEST = 3e5
"""Seconds that a lock can wait on each platform."""


class Later(Generic[M]):
    """An item that a loader reads when somebody asks for it, together with all that were wanted until then.

    Example: ``customer = loader.later(Customer, order.customer_id)``, and in a template ``customer.get().name``
    """

    __slots__ = ("_asked", "_loader")

    def __init__(self, loader: Loader, asked: Asked) -> None:
        self._loader = loader
        self._asked = asked

    def get(self) -> M | None:
        """The object, or None when there is none. Raises: as `dynamorm.DB.batch_get`.

        Example: ``later.get()``
        """
        return cast("M | None", self._loader._value(self._asked))  # noqa: SLF001 - it is the loader's own

    def __repr__(self) -> str:
        return f"<Later {self._asked.item[0].__name__}>"


class Loader(OfOneProcess):
    """Reads items together that are wanted one by one, each once: by `batch_get`, up to 100 in a request.

    Made by ``db.loader()``, for one piece of work, such as a request or a page: what it has read once it gives again, the same object,
    as long as it lives. It keeps what was read for each scope apart. Threads may share it: what they want while a request is under way
    goes together in the next one. What could not be read is read anew when it is asked for again.

    Example::

        loader = db.loader()
        rows = [(order, loader.later(Customer, order.customer_id)) for order in orders]
        for order, customer in rows:  # the first get reads all of them
            print(order.number, customer.get().name)
    """

    unpicklable_for = UNPICKLABLE_FOR
    unpicklable_instead = UNPICKLABLE_INSTEAD

    def __init__(self, gets: Gets, run: Callable[[Any], Any]) -> None:
        self._gets = gets
        self._run = run
        self._lock = Lock()  # of the three below; held for moments only
        self._found: dict[Any, Any] = {}
        self._wanted: dict[Any, dict[Any, Asked]] = {}
        self._epoch = 0
        self._reading = RLock()  # one reads at a time: what others want meanwhile is joined

    def later(self, model: type[M], /, *key: Any, **parts: Any) -> Later[M]:
        """Say that an item will be wanted; nothing is sent. The key is given as to `get`.

        Raises: ValidationError for a key that does not fit the model.

        Example: ``customer = loader.later(Customer, order.customer_id)``
        """
        asked = self._gets.asked(model, key, parts)
        with self._lock:
            self._want(asked)
        return Later(self, asked)

    def get(self, model: type[M], /, *key: Any, **parts: Any) -> M | None:
        """The object under a key, or None; read now, with all that was wanted until now, where it was not read before.

        Raises: ValidationError for a key that does not fit the model; as `dynamorm.DB.batch_get`.

        Example: ``loader.get(Customer, "c1")``
        """
        return self.later(model, *key, **parts).get()

    def clear(self, model: type[Any] | None = None, /, *key: Any, **parts: Any) -> None:
        """Forget what was read: of one item, of a model, or all of it; of this scope, where a model is named.

        Example: ``loader.clear(Customer, "c1")`` after it was changed
        """
        item = None if model is None else self._named(model, key, parts)
        with self._lock:
            self._epoch += 1  # what is being read now is of before
            if item is None:
                self._found.clear()
            for known in [known for known in self._found if known[: len(item)] == item] if item is not None else ():
                del self._found[known]

    def _named(self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any]) -> Any:
        return self._gets.asked(model, key, parts).item if key or parts else self._gets.of(model)

    def _want(self, asked: Asked) -> None:
        if asked.item not in self._found:
            self._wanted.setdefault(asked.together, {})[asked.item] = asked

    def _value(self, asked: Asked) -> Any:
        found = self._found
        try:
            return found[asked.item]
        except KeyError:
            pass
        left = self._gets.left()
        if not self._reading.acquire(timeout=_LONGEST if left is None else min(left, _LONGEST)):
            self._gets.left()
            raise DeadlineExceeded("the deadline has passed before the loader had read the item")
        try:
            with self._lock:
                if asked.item in found:  # by who has read until now
                    return found[asked.item]
                self._want(asked)
                wanted = {item: one for item, one in self._wanted.pop(asked.together).items() if item not in found}
                epoch = self._epoch
            try:
                objects = self._run(self._gets.read(list(wanted.values())))
            except BaseException:
                with self._lock:  # others may still ask for the rest
                    self._wanted.setdefault(asked.together, {}).update(wanted)
                raise
            read = dict(zip(wanted, objects, strict=True))
            with self._lock:
                if epoch == self._epoch:
                    found.update(read)
            return read[asked.item]
        finally:
            self._reading.release()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._found)} read>"
