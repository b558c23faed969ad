"""Protected values in records are opened on request, and every such request is recorded: who, which fields, of which records.

The records of reveals are a chain of their own beside that of the item, in the store. So who may look needs no right to write items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from random import random
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec.structs import replace

from dynamorm.effects import Flow, Sleep
from dynamorm.errors import AuditChainBroken, ConditionFailed, InvalidUse, ValidationError
from dynamorm.plugin import without_locals

from ..acting import actor_of
from ..chain import Replay, believed
from ..manifests import create_row
from ..option import Change
from ..records import LATEST, day_of, sealed
from ..values import Sealed, plain
from .asking import is_gone, unless_gone
from .writing import purpose

if TYPE_CHECKING:
    from ..history import AuditRecord
    from ..model import Place, Tracked
    from ..trail import Chain, Trail

T = TypeVar("T")
TRIES: Final = 64
"""How often a record is made again because another one has got its number."""
PAUSE: Final = 0.02
"""Seconds that are waited for at most, for each try before, so that many who look at once get their numbers."""

GONE: Final[Any] = object()
"""In the place of a value that can be opened no more."""


def protected(trail: Trail, tracked: Tracked, model: type[Any]) -> bool:
    """Whether records of a model hold values of protected fields."""
    return any(plan.stored in tracked.by_stored for plan in trail.codec(model).placed)


def revealed(
    trail: Trail, model: type[Any], chain: Chain, key: bytes, records: list[AuditRecord], last: int
) -> Flow[list[AuditRecord]]:
    """The records with the protected values in them. That is recorded before anything is opened. Raises: ActorRequired."""
    shown = {
        change.field
        for record in records
        for change in record.changes
        if any(isinstance(value, Sealed) and value.data is not None for value in (change.old, change.new))
    }
    if not shown:
        return records
    tracked = chain.tracked
    names = sorted(
        tracked.stored.get(name, name) for name in shown
    )  # of a field that is not tracked any more, its stored name
    yield from _recorded(trail, chain, names, last)
    opener = Opener(trail, model, chain, key)
    opened: dict[int, AuditRecord] = {}
    for record in records:
        opened[record.version] = yield from _opened(opener, record)
    return list(opened.values())


class _NotPickled:
    """What holds opened values: a pickle would hold them in the clear."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        del protocol
        raise InvalidUse(
            "this record holds protected values that were opened, and a pickle would hold them in the clear: hand on the key of its"
            " item, and reveal it on the other side"
        )

    def __deepcopy__(self, memo: Any) -> Any:
        return self  # it is never changed


class _Opened(_NotPickled, Change):
    """A change whose values were opened."""


def _opened(opener: Opener, record: AuditRecord) -> Flow[AuditRecord]:
    changes: list[Change] = []
    for change in record.changes:
        old = yield from opener.shown(change.field, change.old)
        new = yield from opener.shown(change.field, change.new)
        changes.append(_Opened(field=change.field, old=old, new=new))
    return replace(record, changes=changes)


class Opener:
    """Opens the protected values in the records of one item, whose stored ``key`` it is given as JSON."""

    def __init__(self, trail: Trail, model: type[Any], chain: Chain, key: bytes) -> None:
        self._codec = trail.codec(model)
        tenant = chain.place.tenant
        scope = trail.scope if tenant is None else {**trail.scope, "tenant": tenant}
        self._place = self._codec.place(key, scope, chain.item)
        self._values: dict[tuple[str, Sealed], Any] = {}
        tracked = chain.tracked
        stored = {plan.stored: name for name, plan in self._codec.plans.items() if name not in tracked.stored}
        self._names: dict[str, str] = {**stored, **{name: name for name in tracked.stored}}

    def shown(self, name: str, value: Any) -> Flow[Any]:
        """A value of a change: that of the model, where it can be opened, else as it is."""
        if not isinstance(value, Sealed):
            return value
        found = yield from self.value(name, value)
        return value if found is GONE else found

    def value(self, name: str, value: Sealed) -> Flow[Any]:
        """The value of a field in a record; `GONE` where it can be opened no more. Raises: KeyUnavailable."""
        if (name, value) not in self._values:
            self._values[name, value] = yield from self._read(name, value)
        return self._values[name, value]

    def _read(self, name: str, value: Sealed) -> Flow[Any]:
        name = self._names.get(name, name)  # a field that is not tracked any more is told by its stored name
        plan, data = self._codec.plans.get(name), value.data
        if plan is None or not plan.placed or data is None:
            return GONE
        wire = yield from _unless_gone(lambda: plan.hook.from_elsewhere(data, self._place, purpose(value.version)))
        if wire is None:
            return GONE
        try:
            return self._codec.careful.value_before(name, wire)
        except ValidationError:  # of a field whose type was another one then
            return plain(wire)


