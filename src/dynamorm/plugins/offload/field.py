"""One field whose large values lie in S3: what its item holds, and the objects that are stored and fetched for it.

An object is stored before the write that names it is sent, under a key that no other write has: the hash of its content, and a random
part. So a write that was not applied leaves an object that nobody names, and no item names one that is not there.
"""

from __future__ import annotations

import os
from asyncio import current_task
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha256
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any, Final

from dynamorm.effects import Call, Flow, Gather
from dynamorm.errors import ObjectDamaged, ObjectMissing, OffloadError, TenantRequired, ValidationError
from dynamorm.plugin import NotReady, PlacedField, Unread, system_part

from .pointer import MARK, Pointer, content_of, pointer_of, pointers_in, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .option import Offloaded
    from .store import ObjectStore

STALE: Final = 1800.0
"""Seconds for which an object waits for the write that names it: far less than the time after which it may be swept away."""
_REUSED: Final = 60.0
"""Seconds for which a write that is built again finds the object that was stored for it."""
_MOST: Final = 10_000
_HELD: Final = 30.0
"""Seconds for which what was fetched waits for who decodes it."""
_DECODED: Final = 2.0
"""Seconds for which it is kept behind that: what does not fit is looked at twice, to tell why."""
AT_ONCE: Final = 8
"""Objects that are fetched side by side for one answer."""


