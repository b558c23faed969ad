"""Going back: the tracked fields of an item are written as a record left them. A flow for both faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

from dynamorm import Attr
from dynamorm.effects import Call, Flow
from dynamorm.errors import ValidationError

from .history import Reader, parts_of_key
from .protected.revealing import Opener, with_opened, without_values
from .records import read
from .tracking import RESTORING
from .trail import SOFT, broken, called
from .values import Digest, Sealed, bytes_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from .trail import Chain, Trail

MISSING: Any = object()
"""In the place of the value of a field that was not stored."""

M = TypeVar("M")


class Restored(Struct, Generic[M], frozen=True, kw_only=True):
    """What `AuditTrail.restore` has done: the object as it is now, the fields that were written, and those that could not be.

    A part of the key, and a field that keeps its value (``immutable``, ``write_once``), is among neither where it is as it was.

    Example: ``db.audit.restore(Payment, "p1", version=3).left_out``
    """

    item: M
    fields: tuple[str, ...]
    left_out: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Restored {', '.join(self.fields)}>"


def restore(
    trail: Trail, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any], version: int
) -> Flow[Restored[Any]]:
    """Write what the tracked fields were."""
    return (yield from without_values(_restored(trail, model, key, parts, version)))


def _restored(
    trail: Trail, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any], version: int
) -> Flow[Restored[Any]]:
    chain = yield from trail.chain(model, key, parts)
    verdict, replay = chain.verdict()
    if not verdict.ok and verdict.reason not in {*SOFT, "head"}:
        raise broken(chain.tracked.label, verdict)
    if version.__class__ is not int or not 1 <= version <= replay.n:
        raise ValidationError(f"there are records 1 to {replay.n} of this {chain.tracked.label}", field="version")
    records = [record for record in map(read, chain.rows) if record.body.n <= version]
    snapshot = trail.reader(chain.tracked, model).snapshot(records)
    if snapshot is None:
        raise ValidationError(
            f"record {version} tells that this {chain.tracked.label} was gone: delete it, or name another one",
            field="version",
        )
    then = Reader.tracked_then(records)
    opener = Opener(trail, model, chain, trail.address(model, key, parts))
    known, gone = yield from with_opened(opener, snapshot.values)
    left_out = gone | {name for name, value in known.items() if isinstance(value, Digest)}
    left_out |= {name for name, stored in chain.tracked.stored.items() if stored not in then}
    kept = set() if chain.item is None else _kept(trail, model, chain, chain.item)
    left_out |= {name for name in kept if _differs(chain, name, Reader.state_of(records))}
    names = tuple(name for name in chain.tracked.names if name not in left_out | kept)
    values = {name: known.get(name, MISSING) for name in names}
    item = yield (
        _changed(trail, model, (key, parts), chain, values, version)
        if chain.item is not None
        else _made(trail, model, (key, parts), chain, known, version)
    )
    return Restored(item=item, fields=names, left_out=tuple(sorted(left_out)))


def _kept(trail: Trail, model: type[Any], chain: Chain, item: Mapping[str, Any]) -> set[str]:
    """The tracked fields that no update may change: parts of the key, and what keeps the value that it has."""
    codec = trail.codec(model)
    fields = codec.schema.fields
    return {*parts_of_key(codec), chain.tracked.owner} & set(chain.tracked.names) | {
        name
        for name, stored in chain.tracked.stored.items()
        if fields[name].immutable or (fields[name].write_once and item.get(stored) not in (None, {"NULL": True}))
    }


def _differs(chain: Chain, name: str, recorded: Mapping[str, Any]) -> bool:
    """Whether a field is not as it was recorded, as far as that is shown."""
    stored = chain.tracked.stored[name]
    then = recorded.get(stored)
    if then is not None and ("D" in then or "E" in then):
        return False  # it is left out already
    return chain.item is not None and bytes_of(chain.item.get(stored)) != bytes_of(then)


def _changed(
    trail: Trail, model: type[Any], at: tuple[Any, Any], chain: Chain, values: dict[str, Any], version: int
) -> Call:
    (key, parts), tracked, place = at, chain.tracked, chain.place
    fields = trail.codec(model).schema.fields
    updates = [
        Attr[Any](fields[name]).remove() if value is MISSING else Attr[Any](fields[name]).set(value)
        for name, value in values.items()
    ]
    allow = tuple(name for name in values if fields[name].protected)
    named = {}
    if trail.serves_all and tracked.owner:  # where a write by key says whose item it is
        named["condition"] = Attr[Any](fields[tracked.owner]) == place.tenant
    return _restoring(called(trail.db.update, model, *key, *updates, allow=allow, **named, **parts), version)


def _made(
    trail: Trail, model: type[Any], at: tuple[Any, Any], chain: Chain, known: Mapping[str, Any], version: int
) -> Call:
    (key, parts), tracked = at, chain.tracked
    codec = trail.codec(model)
    reader = trail.reader(tracked, model)
    values = {**known, **parts, **reader.of_key(trail.key(model, key, parts))}
    if tracked.owner:
        values[tracked.owner] = chain.place.tenant
    untold = [
        *reader.untold({*parts, *values}),
        *(n for n, value in values.items() if isinstance(value, (Digest, Sealed))),
    ]
    if untold:
        raise ValidationError(
            f"this {model.__name__} is gone, and the records do not tell all of its fields, so that it cannot be made again: they"
            f" do not tell {', '.join(sorted(untold))}; create it from db.audit.as_of(...).values, and give what is missing",
            field="version",
        )
    computed = dict.fromkeys(codec.composites)
    obj = codec.new(**{name: value for name, value in values.items() if name not in computed})
    return _restoring(called(trail.db.create, obj), version)


@contextmanager
def _going_back(version: int) -> Generator[None]:
    mark = RESTORING.set(version)
    try:
        yield
    finally:
        RESTORING.reset(mark)


def _restoring(call: Callable[[], Any], version: int) -> Call:
    """A write that is recorded as one which goes back."""

    def blocking() -> Any:
        with _going_back(version):
            return call()

    async def awaited() -> Any:
        with _going_back(version):
            return await call()

    return Call(blocking, awaited)
