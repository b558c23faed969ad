"""The subclasses of a model that share a table, told apart by the value of a discriminator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import UNSET as U
from msgspec import UnsetType, defstruct
from msgspec.json import Decoder

from dynamorm.errors import ModelError, ValidationError
from dynamorm.schema import SCHEMAS, Schema

from .shapes import wire_struct


class Family:
    """Finds the class of an item. Subclasses made after the codec are found when their tag first comes."""

    def __init__(self, schema: Schema, codec_of: Callable[[Any], Any]) -> None:
        assert schema.discriminator is not None
        self._schema = schema
        self._codec_of = codec_of
        self._classes: dict[str, type] = {}
        tagged: Any = wire_struct("S", str, null=False)
        reader: Any = defstruct(
            "Tagged", [("tag", tagged | UnsetType, U)], rename={"tag": schema.discriminator}, gc=False
        )
        self._tag = Decoder(reader).decode
        self._refresh()

    def _refresh(self) -> None:
        for cls in _with_subclasses(self._schema.model):
            schema = SCHEMAS.get(cls)
            if schema is None or schema.tag is None:
                continue
            known = self._classes.setdefault(schema.tag, cls)
            if known is not cls and known.__qualname__ != cls.__qualname__:
                raise ModelError(f"{known.__name__} and {cls.__name__} have the same tag {schema.tag!r}")

    def codec(self, raw: bytes) -> Any | None:
        """The codec of the item's class; None when it is the class itself, or the item has no tag.

        Raises: ValidationError for a tag that no subclass has.
        """
        found = self._tag(raw).tag
        if found is U or self._schema.tag == found.S:
            return None
        cls = self._classes.get(found.S)
        if cls is None:
            self._refresh()
            cls = self._classes.get(found.S)
        if cls is None:
            raise ValidationError(
                f"{self._schema.name}: the stored {self._schema.discriminator!r} names no subclass of it",
                field=self._schema.discriminator,
            )
        return self._codec_of(cls)


def _with_subclasses(cls: type) -> Iterator[type]:
    yield cls
    subclasses: list[type] = type.__subclasses__(cls)  # a model's attributes hide nothing here
    for one in subclasses:
        yield from _with_subclasses(one)