class MissingObject(Unread):
    """What stands in an object for a value whose object in S3 is not there, or not what was stored; a save leaves it as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<MissingObject>"


class Objects:
    """The objects that a database stores and fetches. ``clock`` gives seconds since the epoch. Safe to share between threads."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float], timeout: float, cache: int) -> None:
        self.store: ObjectStore = store
        self.clock: Callable[[], float] = clock
        self._timeout = timeout
        self._cache = cache
        self._lock = Lock()
        # Objects for which no request was sent: by who asks for them, and by their keys.
        self._made: OrderedDict[Any, Pointer] = OrderedDict()
        self._unsent: dict[str, Any] = {}
        self._held: OrderedDict[str, tuple[bytes | OffloadError, float]] = OrderedDict()
        self._bytes = 0

    # ---------------------------------------------------------------------------------------------------------- writing

    def pointer(self, bucket: str, start: str, kind: str, data: bytes) -> Pointer:
        """The object for a value that is about to be written here. Raises: NotReady until it is stored."""
        digest = sha256(data).hexdigest()
        who = (_who(), bucket, start, kind, digest)
        with self._lock:
            made = self._made.get(who)
        if made is not None and self.clock() - made.made <= _REUSED:
            return made
        raise NotReady("an object in S3", partial(self._store, who, data))

    def _store(self, who: Any, data: bytes) -> Flow[None]:
        _, bucket, start, kind, digest = who
        key = f"{start}{digest}-{os.urandom(16).hex()}"
        made = Pointer(bucket, key, len(data), digest, kind, int(self.clock()))
        yield from self._asked(
            partial(self.store.put, bucket, key, data),
            f"an object could not be stored in {bucket}",
            ": the write that needs it was not sent",
        )
        with self._lock:
            self._made[who] = made
            self._unsent[key] = who
            self._hold(key, data, 0.0)
            while len(self._made) > _MOST:
                _, oldest = self._made.popitem(last=False)
                self._unsent.pop(oldest.key, None)

    def sent(self, body: bytes) -> None:
        """A request is about to be sent: the objects that it names are those of no other one. Raises: OffloadError."""
        for found in pointers_in(body):
            with self._lock:
                who = self._unsent.pop(found.key, None)
                if who is not None:
                    self._made.pop(who, None)
            if who is not None and self.clock() - found.made > STALE:
                raise OffloadError(
                    f"an object was stored {self.clock() - found.made:.0f} s ago for a write that is sent only now: it may be swept away as one"
                    " that nobody names. Build the write, or the transaction, again"
                )

    # ---------------------------------------------------------------------------------------------------------- reading

    def fetch_all(self, wanted: Iterable[Pointer]) -> Flow[None]:
        """Fetch what is not held, some side by side. What is wrong with one is told where it is decoded."""
        missing = {found.key: found for found in wanted if self._still(found.key) is None}
        if missing:
            yield Gather([self.fetch(found) for found in missing.values()], AT_ONCE)

    def fetch(self, wanted: Pointer) -> Flow[None]:
        """Fetch one object, and hold it, or what is wrong with it, for who decodes it. Raises: OffloadError where S3 did not answer."""
        data = yield from self._asked(
            partial(self.store.get, wanted.bucket, wanted.key, wanted.size + 1),
            f"an object in {wanted.bucket} could not be fetched",
        )
        found: bytes | OffloadError
        if data is None:
            found = ObjectMissing(
                f"the item names an object in {wanted.bucket} that is not there: the value was replaced and cleaned away since the item"
                " was read, which another read shows; or the object was removed by somebody else"
            )
        elif len(data) != wanted.size or sha256(data).hexdigest() != wanted.digest:
            found = ObjectDamaged(
                f"an object in {wanted.bucket} is not what was stored: its size or its SHA-256 is another one"
            )
        else:
            found = bytes(data)
        with self._lock:
            self._hold(wanted.key, found, _HELD if isinstance(found, bytes) else _DECODED)

    def content(self, wanted: Pointer) -> bytes:
        """The bytes of an object. Raises: NotReady until it is fetched; ObjectMissing, ObjectDamaged."""
        with self._lock:
            found, until = self._held.get(wanted.key, (None, 0.0))
            if isinstance(found, bytes):  # from now on it is kept only while there is room
                self._held[wanted.key] = found, min(until, self.clock() + _DECODED)
            elif found is not None and until < self.clock():
                found = None
        if found is None:
            raise NotReady("an object in S3", partial(self.fetch, wanted))
        if isinstance(found, OffloadError):
            raise type(found)(found.message)
        return found

    def _still(self, key: str) -> Any:
        with self._lock:
            found = self._held.get(key)
            if found is None or not isinstance(found[0], bytes):
                return None
            self._held[key] = found[0], self.clock() + _HELD
            self._held.move_to_end(key)
            return found

    def _hold(self, key: str, data: bytes | OffloadError, seconds: float) -> None:
        """Keep an object for a while; of those that nobody waits for, the oldest ones go where there is no room. Under the lock."""
        before = self._held.pop(key, None)
        self._bytes += _size(data) - (0 if before is None else _size(before[0]))
        now = self.clock()
        self._held[key] = data, now + seconds
        if self._bytes <= self._cache and len(self._held) <= _MOST:
            return
        for old in [old for old, (_, until) in self._held.items() if until <= now]:
            if self._bytes <= self._cache and len(self._held) <= _MOST:
                break
            self._bytes -= _size(self._held.pop(old)[0])

    def _asked(self, ask: Callable[[], Any], what: str, so: str = "") -> Flow[Any]:
        """What the store says. Raises: OffloadError with what failed and what follows, without what the store's own error says of the object."""
        failed = ""
        try:
            return (yield Call(ask, timeout=self._timeout))
        except Exception as error:  # noqa: BLE001 - of a client that nobody knows here
            failed = type(error).__name__
        raise OffloadError(f"{what} ({failed}){so}")


def _size(data: Any) -> int:
    return len(data) if isinstance(data, bytes) else 0


def _who() -> Any:
    """Who builds a write: a thread, or a task in it. Of one of them no two writes are under way at once."""
    task = None
    with suppress(RuntimeError):
        task = current_task()
    return get_ident(), task if task is None else id(task)


