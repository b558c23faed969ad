"""Models and providers of the tests of encryption."""

from __future__ import annotations

import datetime as dt
import inspect
import os
import uuid
from typing import Any

from dynamorm import Attr, Encrypted, Model, attr, partition_key, sort_key, version
from dynamorm.effects import Call
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.encryption.envelope import framed
from dynamorm.plugins.encryption.keyring import LATEST
from dynamorm.plugins.encryption.local import LocalKeyProvider

PAN = "4111111111111111"


class Card(Model, table="crypt-cards"):
    token: Attr[str] = partition_key()
    last4: Attr[str] = attr(default="")
    number: Attr[str | None] = attr(Encrypted("pci"), default=None)
    spare: Attr[str | None] = attr(Encrypted("pci"), default=None)
    holder: Attr[dict[str, Any]] = attr(Encrypted("pii"), default_factory=dict)
    version: Attr[int] = version()


class RawCard(Model, table="crypt-cards"):
    """The same items as they are stored."""

    token: Attr[str] = partition_key()
    number: Attr[Any] = attr(default=None)
    spare: Attr[Any] = attr(default=None)
    holder: Attr[Any] = attr(default=None)
    seal: Attr[Any] = attr(name="_seal", default=None)
    sealed: Attr[Any] = attr(name="_sealed", default=None)
    version: Attr[int] = version()


class Moved(Model, table="crypt-moved", crypto_name="crypt-cards"):
    token: Attr[str] = partition_key()
    number: Attr[str | None] = attr(Encrypted("pci"), default=None)


class RawMoved(Model, table="crypt-moved"):
    token: Attr[str] = partition_key()
    number: Attr[Any] = attr(default=None)
    seal: Attr[Any] = attr(name="_seal", default=None)
    sealed: Attr[Any] = attr(name="_sealed", default=None)


class Records(Model, table="crypt-keyring"):
    """The records of keys in a table of their own."""

    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key()


class Line(Model, table="crypt-lines"):
    order: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    secret: Attr[bytes] = attr(Encrypted("pii"))


class Plain(Model, table="crypt-lines"):
    order: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    secret: Attr[Any] = attr(default=None)


class Provider:
    """A provider in memory that counts, and fails when told to: ``fails`` is called before each answer."""

    is_for_production = True
    grace = 0.0
    max_keys = 1000
    keyring_table = None

    def __init__(self, *, ttl: float = 300.0, grace: float = 0.0) -> None:
        self.ttl, self.grace = ttl, grace
        self.made: dict[bytes, tuple[bytes, bytes]] = {}
        self.calls: list[str] = []
        self.contexts: list[dict[str, str]] = []
        self.fails: Any = lambda what: None
        self.gives: bytes | None = None

    def _asked(self, what: str, context: Any) -> Any:
        def asked() -> None:
            self.calls.append(what)
            self.contexts.append(dict(context))
            self.fails(what)

        async def waiting() -> None:
            asked()

        return Call(asked, waiting)

    def generate(self, context: Any) -> Any:
        yield self._asked("generate", context)
        plain, wrapped = self._given(os.urandom(32)), os.urandom(16)
        self.made[wrapped] = plain, _bytes(context)
        return plain, wrapped

    def unwrap(self, wrapped: bytes, context: Any) -> Any:
        yield self._asked("unwrap", context)
        plain, known = self.made[wrapped]
        assert known == _bytes(context)
        return self._given(plain)

    def _given(self, plain: bytes) -> Any:
        return plain if self.gives is None else self.gives


class Wall:
    """The time of the wall, which a test moves on."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def on(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)

    def later(self) -> None:
        """When nobody uses a former key any more."""
        self.on(LATEST + 1)


def version_in_use(db: Any, model: Any, at: str, *, blind: bool = False, tenant: str = "") -> str:
    """The version of the key that is in use now for a field, or for its blind index."""
    plugin = next(one for one in db.plugins if isinstance(one, EncryptionPlugin))
    (field,) = [one for one in plugin.fields_of(model) if one.attribute == at]
    ring = field.ring(type("Anywhere", (), {"scope": {"tenant": tenant} if tenant else {}}))
    return str(uuid.UUID(bytes=plugin.keys._active[ring.blind if blind else ring].version))


class Keys:
    """``db.keys``, on either face."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def __getattr__(self, name: str) -> Any:
        def act(*args: Any, **options: Any) -> Any:
            found = getattr(self._db.keys, name)(*args, **options)
            return self._db._loop.run(found) if inspect.isawaitable(found) else found

        return act


def _bytes(context: Any) -> bytes:
    return framed(*(part.encode() for pair in sorted(context.items()) for part in pair))


__all__ = [
    "PAN",
    "Card",
    "Keys",
    "Line",
    "LocalKeyProvider",
    "Moved",
    "Plain",
    "Provider",
    "RawCard",
    "RawMoved",
    "Records",
    "Wall",
    "version_in_use",
]
