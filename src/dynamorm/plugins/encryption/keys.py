"""The opened keys of a process: for how long they are used, and how they are fetched, by one flow for each at a time."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final
from uuid import UUID
from weakref import WeakValueDictionary

from dynamorm.effects import Flow
from dynamorm.errors import EncryptionError, KeyDisabled, KeyUnavailable, PoolTimeout
from dynamorm.errors.log import logger
from dynamorm.plugin import Acquire, Limiter, NotReady

from .bounds import Allowance, Findings, Remembered
from .envelope import framed
from .keyring import Keyring, copying, using
from .needs import Opened, no_key, no_subject, unavailable
from .records import Ring

PATIENCE: Final = 20.0
"""Seconds for which a key is waited for that another flow fetches."""
UNKNOWN: Final = 30.0
"""Seconds for which a version that is not there is not asked for again: a forged one costs one request."""
FAILED: Final = 1.0
"""Seconds for which what has failed is told to those who wait for the same key."""
MOMENT: Final = 2.0
"""Seconds for which what was fetched is there for whom it was fetched."""
LISTED: Final = 3600.0
IN_VAIN: Final = 10
"""Look-ups in vain, at once, of the subjects of one ring; one more is allowed each second. Of rings ten times as many."""
MANY: Final = 20_000
RINGS: Final = "rings"
_AGAIN: Final = 10.0
_MANY: Final = 100
"""Keys that were asked for before anything is said of how many were fetched."""


class Keys:
    """The keys of one database. `active` and `of_version` are asked for each value, and raise `NotReady` for what must be fetched.

    What was fetched is held for a moment, however many keys are kept and however short their time is: for what it was fetched for.
    """

    def __init__(self, keyring: Keyring, *, clock: Callable[[], float] = monotonic) -> None:
        provider = keyring.provider
        self.keyring: Keyring = keyring
        self.clock = clock
        self._ttl, self._grace, self._most = max(provider.ttl, 1.0), provider.grace, provider.max_keys
        self._active: dict[Ring, Opened] = {}
        # By ring and version, or by ring and the name of a subject.
        self._versions: dict[tuple[Ring, bytes | str], Opened] = {}
        now = self._now
        self._held: Findings[Any, Opened | EncryptionError] = Findings(MANY, now, MOMENT)
        self._unknown: Remembered[Any, bool] = Remembered(MANY, now)
        self._failed: Remembered[Any, tuple[float, EncryptionError]] = Remembered(MANY, now)
        self._asked: Remembered[Ring, bool] = Remembered(MANY, now)
        self._lists: Remembered[Ring, frozenset[bytes]] = Remembered(MANY, now)
        self._absent: Remembered[Any, Allowance] = Remembered(MANY, now)
        self._gates: WeakValueDictionary[Any, Limiter] = WeakValueDictionary()
        self.generation: int = 0
        """Raised when what is known of keys is not to be used any more."""
        self.fetches: int = 0
        self.evictions: int = 0
        self.asked: int = 0
        self._told = 0.0

    def _now(self) -> float:
        return self.clock()

    def until(self) -> float:
        """Until when what is opened now is used."""
        return self.clock() + self._ttl

    def active(self, ring: Ring, *, make: bool = True) -> Opened:
        """The key that new values of a ring are sealed with. ``make``: the first one is made. Raises: NotReady, KeyUnavailable."""
        key = self._active.get(ring)
        self.asked += 1
        if key is not None and self.clock() < key.until:
            return key
        key = self._of_the_moment(ring, make=make)
        if key is not None:
            return key
        if not make and self._unknown.get(ring):
            raise no_key(ring)
        raise NotReady(f"the key of the ring {ring.name}", lambda: self.fetch_active(ring, make=make))

    def of_version(self, ring: Ring, version: bytes) -> Opened:
        """The key of a version. Raises: NotReady; KeyUnavailable for one that was looked for in vain a moment ago; KeyDisabled."""
        place = ring, version
        key = self._versions.get(place)
        self.asked += 1
        if key is not None and self.clock() < key.until:
            return key
        key = self._of_the_moment(place)
        if key is not None:
            return key
        if self._unknown.get(place):
            raise unavailable(ring, version)
        self._raise_disabled(place)
        raise NotReady(f"a key of the ring {ring.name}", lambda: self.fetch_version(ring, version))

    def subject(self, ring: Ring, subject: bytes, *, make: bool) -> Opened:
        """The key of a subject. ``make``: it is made where there is none. Raises: NotReady, KeyDisabled, KeyUnavailable."""
        self.active(ring.subjects, make=make)
        return self.of_subject(ring, self.name_of_subject(ring, subject), make=make)

    def of_subject(self, ring: Ring, name: str, *, make: bool = False) -> Opened:
        """The same by what the record of the subject is called. Raises: as `subject`."""
        place = ring, name
        key = self._versions.get(place)
        if key is not None and self.clock() < key.until:
            return key
        key = self._of_the_moment(place, make=make)
        if key is not None:
            return key
        self._raise_disabled(place)
        if not make and self._unknown.get(place):
            raise no_subject(ring)
        raise NotReady(
            f"the key of a subject of the ring {ring.name}", lambda: self.fetch_subject(ring, name, make=make)
        )

    def name_of_subject(self, ring: Ring, subject: bytes) -> str:
        """What the record of a subject is called; the key of `Ring.subjects` was fetched before."""
        key = self.active(ring.subjects, make=False)
        return key.branch.expand(framed(b"dynamorm/subject-name/1", subject)).hex()

    # ------------------------------------------------------------------------------------------------- of the moment

    def hold(self, place: Any, found: Opened | EncryptionError) -> None:
        """Let what was found in a place be the answer for a moment, whatever becomes of it: for who has fetched it."""
        self._held.hold(place, found)

    def doubt(self, place: Any) -> None:
        """Let go of an error that was found in a place a while ago: who reads on and on asks again, and does not prolong it."""
        self._held.doubt(place)

    def _of_the_moment(self, place: Any, *, make: bool = False) -> Opened | None:
        """A key that was fetched a moment ago, though it is kept no more. Raises: what was found in its place, unless it is made."""
        found = self._held.get(place)
        if isinstance(found, KeyDisabled) or (isinstance(found, KeyUnavailable) and not make):
            raise type(found)(found.message, version=found.version)
        return found if isinstance(found, Opened) else None

    def _raise_disabled(self, place: Any) -> None:
        failed = self._failed.get(place)
        if failed is not None and isinstance(failed[1], KeyDisabled):
            raise KeyDisabled(failed[1].message, version=failed[1].version)

    # ---------------------------------------------------------------------------------------------------- fetching

    def fetch_subject(self, ring: Ring, name: str, *, make: bool) -> Flow[None]:
        """Fetch the key of a subject. Raises: KeyUnavailable, KeyDisabled."""
        place = ring, name
        yield from self._alone(
            place, lambda: self._versions.get(place), lambda: self._load_subject(ring, name, make=make)
        )

    def _load_subject(self, ring: Ring, name: str, *, make: bool) -> Flow[None]:
        allowance = self._allowance(ring)
        if not make and allowance.is_used_up:  # names that nobody has made, in items that somebody has forged
            raise KeyUnavailable(f"keys of subjects of the ring {ring.name} were looked for in vain too often: later")
        yield from self.keyring.active(ring, make=make)  # which says whether the ring is disabled
        yield from self.fetch_active(ring.subjects, make=make)
        found = None
        if make or not self._unknown.get(ring.subjects):
            found = yield from self.keyring.subject(ring, name, self.active(ring.subjects), make=make)
        if found is None:
            allowance.take()
            self._unknown.put((ring, name), True, UNKNOWN)
            raise no_subject(ring)
        self._keep(ring, found[0], found[1], name)

    def fetch_active(self, ring: Ring, *, make: bool = True) -> Flow[None]:
        """Fetch the key in use; ``make``: also the first one, which is made. Raises: KeyUnavailable, KeyDisabled."""
        known = self._active.get(ring)
        if known is None or self.clock() >= known.until:
            yield from self._alone(ring, lambda: self._active.get(ring), lambda: self._load_active(ring, make=make))

    def note_table(self, ring: Ring, table: str) -> Flow[None]:
        """Note in the record of a ring that its keys are used in a table."""
        yield from self.keyring.change(ring, using(table))
        key = self._active.get(ring)
        if key is not None:
            key.tables |= {table}

    def note_copies(self, ring: Ring, key: Opened) -> Flow[None]:
        """Note in the record of a ring that values are kept elsewhere under a key of it, so that it is not retired."""
        yield from self.keyring.change(ring, copying(str(UUID(bytes=key.version))))
        key.copied = True

    def fetch_version(self, ring: Ring, version: bytes) -> Flow[None]:
        """Fetch the key of a version. Raises: KeyUnavailable, KeyDisabled."""
        place = ring, version
        if self._unknown.get(place):
            raise unavailable(ring, version)
        known = self._versions.get(place)
        if known is None or self.clock() >= known.until:
            yield from self._alone(place, lambda: self._versions.get(place), lambda: self._load_version(ring, version))

    def _alone(self, place: Any, known: Callable[[], Opened | None], load: Callable[[], Flow[None]]) -> Flow[None]:
        """Run what loads a key, unless another flow does: then wait for that one, and share its end."""
        began = self.clock()
        gate = self._gate(place)
        try:
            with (yield Acquire(gate, timeout=PATIENCE)):
                key = known()
                if key is not None and self.clock() < key.until:
                    return
                failed = self._failed.get(place)
                if failed is not None and failed[0] >= began:
                    raise failed[1]
                self.fetches += 1
                try:
                    yield from load()
                except KeyUnavailable as unavailable_now:
                    if not self._prolonged(key):
                        self._failed.put(place, (self.clock(), unavailable_now), FAILED)
                        raise
                except KeyDisabled as disabled:
                    self.forget(place[0] if isinstance(place[0], Ring) else place)
                    self._failed.put(place, (self.clock(), disabled), FAILED)
                    raise
                else:
                    self._failed.drop_one(place)
        except PoolTimeout as error:
            raise KeyUnavailable(f"a key was waited for longer than {PATIENCE:g} s") from error

    def _gate(self, place: Any) -> Limiter:
        """The gate of a place, which lasts as long as a flow has it."""
        gate = self._gates.get(place)
        if gate is None:
            gate = self._gates.setdefault(place, Limiter(1))
        return gate

    def _allowance(self, what: Any) -> Allowance:
        """How many look-ups in vain are allowed still: of subjects of a ring, or of rings."""
        found = self._absent.get(what)
        if found is None:
            many = 10 if what == RINGS else 1
            found = Allowance(IN_VAIN * many, self._now, many)
        self._absent.put(what, found, 3600.0)
        return found

    def _prolonged(self, key: Opened | None) -> bool:
        """Whether a key that was opened before may go on being used while the provider does not answer."""
        now = self.clock()
        if key is None or now >= key.last:
            return False
        key.until = min(now + _AGAIN, key.last)
        return True

    def _load_active(self, ring: Ring, *, make: bool) -> Flow[None]:
        pointer = yield from self.keyring.active(ring, make=make)
        if pointer is None:  # who asks again is told so
            self._unknown.put(ring, True, MOMENT)
            return
        self._lists.put(ring, pointer.versions, LISTED)
        known = yield from self._opened(ring, pointer.version)
        known.other = None if pointer.other is None else (yield from self._opened(ring, pointer.other))
        known.moves_at, known.complete, known.tables = pointer.moves_at, pointer.complete, pointer.tables
        known.copied = known.copied or pointer.copied
        self._bound(self._active)
        self._active[ring] = known
        self.hold(ring, known)

    def _opened(self, ring: Ring, version: bytes) -> Flow[Opened]:
        known = self._versions.get((ring, version))
        if known is None or self.clock() >= known.until:
            branch, _ = yield from self.keyring.version(ring, version)
            if branch is None:
                raise unavailable(ring, version)
            known = self._keep(ring, version, branch)
        return known

    def _load_version(self, ring: Ring, version: bytes) -> Flow[None]:
        """Load the key of a version. Those that the record of the ring does not name cost one look in a second."""
        if version not in (self._lists.get(ring) or ()):
            gate = self._gate(("versions", ring))
            with (yield Acquire(gate, timeout=PATIENCE)):
                if version not in (self._lists.get(ring) or ()):
                    yield from self._look(ring, version)
                    return
        yield from self._look(ring, version, listed=True)

    def _look(self, ring: Ring, version: bytes, *, listed: bool = False) -> Flow[None]:
        rings = self._allowance(RINGS)
        known = self._lists.get(ring) is not None
        if not listed:
            if self._asked.get(ring):
                self._unknown.put((ring, version), True, FAILED)
                raise unavailable(ring, version)
            if not known and rings.is_used_up:  # nobody has looked, so nothing is known of it
                raise KeyUnavailable(f"keys of rings such as {ring.name} were looked for in vain too often: later")
            self._asked.put(ring, True, 1.0)
        try:
            branch, versions = yield from self.keyring.version(ring, version)
        except BaseException:
            self._asked.drop_one(ring)  # nobody knows what was asked for
            raise
        if versions:
            self._lists.put(ring, versions, LISTED)
        elif branch is None and not known:
            rings.take()  # whoever forges the names of tenants is answered as seldom
        if branch is None:
            self._unknown.put((ring, version), True, UNKNOWN)
            raise unavailable(ring, version)
        if not listed:
            self._asked.drop_one(ring)  # it was none that somebody has made up
        self._keep(ring, version, branch)

    def _keep(self, ring: Ring, version: bytes, branch: bytes, subject: str | None = None) -> Opened:
        now = self.clock()
        key = Opened(version, self.keyring.envelopes.branch(branch), now + self._ttl, now + self._ttl + self._grace)
        self._bound(self._versions)
        place = ring, version if subject is None else subject
        self._versions[place] = key
        self.hold(place, key)
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

        def is_of_it(place: Any) -> bool:
            return bool(place == ring or place[0] == ring)

        for known in (self._failed, self._held, self._lists, self._unknown):
            known.drop(is_of_it)
        for place in tuple(self._versions):  # while another thread may add some
            if place[0] == ring:
                self._versions.pop(place, None)
