"""Items of older schema versions, brought to the version of their model while they are read.

A state keeps the item as it is stored: what is addressed, checked and compared is that. It must not know verbs.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U
from msgspec import UnsetType, defstruct
from msgspec.json import Decoder

from dynamorm.errors import ModelError
from dynamorm.errors.upgrading import NotUpgraded, UpgradeFailed
from dynamorm.models.schema.schema import LIBRARY_NAMES
from dynamorm.models.schema.upgraded import check_kept, is_fixed, stepped
from dynamorm.models.schema.upgrades import SCHEMA_ATTRIBUTE

from .replies.upgrading import UpgradingReading
from .strict import check_item, dumps, read_object
from .types.document import from_wire, to_wire
from .types.mismatch import Mismatch
from .types.shapes import wire_struct

if TYPE_CHECKING:
    from dynamorm.errors import DynamORMError
    from dynamorm.models.schema.upgrades import Upgrade

    from .codec import ModelCodec
    from .replies.checked import StoredItem

_CONTAINERS: Final = (list, dict, set)


class Upgrades:
    """The schema version of one codec, and the way of older items to it.

    ``fixed`` are the stored names that no function may change: keys, what the library and plugins own, and what keeps its value.
    """

    def __init__(self, codec: ModelCodec) -> None:
        schema = codec.schema
        assert schema.schema_version is not None  # else there are none
        self._codec = codec
        self.name: str = schema.name
        self.newest: int = schema.schema_version
        self.chain: tuple[Upgrade, ...] = schema.upgrades
        self.tag: dict[str, str] = {"N": f"{self.newest}"}
        plans = [*codec.record.plans, *codec.record.computed]
        self._hidden: frozenset[str] = frozenset(
            {name for plan in plans for name in plan.names_beside}
            | {plan.stored for plan in plans if plan.hook is not None or plan.unstored is not None}
        )
        library = {SCHEMA_ATTRIBUTE, *LIBRARY_NAMES, *(() if schema.discriminator is None else (schema.discriminator,))}
        self.fixed: frozenset[str] = frozenset(
            {plan.stored for plan in plans if is_fixed(schema, plan.field)} | self._hidden | library
        )
        for step in self.chain:
            for name in step.attributes or ():
                if name in self.fixed:
                    raise ModelError(
                        f"{self.name}: @upgrade({step.since}) names {name!r}, which an upgrade cannot change: it is part of the"
                        " key, or kept by the library, a plugin or an option; leave it out of attributes="
                    )

    def reading(self, codec: ModelCodec) -> UpgradingReading:
        """What reads the replies of a codec of the model."""
        return UpgradingReading(codec, codec.key_names)

    @property
    def needed(self) -> tuple[str, ...]:
        """The attributes that each read of a part of an item fetches besides."""
        return (SCHEMA_ATTRIBUTE,) if self.chain else ()

    # -------------------------------------------------------------------------------------------------------- versions

    def version_of(self, wire: Any) -> int:
        """The version that the stored tag says. Raises: UpgradeFailed."""
        if wire is None or wire is U:
            return 1
        text = wire.get("N") if wire.__class__ is dict else wire.N
        if text.__class__ is str and text.isascii() and text.isdigit():
            version = int(text)
            if 1 <= version <= self.newest:
                return version
            if version:
                raise UpgradeFailed(
                    f"a stored {self.name} is of schema version {version}, and this program knows versions up to"
                    f" {self.newest}: deploy the newer program before it reads these items"
                )
        raise UpgradeFailed(f"a stored {self.name} has a {SCHEMA_ATTRIBUTE!r} that is no schema version")

    @cached_property
    def _tag_of(self) -> Callable[[bytes], Any]:
        kind: Any = wire_struct("N", str, null=False) | UnsetType
        return Decoder(defstruct("Tag", [("tag", kind, U)], rename={"tag": SCHEMA_ATTRIBUTE}, gc=False)).decode

    def is_former(self, raw: bytes) -> bool:
        """Whether this is a stored item of an older version."""
        return self.version_of(self._tag_of(raw).tag) != self.newest

    def not_upgraded(self, what: str, old: Callable[[], Any] | None = None, **info: Any) -> DynamORMError:
        """The error for what would mix two forms."""
        return NotUpgraded(
            f"the {self.name} is stored in an older schema version than {self.newest}, so {what}: load it and db.save() it first,"
            " which stores it as a whole in the newest version",
            old=old,
            **info,
        )

    def checking(self, codec: ModelCodec) -> ModelCodec:
        """The codec with a rule that refuses parts of items of an older version: they raise NotUpgraded."""
        if not self.chain:
            return codec
        keeps = codec.keeps

        def kept(item: StoredItem) -> bool:
            if keeps is not None and not keeps(item):
                return False
            if self.version_of(item.seen_by(None).get(SCHEMA_ATTRIBUTE)) != self.newest:
                raise self.not_upgraded("it can only be read as a whole, without select")
            return True

        other = copy(codec)
        other.keeps = kept
        return other

    # -------------------------------------------------------------------------------------------------------- upgrades

    def upgraded(self, item: dict[str, Any]) -> dict[str, Any]:
        """The item in the newest version; the very same dict if it is. Raises: UpgradeFailed."""
        version = self.version_of(item.get(SCHEMA_ATTRIBUTE))
        if version == self.newest:
            return item
        check_item(item)
        before: dict[str, Any] = {}
        now: dict[str, Any] = {}
        try:
            before = {name: from_wire(wire) for name, wire in item.items() if name not in self._hidden}
            now = {
                name: from_wire(item[name]) if value.__class__ in _CONTAINERS else value
                for name, value in before.items()
            }
        except Mismatch:
            raise UpgradeFailed(f"a stored {self.name} holds a value of no known form") from None
        for step in self.chain[version - 1 :]:
            now = stepped(self.name, step, now)
        check_kept(self.name, self.fixed - self._hidden, before, now)
        made = {name: wire for name, wire in item.items() if name in self._hidden}
        for name, value in now.items():
            made[name] = item[name] if name in before and before[name] == value else self._wire(version, name, value)
        made[SCHEMA_ATTRIBUTE] = self.tag
        return read_object(dumps(made))

    def _wire(self, version: int, name: Any, value: Any) -> dict[str, Any]:
        said = "it has a name that is no text"
        if name.__class__ is str and name:
            try:
                return to_wire(value, exact=True)
            except Mismatch as error:
                said = error.text
        raise UpgradeFailed(
            f"an attribute that the upgrades of {self.name} from schema version {version} on made cannot be stored: {said}",
            field=name if name.__class__ is str else None,
        )

    def misfit(self, error: DynamORMError) -> UpgradeFailed:
        """The error for an upgraded item that does not fit the model."""
        return UpgradeFailed(
            f"what the upgrades of {self.name} made of a stored item does not fit the model: {error.message}",
            field=getattr(error, "field", None),
        )

    # ----------------------------------------------------------------------------------------------------------- states

    def newer(self, raw: bytes) -> bytes:
        """The JSON of a loaded item in the newest version."""
        return dumps(self.upgraded(read_object(raw))) if self.is_former(raw) else raw

    def touched(self, raw: bytes) -> dict[str, bool]:
        """What the upgrades change of a loaded item: by stored name, whether the attribute is stored now."""
        item = read_object(raw)
        newer = self.upgraded(item)
        return {name: name in item for name in {**item, **newer} if item.get(name) != newer.get(name)}
