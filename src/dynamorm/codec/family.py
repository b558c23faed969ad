"""The subclasses of a model that share a table, told apart by the value of a discriminator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from dynamorm.errors import MissingItem, ModelError, ValidationError
from dynamorm.models.schema.composite import Composite
from dynamorm.models.schema.schema import SCHEMAS, Schema, tags_of, with_subclasses

from .strict import check_item, decoded, parts_of


class Family:
    """Finds the class of an item. Subclasses made after the codec are found too."""

    def __init__(self, schema: Schema, codec_of: Callable[[Any], Any]) -> None:
        assert schema.discriminator is not None
        _check_scopes(schema)
        self._schema = schema
        self._codec_of = codec_of
        self._classes: dict[str, type] = {}
        self._known = 0
        self._refresh()

    def of(self, codec_of: Callable[[Any], Any]) -> Family:
        """The same classes with other codecs."""
        return Family(self._schema, codec_of)

    def below(self) -> list[Any]:
        """The codecs of the subclasses that have been defined so far."""
        model = self._schema.model
        return [self._codec_of(cls) for cls in with_subclasses(model) if cls is not model and cls in SCHEMAS]

    def _refresh(self) -> None:
        self._known = len(SCHEMAS)
        classes: dict[str, type] = {}
        for cls in with_subclasses(self._schema.model):
            schema = SCHEMAS.get(cls)
            if schema is None or schema.tag is None:
                continue
            first = classes.setdefault(schema.tag, cls)
            if first is not cls:
                raise ModelError(f"{first.__name__} and {cls.__name__} have the same tag {schema.tag!r}")
        self._classes = classes

    def codec(self, item: dict[str, Any]) -> Any | None:
        """The codec of the item's class; None when it is the class itself, or the item has no tag.

        Raises: ValidationError for a tag that no subclass has; MalformedResponse when the item is no item.
        """
        schema = self._schema
        assert schema.discriminator is not None
        discriminator = item.get(schema.discriminator)
        if discriminator is None or discriminator == {"S": schema.tag}:
            return None
        check_item(item)
        if len(SCHEMAS) != self._known:  # a class may have been added, or have replaced another
            self._refresh()
        cls = self._classes.get(discriminator.get("S"))
        if cls is None:
            raise ValidationError(
                f"{schema.name}: the stored {schema.discriminator!r} names no subclass of it",
                field=schema.discriminator,
            )
        return self._codec_of(cls)

    def owns(self, raw: bytes, *, untagged: bool = False) -> bool:
        """Whether an item's JSON is of this class or a subclass, as queries of the class see it.

        An item without a tag is the root's alone, unless ``untagged``.
        """
        tags = tags_of(self._schema)
        if not tags:
            return True
        discriminator = parts_of(raw).get(self._schema.discriminator or "")
        return untagged if discriminator is None else decoded(discriminator).get("S") in tags

    def stranger(self, **info: Any) -> MissingItem:
        """The error for a key under which there is an item that this class does not own."""
        return MissingItem(
            f"no {self._schema.name} is stored under this key: the item that is there is of another class", **info
        )


Kind: TypeAlias = Literal["own", "sibling", "unknown"]
"""What an item of a shared table is to one of the classes: its own, a sibling's, or of no class that is known."""


def kind_of(schema: Schema, discriminator: Any) -> Kind:
    """What an item is to a class, by the wire value of its discriminator (None when it has none).

    An item without one belongs to the root of the family, as it does in queries.
    """
    tags = tags_of(schema)
    tag = discriminator.get("S") if isinstance(discriminator, dict) else None
    if tag is None:
        return "sibling" if tags else "own"
    if tag in tags:
        return "own"
    if tag not in _known_tags(schema):
        return "unknown"
    return "sibling" if tags else "own"


def _known_tags(schema: Schema) -> set[str | None]:
    """The tags of all classes that share the table, as far as this program has defined them."""
    shared = (
        cls
        for cls in schema.model.__mro__
        if (class_schema := SCHEMAS.get(cls)) is not None and class_schema.discriminator
    )
    *_, root = shared
    return {SCHEMAS[cls].tag for cls in with_subclasses(root) if cls in SCHEMAS}


def _check_scopes(schema: Schema) -> None:
    """Refuse classes that share a table where the keys of some hold a scope that those of others do not. Raises: ModelError."""
    own = _scope_in_key(schema)
    for cls in (*schema.model.__mro__[1:], *with_subclasses(schema.model)):
        other = SCHEMAS.get(cls)
        if other is not None and other.discriminator is not None and _scope_in_key(other) != own:
            raise ModelError(
                f"{schema.name} and {other.name} share a table, and the scope of a view is in the key of one of them and not in"
                " that of the other, which would read and write the items of every view: let the keys of all hold it"
            )


def _scope_in_key(schema: Schema) -> set[str]:
    """The entries of a view's scope in the primary key of a model."""
    names = () if schema.key is None else schema.key.fields
    options = [schema.fields[name].option(Composite) for name in names]
    return {entry for option in options if option is not None for entry in option.scoped}
