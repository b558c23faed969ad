"""The records of keys of a database: read, made, and agreed on with other processes that make the first one too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from unicodedata import normalize
from uuid import UUID, uuid4

from dynamorm.effects import Call, Flow
from dynamorm.errors import (
    AlreadyExists,
    ConfigError,
    EncryptionNotConfigured,
    IntegrityError,
    KeyDisabled,
    KeyUnavailable,
    MalformedResponse,
    Outcome,
    ValidationError,
    VersionConflict,
)

from .ciphers import Envelopes
from .envelope import framed
from .provider import KeyProvider
from .records import ACTIVE, Home, Ring, record_of

ENABLED: Final = "enabled"
DISABLED: Final = "disabled"
SHREDDED: Final = "shredded"
LATEST: Final = 3600 + 900
"""Seconds for which another process may go on with what it knows of a ring: the longest ttl, and the longest grace."""
TRIES: Final = 8
"""How often the record of a ring is read again because another process has changed it."""


class Pointer(NamedTuple):
    """What is known of a ring: the version in use, and the fields of which nothing is stored in another form than today's.

    ``other`` is in use besides it, of a blind index alone; from ``moves_at`` on, it is the first one.
    """

    version: bytes
    other: bytes | None
    moves_at: float
    complete: frozenset[str]
    tables: frozenset[str]
    """The tables in which something lies under the keys, as far as that was noted."""
    versions: frozenset[bytes]
    """All versions that the record names."""
    copied: bool
    """Whether it was noted that values are kept elsewhere under the version in use."""


class Keyring:
    """Reads and writes the records by verbs of the ``database``, on either face. ``now`` is the time of the wall."""

    def __init__(self, provider: KeyProvider, envelopes: Envelopes) -> None:
        self.provider: KeyProvider = provider
        self.database: Callable[[], Any] = _none
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.envelopes: Envelopes = envelopes

    def seconds(self) -> int:
        """The time of the wall in seconds."""
        return int(self.now().timestamp())

    def active(self, ring: Ring, *, make: bool = True) -> Flow[Pointer | None]:
        """The version of the key in use. ``make``: the first one is made; else None where there is none.

        Raises: KeyUnavailable, KeyDisabled; IntegrityError for a record that is none of the library's.
        """
        pointer = yield from self.get(ring, ACTIVE)
        if pointer is None:
            if not make:
                return None
            yield from self._make_first(ring)
            pointer = yield from self.get(ring, ACTIVE)
        if pointer is None or pointer.key_version is None:
            raise KeyUnavailable(f"the ring {ring.name} has no key, and none could be made")
        check_state(ring, pointer)
        versions = _uuids(ring, pointer.versions)
        version, *others = _uuids(
            ring, [pointer.key_version, *(() if pointer.other is None else (pointer.other,))], versions
        )
        other = others[0] if others else None
        moves_at = float((pointer.rotated or 0) + LATEST)
        complete, tables = frozenset(pointer.complete), frozenset(pointer.tables)
        copied = pointer.key_version in pointer.copied
        return Pointer(version, other, moves_at, complete, tables, frozenset(versions), copied)

    def version(self, ring: Ring, version: bytes) -> Flow[tuple[bytes | None, frozenset[bytes]]]:
        """The key of a version, None where it has no record; and the versions that the record of the ring names.

        Raises: KeyUnavailable, KeyDisabled; IntegrityError.
        """
        pointer = yield from self.get(ring, ACTIVE)
        versions = frozenset(() if pointer is None else _uuids(ring, pointer.versions))
        record = yield from self.get(ring, _name(version))
        if record is None:
            return None, versions
        check_state(ring, record)
        if pointer is not None:
            check_state(ring, pointer)
            if record.key_version in pointer.retired:
                raise KeyDisabled(f"a key of the ring {ring.name} is retired", version=record.key_version)
        if record.wrapped is None:
            raise KeyUnavailable(f"the record of a key of the ring {ring.name} holds none", version=record.key_version)
        return checked(ring, (yield from self.provider.unwrap(record.wrapped, ring.context))), versions

    def add(self, ring: Ring) -> Flow[str]:
        """Make a new version, which nobody uses yet. Returns its name. Raises: KeyUnavailable, KeyDisabled."""
        plain, wrapped = yield from self.provider.generate(ring.context)
        checked(ring, plain)
        del plain  # the record holds it wrapped, and it is fetched by that
        version = uuid4()
        yield from self._create(ring, _name(version.bytes), key_version=str(version), wrapped=wrapped)
        return str(version)

    def rotate(self, ring: Ring, *, both: bool = False) -> Flow[str]:
        """Make a new version, and let it be in use; ``both``: the one before too, see `Pointer`.

        Raises: KeyUnavailable, KeyDisabled; VersionConflict where two rotate at once; ConfigError where two are in use.
        """
        pointer = yield from self.get(ring, ACTIVE)
        if both and pointer is not None and pointer.other is not None:
            raise ConfigError(
                f"the ring {ring.name} has two keys of its blind index in use: end the rotation before with db.keys.retire"
            )
        if pointer is None:
            raise ConfigError(f"the ring {ring.name} has no key yet, so that there is none to rotate")
        check_state(ring, pointer)
        version = yield from self.add(ring)
        if both:
            pointer.other = version
        else:
            pointer.key_version = version
        pointer.rotated, pointer.versions = self.seconds(), [*pointer.versions, version]
        yield from self.save(pointer)
        return version

    def change(self, ring: Ring, change: Callable[[Any], object]) -> Flow[None]:
        """Change the record of a ring, which is there. Raises: VersionConflict where others change it all the time."""
        for tried in range(TRIES):
            pointer = yield from self.get(ring, ACTIVE)
            if pointer is None:
                return
            change(pointer)
            try:
                yield from self.save(pointer)
            except VersionConflict:
                if tried == TRIES - 1:
                    raise
            else:
                return

    def spelled(self, tenant: str, rings: Iterable[tuple[Home, str]]) -> Flow[str]:
        """A tenant as the views of it are called: in normal form (NFC), but where only the given one has keys."""
        normal = normalize("NFC", tenant)
        if normal == tenant:
            return tenant
        several = list(rings)
        for spelling in (normal, tenant):
            for home, name in several:
                if (yield from self.get(Ring(home, name, spelling), ACTIVE)) is not None:
                    return spelling
        return normal

    # -------------------------------------------------------------------------------------------------------- subjects

    def subject(self, ring: Ring, name: str, wrapping: Any, *, make: bool) -> Flow[tuple[bytes, bytes] | None]:
        """Version and key of a subject, wrapped by the key of `Ring.subjects`; None where there is none and none is made.

        Raises: KeyDisabled.
        """
        record = yield from self.get(ring, f"S#{name}")
        if record is None and make:
            version, plain = uuid4(), self.envelopes.random(32)
            wrapped = self.envelopes.seal(wrapping.branch, wrapping.version, _place(ring, name, version.bytes), plain)
            yield from self._create(ring, f"S#{name}", key_version=str(version), wrapped=wrapped)
            record = yield from self.get(ring, f"S#{name}")
        if record is None:
            return None
        check_state(ring, record)
        if record.key_version is None or record.wrapped is None:
            raise KeyUnavailable(f"the record of a subject of the ring {ring.name} holds no key")
        (version_bytes,) = _uuids(ring, [record.key_version])
        place = _place(ring, name, version_bytes)
        return version_bytes, self.envelopes.open(wrapping.branch, place, record.wrapped)

    # --------------------------------------------------------------------------------------------------------- records

    def get(self, ring: Ring, what: str) -> Flow[Any]:
        """A record; None where it is not there. One that was stored under the former spelling of its tenant is found, too."""
        found = yield from self._get(ring, ring.key(what))
        if found is None and (former := ring.former_key(what)) is not None:
            found = yield from self._get(ring, former)
        return found

    def each(self, ring: Ring, what: str) -> Flow[list[Any]]:
        """The records of this name, in either spelling of the tenant: two where processes of both have made one."""
        found = []
        for key in (ring.key(what), ring.former_key(what)):
            record = None if key is None else (yield from self._get(ring, key))
            if record is not None:
                found.append(record)
        return found

    def _get(self, ring: Ring, key: tuple[Any, ...]) -> Flow[Any]:
        db, record = self._database(), record_of(ring.home)

        def get() -> Any:
            return db.get(record, *key, consistent=True)

        try:
            return (yield called(get))
        except (ValidationError, MalformedResponse):
            failed = forged(ring)
        raise failed

    def save(self, record: Any) -> Flow[None]:
        """Store what has changed of a record. Raises: VersionConflict."""
        db = self._database()
        yield called(lambda: db.save(record))

    def put(self, ring: Ring, what: str, **values: Any) -> Flow[None]:
        """Store a record that is a note of the library's own, whatever is there."""
        db = self._database()
        made = self._made(ring, what, values)
        yield called(lambda: db.put(made))

    def records(self, ring: Ring) -> Flow[list[Any]]:
        """All records of a ring, where it has a partition of its own."""
        found: list[Any] = []
        for key in (ring.key(ACTIVE), ring.former_key(ACTIVE)):
            if key is not None:
                found += yield from self._partition(ring, key[0])
        return found

    def _partition(self, ring: Ring, value: Any) -> Flow[list[Any]]:
        db, record = self._database(), record_of(ring.home)
        found: list[Any] = yield called(lambda: db.model(record).where(record.pk == value).consistent().all())
        return found

    def _make_first(self, ring: Ring) -> Flow[None]:
        """Make the first version, and let it be in use, unless another process has done so: then its own is the one."""
        if not getattr(self.provider, "create", True):
            raise KeyUnavailable(f"the ring {ring.name} has no key, and this provider makes none (create=False)")
        version = yield from self.add(ring)
        yield from self._create(ring, ACTIVE, key_version=version, rotated=self.seconds(), versions=[version])

    def _create(self, ring: Ring, what: str, **values: Any) -> Flow[bool]:
        """Store a record unless it is there. Whether this call has stored it."""
        db = self._database()
        made = self._made(ring, what, values)
        try:
            yield called(lambda: db.create(made))
        except AlreadyExists:
            return False
        return True

    def _made(self, ring: Ring, what: str, values: dict[str, Any]) -> Any:
        named = dict(zip(("pk", "sk"), ring.key(what), strict=False))
        return record_of(ring.home)(**named, **values, made=self.now().isoformat(timespec="seconds"))

    def _database(self) -> Any:
        db = self.database()
        if db is None:
            raise EncryptionNotConfigured("the database of this provider of keys is not there any more")
        return db


