"""An opened key, which key is needed, and what is said where there is none."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from dynamorm.errors import EncryptionError, KeyDisabled, KeyUnavailable
from dynamorm.plugin import NotReady

from .records import Ring

if TYPE_CHECKING:
    from .branch import BranchKey
    from .keys import Keys


class Opened:
    """An opened key: until when it is used, and until when if the provider does not answer."""

    __slots__ = ("branch", "complete", "copied", "last", "moves_at", "other", "tables", "until", "version")

    def __init__(self, version: bytes, branch: BranchKey, until: float, last: float) -> None:
        self.version: bytes = version
        self.branch: BranchKey = branch
        self.until: float = until
        self.last: float = last
        self.other: Opened | None = None
        self.moves_at: float = 0.0
        self.complete: frozenset[str] = frozenset()
        self.tables: frozenset[str] = frozenset()
        self.copied: bool = False
        """Whether the record of the ring says that values are kept elsewhere under this key."""

    def __repr__(self) -> str:
        return "<Opened key>"


class Need(NamedTuple):
    """A key that is needed: that of a version, of a subject (its bytes), or, where ``what`` is None, the one in use."""

    ring: Ring
    what: bytes | None = None
    is_subject: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether it is only asked what is known of a ring, of which there may be nothing."""
        return self.what is None

    def of(self, keys: Keys) -> Opened:
        """The key, which is not made. Raises: NotReady, KeyUnavailable, KeyDisabled."""
        if self.what is None:
            return keys.active(self.ring, make=False)
        if self.is_subject:
            return keys.subject(self.ring, self.what, make=False)
        return keys.of_version(self.ring, self.what)

    def doubt(self, keys: Keys) -> None:
        """Let go of an error that was found a while ago: see `Keys.doubt`."""
        if not self.is_subject:
            keys.doubt(self.ring if self.what is None else (self.ring, self.what))
        elif self.what is not None:
            with suppress(KeyDisabled, KeyUnavailable, NotReady):  # then no name is known by which one could be held
                keys.doubt((self.ring, keys.name_of_subject(self.ring, self.what)))

    def hold(self, keys: Keys, found: Opened | EncryptionError) -> None:
        """Let what was found be the answer for a moment."""
        if self.what is None:
            keys.hold(self.ring, found)
        elif not self.is_subject:
            keys.hold((self.ring, self.what), found)
        else:
            with suppress(KeyDisabled, KeyUnavailable):  # then nothing of the ring's subjects is there
                keys.hold((self.ring, keys.name_of_subject(self.ring, self.what)), found)


def no_key(ring: Ring) -> KeyUnavailable:
    """The error for a ring that has no key, where none is made."""
    return KeyUnavailable(f"the ring {ring.name} has no key", version="")


def unavailable(ring: Ring, version: bytes) -> KeyUnavailable:
    """The error for a version that has no record."""
    name = str(UUID(bytes=version))
    return KeyUnavailable(f"the ring {ring.name} has no key of the version {name}", version=name)


def no_subject(ring: Ring) -> KeyUnavailable:
    """The error for a subject that has no key."""
    return KeyUnavailable(f"the ring {ring.name} has no key of this subject", version="")
