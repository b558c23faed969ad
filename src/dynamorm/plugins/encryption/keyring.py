"""The records of keys of a database: read, made, and agreed on with other processes that make the first one too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from dynamorm.effects import Call, Flow
from dynamorm.errors import AlreadyExists, EncryptionNotConfigured, KeyDisabled, KeyUnavailable

from .provider import KeyProvider
from .records import ACTIVE, Ring, record_of


class Keyring:
    """Reads and writes the records by verbs of the ``database``, on either face."""

    def __init__(self, provider: KeyProvider) -> None:
        self.provider: KeyProvider = provider
        self.database: Callable[[], Any] = _none

    def active(self, ring: Ring) -> Flow[bytes]:
        """The version of the key in use; the first one is made. Raises: KeyUnavailable, KeyDisabled."""
        pointer = yield from self._get(ring, ACTIVE)
        if pointer is None:
            yield from self._make_first(ring)
            pointer = yield from self._get(ring, ACTIVE)
        if pointer is None or pointer.key_version is None:
            raise KeyUnavailable(f"the ring {ring.name} has no key, and none could be made")
        _check_state(ring, pointer)
        return UUID(pointer.key_version).bytes

    def version(self, ring: Ring, version: bytes) -> Flow[bytes | None]:
        """The key of a version; None where it has no record. Raises: KeyUnavailable, KeyDisabled."""
        record = yield from self._get(ring, _name(version))
        if record is None:
            return None
        _check_state(ring, record)
        if record.wrapped is None:
            raise KeyUnavailable(f"the record of a key of the ring {ring.name} holds none", version=record.key_version)
        return checked(ring, (yield from self.provider.unwrap(record.wrapped, ring.context)))

    def add(self, ring: Ring) -> Flow[str]:
        """Make a new version, which nobody uses yet. Returns its name. Raises: KeyUnavailable, KeyDisabled."""
        plain, wrapped = yield from self.provider.generate(ring.context)
        checked(ring, plain)
        version = uuid4()
        yield from self._create(ring, _name(version.bytes), key_version=str(version), wrapped=wrapped)
        return str(version)

    def rotate(self, ring: Ring) -> Flow[str]:
        """Make a new version, and let it be in use. Raises: KeyUnavailable, KeyDisabled; VersionConflict where two rotate at once."""
        pointer = yield from self._get(ring, ACTIVE)
        version = yield from self.add(ring)
        if pointer is None:
            yield from self._create(ring, ACTIVE, key_version=version)
            return version
        _check_state(ring, pointer)
        pointer.key_version, db = version, self._database()
        yield _called(lambda: db.save(pointer))
        return version

    def _make_first(self, ring: Ring) -> Flow[None]:
        """Make the first version, and let it be in use, unless another process has done so: then its own is the one."""
        version = yield from self.add(ring)
        yield from self._create(ring, ACTIVE, key_version=version)

    def _get(self, ring: Ring, what: str) -> Flow[Any]:
        db, record, key = self._database(), record_of(ring.home), ring.key(what)

        def get() -> Any:
            return db.get(record, *key, consistent=True)

        return (yield _called(get))

    def _create(self, ring: Ring, what: str, **values: Any) -> Flow[bool]:
        """Store a record unless it is there. Whether this call has stored it."""
        db, record, key = self._database(), record_of(ring.home), ring.key(what)
        named = dict(zip(("pk", "sk"), key, strict=False))
        made = record(**named, **values, made=datetime.now(UTC).isoformat(timespec="seconds"))
        try:
            yield _called(lambda: db.create(made))
        except AlreadyExists:
            return False
        return True

    def _database(self) -> Any:
        db = self.database()
        if db is None:
            raise EncryptionNotConfigured("the database of this provider of keys is not there any more")
        return db


def _none() -> None:
    """No database yet."""


def _called(function: Callable[[], Any]) -> Call:
    """The effect of a verb on either face: the blocking one has done it when it returns, the other one is awaited."""

    async def awaited() -> Any:
        return await function()

    return Call(function, awaited)


def checked(ring: Ring, branch: Any) -> bytes:
    """A key from the provider. Raises: KeyUnavailable for what is none."""
    return checked_key(f"the ring {ring.name}", branch)


def checked_key(what: str, branch: Any) -> bytes:
    """As `checked`, of a key for something else."""
    if not isinstance(branch, bytes) or len(branch) != 32:
        raise KeyUnavailable(f"the provider of keys gave something else than a key of 32 bytes for {what}")
    return branch


def _check_state(ring: Ring, record: Any) -> None:
    if record.state != "enabled":
        raise KeyDisabled(
            f"a key of the ring {ring.name} is {record.state}: its values cannot be used", version=record.key_version
        )


def _name(version: bytes) -> str:
    return f"V#{UUID(bytes=version)}"
