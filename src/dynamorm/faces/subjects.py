"""Which items a verb is about, for `dynamorm.plugin.Operation`: their keys, and of verbs of many their models.

Keys are found when a plugin asks for them. It must not know what the verbs do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from dynamorm.ops.reads.batch_get import keys_of
from dynamorm.ops.reads.items import key_from_parts
from dynamorm.ops.reads.transact_get import asked_of
from dynamorm.plugin import Item

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.session import Session

Found = Iterator[tuple["ModelRequests", str, bytes]]
"""Of each item the requests of its model, the verb, and its key as JSON."""


def key_of_subject(session: Session, args: tuple[Any, ...]) -> Any:
    """The key of an item that is named by its model, its key, and its parts by name."""
    model, key, parts = args[:3]
    plan = session.plan(model)
    return plan.codec.key_values(plan.codec.key_json(key_from_parts(plan, key, parts) if parts else key))


def key_of_object(session: Session, obj: Any) -> Any:
    """The key of an object."""
    codec = session.plan(type(obj)).codec
    return codec.key_values(codec.key_of(obj))


def only_model(session: Session, verb: str, args: tuple[Any, ...]) -> tuple[type[Any] | None, str | None]:
    """The model and the table of all items, each None where they differ; what is no model is refused by the verb itself."""
    try:
        models = _MODELS[verb](*args)
        tables = {session.plan(model).table for model in models}
    except Exception:  # noqa: BLE001 - as above
        return None, None
    return models.pop() if len(models) == 1 else None, tables.pop() if len(tables) == 1 else None


def only_key(items: Callable[[], tuple[Item, ...]]) -> tuple[Any, ...] | None:
    """The key of the only item, None where there are several."""
    found = items()
    return found[0].key if len(found) == 1 else None


def items(session: Session, verb: str, args: tuple[Any, ...]) -> tuple[Item, ...]:
    """The items of a verb of many. Raises: as the verb, for what is no key."""
    return tuple(
        Item(plan.model, plan, of, plan.codec.key_values(key)) for plan, of, key in _ITEMS[verb](session, *args)
    )


def _models_of_writes(puts: Any, deletes: Any) -> set[type[Any]]:
    if not isinstance(puts, Collection):  # a stream of objects is read once, by the verb
        return set()
    return {*map(type, puts), *(one[0] if one.__class__ is tuple else type(one) for one in deletes)}


def _models_of_gets(requests: Any, select: Any = None) -> set[type[Any]]:
    del select
    return {one[0] for one in requests} if isinstance(requests, Collection) else set()


def _writes(session: Session, puts: Any, deletes: Any) -> Found:
    if not isinstance(puts, Collection):
        return
    for obj in puts:
        plan = session.plan(type(obj))
        yield plan, "put", plan.codec.key_of(obj)
    for one in deletes:
        if one.__class__ is not tuple:
            plan = session.plan(type(one))
            yield plan, "delete", plan.codec.key_of(one)
            continue
        plan, key = session.plan(one[0]), one[1:]
        parts = key[0] if len(key) == 1 and key[0].__class__ is dict else {}
        yield plan, "delete", plan.codec.key_json(key_from_parts(plan, (), parts) if parts else key)


def _gets(session: Session, model: Any, keys: Any) -> Found:
    if isinstance(keys, Collection):
        plan = session.plan(model)
        yield from ((plan, "get", key) for key in keys_of(plan, keys))


def _asked(session: Session, requests: Any, select: Any = None) -> Found:
    del select  # what is read of them
    if isinstance(requests, Collection):
        yield from ((one.plan, "get", one.key) for one in (asked_of(session, *pair) for pair in enumerate(requests)))


_MODELS: dict[str, Callable[..., set[type[Any]]]] = {
    "batch_write": _models_of_writes,
    "transact_get": _models_of_gets,
    "transaction": lambda transaction: transaction.models(),
    "put off": lambda items: {item.plan.model for item in items},
}
_ITEMS: dict[str, Callable[..., Found]] = {
    "batch_get": _gets,
    "batch_write": _writes,
    "transact_get": _asked,
    "transaction": lambda _, transaction: transaction.items(),
    "put off": lambda _, items: ((item.plan, item.verb or item.kind.lower(), item.key) for item in items),
}
