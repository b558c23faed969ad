"""The opened keys of a process: for how long they are used, and how they are fetched, by one flow for each at a time."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final
from uuid import UUID

from dynamorm.effects import Flow
from dynamorm.errors import DynamORMError, KeyDisabled, KeyUnavailable, PoolTimeout
from dynamorm.log import logger
from dynamorm.plugin import Acquire, Limiter, NotReady

from .envelope import BranchKey, framed
from .keyring import Keyring, using
from .records import Ring

PATIENCE: Final = 20.0
"""Seconds for which a key is waited for that another flow fetches."""
UNKNOWN: Final = 30.0
"""Seconds for which a version that is not there is not asked for again: a forged one costs one request."""
FAILED: Final = 1.0
"""Seconds for which what has failed is told to those who wait for the same key."""
_AGAIN: Final = 10.0
_MANY: Final = 100
"""Keys that were asked for before anything is said of how many were fetched."""


class Opened:
    """An opened key: until when it is used, and until when if the provider does not answer."""

    __slots__ = ("branch", "complete", "last", "moves_at", "other", "tables", "until", "version")

    def __init__(self, version: bytes, branch: BranchKey, until: float, last: float) -> None:
        self.version: bytes = version
        self.branch: BranchKey = branch
        self.until: float = until
        self.last: float = last
        self.other: Opened | None = None
        self.moves_at: float = 0.0
        self.complete: frozenset[str] = frozenset()
        self.tables: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return "<Opened key>"


class Keys:
    """The keys of one database. `active` and `of_version` are asked for each value, and raise `NotReady` for what must be fetched."""

    def __init__(self, keyring: Keyring, *, clock: Callable[[], float] = monotonic) -> None:
        provider = keyring.provider
        self.keyring: Keyring = keyring
        self.clock = clock
        self._ttl, self._grace, self._most = max(provider.ttl, 1.0), provider.grace, provider.max_keys
        self._active: dict[Ring, Opened] = {}
        # By ring and version, or by ring and the name of a subject.
        self._versions: dict[tuple[Ring, bytes | str], Opened] = {}
        self._unknown: dict[tuple[Ring, bytes | str], float] = {}
        self._asked: dict[Ring, float] = {}
        self._failed: dict[Any, tuple[float, DynamORMError]] = {}
        self._gates: dict[Any, Limiter] = {}
        self.generation: int = 0
        """Raised when what is known of keys is not to be used any more."""
        self.fetches: int = 0
        self.evictions: int = 0
        self.asked: int = 0
        self._told = 0.0

    def until(self) -> float:
        """Until when what is opened now is used."""
        return self.clock() + self._ttl

    def active(self, ring: Ring) -> Opened:
        """The key that new values of a ring are sealed with. Raises: NotReady."""
        key = self._active.get(ring)
        self.asked += 1
        if key is not None and self.clock() < key.until:
            return key
        raise NotReady(f"the key of the ring {ring.name}", lambda: self.fetch_active(ring))

    def of_version(self, ring: Ring, version: bytes) -> Opened:
        """The key of a version. Raises: NotReady; KeyUnavailable for one that was looked for in vain a moment ago."""
        key = self._versions.get((ring, version))
        self.asked += 1
        now = self.clock()
        if key is not None and now < key.until:
            return key
        if now < self._unknown.get((ring, version), 0.0):
            raise unavailable(ring, version)
        failed = self._failed.get((ring, version))
        if failed is not None and now < failed[0] + FAILED and isinstance(failed[1], KeyDisabled):
            raise failed[1]
        raise NotReady(f"a key of the ring {ring.name}", lambda: self.fetch_version(ring, version))

    def subject(self, ring: Ring, subject: bytes, *, make: bool) -> Opened:
        """The key of a subject. ``make``: it is made where there is none. Raises: NotReady, KeyDisabled, KeyUnavailable."""
        self.active(ring.subjects)
        name = self.name_of_subject(ring, subject)
        place = ring, name
        key = self._versions.get(place)
        now = self.clock()
        if key is not None and now < key.until:
            return key
        failed = self._failed.get(place)
        if failed is not None and now < failed[0] + FAILED and isinstance(failed[1], KeyDisabled):
            raise failed[1]
        if not make and now < self._unknown.get(place, 0.0):
            raise no_subject(ring)
        raise NotReady(
            f"the key of a subject of the ring {ring.name}", lambda: self.fetch_subject(ring, name, make=make)
        )

    def name_of_subject(self, ring: Ring, subject: bytes) -> str:
        """What the record of a subject is called; the key of `Ring.subjects` was fetched before."""
        return self._active[ring.subjects].branch.expand(framed(b"dynamorm/subject-name/1", subject)).hex()

    def fetch_subject(self, ring: Ring, name: str, *, make: bool) -> Flow[None]:
        """Fetch the key of a subject. Raises: KeyUnavailable, KeyDisabled."""
        place = ring, name
        yield from self._alone(
            place, lambda: self._versions.get(place), lambda: self._load_subject(ring, name, make=make)
        )

    def _load_subject(self, ring: Ring, name: str, *, make: bool) -> Flow[None]:
        yield from self.keyring.active(ring)  # which says whether the ring is disabled
        yield from self.fetch_active(ring.subjects)
        wrapping = self._active[ring.subjects]
        found = yield from self.keyring.subject(ring, name, wrapping, make=make)
        if found is None:
            self._bound(self._unknown)
            self._unknown[ring, name] = self.clock() + UNKNOWN
            raise no_subject(ring)
        self._keep(ring, found[0], found[1], name)

    def fetch_active(self, ring: Ring) -> Flow[None]:
        """Fetch the key in use, and make the first one. Raises: KeyUnavailable, KeyDisabled."""
        known = self._active.get(ring)
        if known is None or self.clock() >= known.until:
            yield from self._alone(ring, lambda: self._active.get(ring), lambda: self._load_active(ring))

    def note_table(self, ring: Ring, table: str) -> Flow[None]:
        """Note in the record of a ring that its keys are used in a table."""
        yield from self.keyring.change(ring, using(table))
        key = self._active.get(ring)
        if key is not None:
            key.tables |= {table}

    def fetch_version(self, ring: Ring, version: bytes) -> Flow[None]:
        """Fetch the key of a version. Raises: KeyUnavailable, KeyDisabled."""
        place = ring, version
        if self.clock() < self._unknown.get(place, 0.0):
            raise unavailable(ring, version)
        known = self._versions.get(place)
        if known is None or self.clock() >= known.until:
            yield from self._alone(place, lambda: self._versions.get(place), lambda: self._load_version(ring, version))

    def _alone(self, place: Any, known: Callable[[], Opened | None], load: Callable[[], Flow[None]]) -> Flow[None]:
        """Run what loads a key, unless another flow does: then wait for that one, and share its end."""
        began = self.clock()
        gate = self._gates.setdefault(place, Limiter(1))
        try:
            with (yield Acquire(gate, timeout=PATIENCE)):
                key = known()
                if key is not None and self.clock() < key.until:
                    return
                when, error = self._failed.get(place, (0.0, None))
                if error is not None and when >= began and self.clock() < when + FAILED:
                    raise error
                self.fetches += 1
                try:
                    yield from load()
                except KeyUnavailable as unavailable_now:
                    if not self._prolonged(key):
                        self._failed[place] = self.clock(), unavailable_now
                        raise
                except KeyDisabled as disabled:
                    self.forget(place[0] if isinstance(place[0], Ring) else place)
                    self._failed[place] = self.clock(), disabled
                    raise
                else:
                    self._failed.pop(place, None)
        except PoolTimeout as error:
            raise KeyUnavailable(f"a key was waited for longer than {PATIENCE:g} s") from error

    def _prolonged(self, key: Opened | None) -> bool:
        """Whether a key that was opened before may go on being used while the provider does not answer."""
        now = self.clock()
        if key is None or now >= key.last:
            return False
        key.until = min(now + _AGAIN, key.last)
        return True

    def _load_active(self, ring: Ring) -> Flow[None]:
        pointer = yield from self.keyring.active(ring)
        known = yield from self._opened(ring, pointer.version)
        known.other = None if pointer.other is None else (yield from self._opened(ring, pointer.other))
        known.moves_at, known.complete, known.tables = pointer.moves_at, pointer.complete, pointer.tables
        self._active[ring] = known

    def _opened(self, ring: Ring, version: bytes) -> Flow[Opened]:
        known = self._versions.get((ring, version))
        if known is None or self.clock() >= known.until:
            branch = yield from self.keyring.version(ring, version)
            if branch is None:
                raise unavailable(ring, version)
            known = self._keep(ring, version, branch)
        return known

    def _load_version(self, ring: Ring, version: bytes) -> Flow[None]:
        now = self.clock()
        if now < self._asked.get(ring, 0.0) and self._unknown:
            raise unavailable(ring, version)
        branch = yield from self.keyring.version(ring, version)
        if branch is None:
            self._bound(self._unknown)
            self._unknown[ring, version] = now + UNKNOWN
            self._asked[ring] = now + 1.0  # versions that nobody has made cost one request in a second
            raise unavailable(ring, version)
        self._keep(ring, version, branch)

    def _keep(self, ring: Ring, version: bytes, branch: bytes, subject: str | None = None) -> Opened:
        now = self.clock()
        key = Opened(version, BranchKey(branch), now + self._ttl, now + self._ttl + self._grace)
        self._bound(self._versions)
        self._versions[ring, version if subject is None else subject] = key
        return key

    def _bound(self, kept: dict[Any, Any]) -> None:
        while len(kept) >= self._most:
            kept.pop(next(iter(kept)), None)
            self.evictions += 1
            self._tell()

    def _tell(self) -> None:
        """Say that more keys are in use than are kept, where they are fetched again and again: at most once in a minute."""
        now = self.clock()
        if self.asked > _MANY and self.fetches * 10 > self.asked and now >= self._told:
            self._told = now + 60.0
            logger.warning(
                "more keys are in use than the %d that are kept, so that %d of %d were fetched: raise max_keys of the provider",
                self._most,
                self.fetches,
                self.asked,
            )

    def forget(self, ring: Ring) -> None:
        """Let go of all keys of a ring."""
        self.generation += 1
        self._active.pop(ring, None)
        for failed in [
            place for place in self._failed if place == ring or (isinstance(place, tuple) and ring in place)
        ]:
            self._failed.pop(failed, None)
        for place in [place for place in self._versions if place[0] == ring]:
            del self._versions[place]


def unavailable(ring: Ring, version: bytes) -> KeyUnavailable:
    """The error for a version that has no record."""
    name = str(UUID(bytes=version))
    return KeyUnavailable(f"the ring {ring.name} has no key of the version {name}", version=name)


def no_subject(ring: Ring) -> KeyUnavailable:
    """The error for a subject that has no key."""
    return KeyUnavailable(f"the ring {ring.name} has no key of this subject", version="")