class OffloadedField(PlacedField):
    """A field with the option `Offloaded`."""

    reason = "stored in S3 where it is large"
    lasting = False  # a sweep removes an object that no item names after a while

    def __init__(self, schema: Any, field: Any, option: Offloaded, objects: Objects, table: str) -> None:
        self.attribute: str = field.stored
        self.option: Offloaded = option
        self.marks: bool = option.marks
        self._name: str = field.name
        self._where = f"{schema.name}.{field.name}"
        self._objects = objects
        self.table: str = table
        tenants = (
            other.stored
            for other in schema.fields.values()
            if any(getattr(one, "scope_entry", None) == "tenant" for one in other.options)
        )
        self._tenant_attribute: str | None = next(tenants, None)

    def encode(self, wire: dict[str, Any], place: Any) -> dict[str, Any]:
        """What the item holds. Raises: NotReady until the object is stored; ValidationError."""
        found = content_of(wire)
        if found is None:
            raise ValidationError(f"{self._where} holds text that is not valid Unicode", field=self._name)
        kind, data = found
        if len(data) > self.option.limit:
            raise ValidationError(
                f"{self._where} has {len(data)} bytes, and limit of its Offloaded allows {self.option.limit}: give it a shorter value, or the"
                " option a greater limit",
                field=self._name,
            )
        if len(data) <= self.option.above and not data.startswith(MARK):
            return wire
        return self._objects.pointer(self.option.bucket, self._start(place), kind, data).wire()

    def decode(self, wire: dict[str, Any], place: Any) -> dict[str, Any] | Unread:
        """The value. Raises: NotReady until the object is fetched; ObjectMissing, ObjectDamaged."""
        error: OffloadError
        try:
            found = self.named(wire, place)
            return wire if found is None else value_of(found.kind, self._objects.content(found))
        except (ObjectMissing, ObjectDamaged) as wrong:
            error = type(wrong)(f"{self._where}: {wrong.message}")
        except ValueError:
            error = ObjectDamaged(f"{self._where}: the object is not what was stored: it holds something else")
        if self.marks:
            return MissingObject(wire)
        raise error

    def named(self, wire: dict[str, Any] | None, place: Any) -> Pointer | None:
        """The object that a stored attribute names, None where it holds its value. Raises: ObjectDamaged for one of another place."""
        try:
            found = pointer_of(wire)
        except ValueError:
            raise ObjectDamaged("the item names no object in a form that is known") from None
        if found is None:
            return None
        if found.bucket != self.option.bucket or not found.key.startswith(self._start(place)):
            raise ObjectDamaged(
                "the item names an object of another bucket, table, item or tenant: an object belongs to the item that it was stored for"
            )
        if found.size > self.option.limit:
            raise ObjectDamaged(
                f"the object has {found.size} bytes, and limit of its Offloaded allows {self.option.limit}"
            )
        return found

    def depends_on(self, scope: Mapping[str, str]) -> tuple[str, ...]:
        """See `dynamorm.plugin.PlacedField`."""
        keys = {name for name, _ in self.key_types}
        attribute = None if "tenant" in scope else self._tenant_attribute
        return () if attribute is None or attribute in keys else (attribute,)

    def _start(self, place: Any) -> str:
        """What the keys of the objects of this field of an item begin with. Raises: TenantRequired."""
        item = sha256(place.framed).hexdigest()[:32]
        return f"{self.option.prefix}{self._tenant(place)}/{part(self.table)}/{part(self.attribute)}/{item}/"

    def _tenant(self, place: Any) -> str:
        if self._tenant_attribute is None:
            return "shared"
        tenant = place.scope.get("tenant")
        if tenant is None:
            wire = place.attribute(self._tenant_attribute)
            tenant = None if wire is None else wire.get("S")
        if not tenant:
            raise TenantRequired(
                f"{self._where} is stored in S3 under its tenant, and nothing here tells whose the item is: use db.with_tenant(...), or an"
                " object that says it"
            )
        return f"T={part(tenant)}"


def part(text: str) -> str:
    """A text as one part of the key of an object: no other one has the same, and it holds no ``/``."""
    return system_part(text).replace("/", "%2F")