def _none() -> None:
    """No database yet."""


def called(function: Callable[[], Any]) -> Call:
    """The effect of a verb on either face: the blocking one has done it when it returns, the other one is awaited."""

    async def awaited() -> Any:
        return await function()

    return Call(function, awaited)


def forged(ring: Ring) -> IntegrityError:
    """The error for a record of keys that the library has not written."""
    error = IntegrityError(
        f"a record of the keys of the ring {ring.name} is not as the library stores it: somebody has written it; restore the"
        " record, or the table, as it was before",
        outcome=Outcome.NOT_APPLIED,
    )
    error.retryable = False
    return error


def _uuids(ring: Ring, names: Iterable[Any], among: Collection[bytes] | None = None) -> list[bytes]:
    """The versions of these names. ``among``: those that there are. Raises: IntegrityError."""
    try:
        found = [UUID(name).bytes for name in names]
    except (ValueError, AttributeError, TypeError):
        found = None
    if found is None or (among and not set(found) <= set(among)):
        raise forged(ring)
    return found


def checked(ring: Ring, branch: Any) -> bytes:
    """A key from the provider. Raises: KeyUnavailable for what is none."""
    return checked_key(f"the ring {ring.name}", branch)


def checked_key(what: str, branch: Any) -> bytes:
    """As `checked`, of a key for something else."""
    if not isinstance(branch, bytes) or len(branch) != 32:
        raise KeyUnavailable(f"the provider of keys gave something else than a key of 32 bytes for {what}")
    return branch