def _unless_gone(ask: Callable[[], T]) -> Flow[T | None]:
    """What a function gives, once what it waits for has been fetched; None where it is gone. Raises: KeyUnavailable."""
    asking = unless_gone(ask)
    try:
        missing = next(asking)
        while True:
            missing = asking.send((yield from is_gone(missing)))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # what was asked for


def without_values(flow: Flow[T]) -> Flow[T]:
    """A flow whose errors hold no values in the frames of the library."""
    try:
        return (yield from flow)
    except BaseException as error:
        without_locals(error)
        raise


# The records of reveals


def _recorded(trail: Trail, chain: Chain, names: list[str], last: int) -> Flow[None]:
    """Record that fields are revealed, of the records up to the last one. Raises: ActorRequired, AuditChainBroken."""
    tracked = chain.tracked
    who = actor_of(tracked.label, required=trail.log.require_actor)
    place = chain.place.reveals
    keys = tracked.keys(place.tenant)
    for tried in range(TRIES):
        before = yield from _last(trail, tracked, place)
        n, h, at = 0, place.genesis, 0
        if before is not None:
            record = believed(before, keys, tracked.label)
            n, h, at = record.body.n, record.h, record.body.at
        body: dict[str, Any] = {
            "v": 1, "t": place.tenant, "m": place.table, "k": place.entity, "n": n + 1, "op": "R",
            "at": min(max(int(datetime.now(UTC).timestamp() * 1_000_000), at + 1), LATEST),
            "by": who.by, "ip": who.ip, "ua": who.user_agent, "rq": who.request_id, "ver": None,
            "ph": h.hex(), "kid": keys.kid, "ch": [], "rv": names, "to": last,
        }  # fmt: skip
        if tracked.config.checkpoints is not None:
            body["dy"] = True
        sk, raw, made = sealed(place.pk, body, keys.key)
        row = tracked.row(pk=place.pk, sk=sk, body=raw, mac=made)
        if tracked.config.checkpoints is not None:
            row.day = day_of(place.tenant, body["at"], made)
        try:
            yield create_row(trail, row)
        except ConditionFailed:
            if tried == TRIES - 1:
                raise
        else:
            return
        yield Sleep(random() * PAUSE * min(tried, 10))  # noqa: S311 - it is no secret


def _last(trail: Trail, tracked: Tracked, place: Place) -> Flow[bytes | None]:
    row = tracked.stored_row
    query = trail.db.model(row).where(row.pk == place.pk).consistent().order_by(row.sk, "desc").limit(1)
    rows = yield from trail.rows_of(query)
    return rows[0] if rows else None


def reveals(trail: Trail, chain: Chain) -> Flow[tuple[Replay, str]]:
    """The records of an item's reveals, each checked, and why the first of them that does not hold does not. Raises: KeyUnavailable."""
    place = chain.place.reveals
    row = chain.tracked.stored_row
    rows = yield from trail.rows_of(trail.db.model(row).where(row.pk == place.pk).consistent())
    return _checked(rows, Replay(place, chain.tracked.keys(place.tenant)))


def _checked(rows: Iterable[bytes], replay: Replay) -> tuple[Replay, str]:
    for raw in rows:
        reason = replay.add(raw, keep=True)
        if reason:
            return replay, reason
    return replay, ""


def told(trail: Trail, model: type[Any], chain: Chain) -> Flow[list[AuditRecord]]:
    """The records of an item's reveals. Raises: AuditChainBroken."""
    replay, reason = yield from reveals(trail, chain)
    if reason:
        raise AuditChainBroken(
            f"the records of the reveals of this {chain.tracked.label} do not hold at {replay.n + 1}: {reason}",
            first_bad=replay.n + 1,
            reason="reveals",
        )
    return trail.reader(chain.tracked, model).history(replay.records)


def with_opened(opener: Opener, values: Mapping[str, Any]) -> Flow[tuple[dict[str, Any], set[str]]]:
    """Values by field, those that are sealed opened; and the fields of which that cannot be done."""
    found: dict[str, Any] = {}
    gone: set[str] = set()
    for name, value in values.items():
        found[name] = yield from opener.shown(name, value)
        if isinstance(found[name], Sealed):
            gone.add(name)
    return found, gone