def check_state(ring: Ring, record: Any) -> None:
    """Refuse a record whose key is not to be used. Raises: KeyDisabled."""
    if record.state != ENABLED:
        raise KeyDisabled(
            f"a key of the ring {ring.name} is {record.state}: its values cannot be used", version=record.key_version
        )


def marks(names: Iterable[str], begun: int) -> Callable[[Any], object]:
    """The change of a ring's record that notes for what nothing is left to be written anew, by a pass begun then."""

    def change(pointer: Any) -> None:
        pointer.complete = {**pointer.complete, **dict.fromkeys(names, begun)}

    return change


def using(table: str) -> Callable[[Any], object]:
    """The change of a ring's record that notes a table in which its keys are used."""

    def change(pointer: Any) -> None:
        pointer.tables = sorted({*pointer.tables, table})

    return change


def copying(version: str) -> Callable[[Any], object]:
    """The change of a ring's record that notes that values are kept elsewhere under a version of its key."""

    def change(pointer: Any) -> None:
        pointer.copied = sorted({*pointer.copied, version})

    return change


def _place(ring: Ring, name: str, version: bytes) -> bytes:
    return framed(b"dynamorm/subject/1", ring.name.encode(), ring.tenant.encode(), name.encode(), version)


def _name(version: bytes) -> str:
    return f"V#{UUID(bytes=version)}"
