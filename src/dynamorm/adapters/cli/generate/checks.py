"""What must hold in a DMS document beyond the form of its parts: each mistake is told with its line and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NoReturn

from .documents import Attribute, DmsModel, Document, Index, KeyPart, Place, Source

_CONVENTIONS: Final = {"camelCase": r"[a-z][A-Za-z0-9]*|PK|SK", "snake_case": r"[a-z][a-z0-9]*(_[a-z0-9]+)*"}
_CONVENTIONS_OF: Final = {**_CONVENTIONS, "dynamorm": _CONVENTIONS["camelCase"]}
TIMES: Final = ("created_at", "updated_at")
ROLES: Final = ("pk", "sk", *TIMES, "version", "ttl")
_ROLE_TYPES: Final = {"created_at": "S", "updated_at": "S", "version": "N", "ttl": "N"}
_NATIVE: Final = ("S", "N", "BOOL", "NULL", "L", "M")
_NATIVE_OF_0_1: Final = ("S", "M", "L")
_TABLE: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")


def check(document: Document, source: Source) -> None:
    """Refuse a document whose parts contradict each other. Raises: Stop."""
    if not document.models:
        raise source.wrong(("models",), "the document has no model")
    names: set[str] = set()
    for number, model in enumerate(document.models):
        place: Place = ("models", number)
        if model.name in names:
            raise source.wrong((*place, "name"), f"two models are called {model.name[:60]!a}")
        names.add(model.name)
        _Check(document, model, source, place).run()


class _Check:
    """The checks of one model."""

    def __init__(self, document: Document, model: DmsModel, source: Source, place: Place) -> None:
        self._document = document
        self._model = model
        self._source = source
        self._place = place
        self._attributes: dict[str, Attribute] = {}

    def _wrong(self, place: Iterable[str | int], text: str) -> NoReturn:
        raise self._source.wrong((*self._place, *place), text)

    def run(self) -> None:
        """All of them. Raises: Stop."""
        model = self._model
        if not model.name.strip():
            self._wrong(("name",), "a model has a name")
        if _TABLE.fullmatch(model.table.name) is None:
            self._wrong(("table", "name"), "the name of a table has 3 to 255 of A-Z a-z 0-9 _ - .")
        for number, attribute in enumerate(model.attributes):
            self._attribute(attribute, ("attributes", number))
        self._key("partition", model.keys.partition)
        if model.keys.sort is not None:
            self._key("sort", model.keys.sort)
        for number, index in enumerate(model.indexes):
            self._index(index, ("indexes", number))
        for name in model.write_policy.protected_attributes:
            if name not in self._attributes:
                self._wrong(("write_policy", "protected_attributes"), f"{name[:60]!a} is no attribute of the model")
        self._roles()

    def _attribute(self, one: Attribute, place: Place) -> None:
        shown = f"{one.attribute[:60]!a}"
        pattern = _CONVENTIONS_OF.get(self._model.naming.convention or "")
        if one.attribute in self._attributes:
            self._wrong((*place, "attribute"), f"{shown} stands twice among the attributes")
        self._attributes[one.attribute] = one
        if not one.attribute or any(sign in '"\\' or sign < " " for sign in one.attribute):
            self._wrong(
                (*place, "attribute"), "the name of an attribute is a text without quotes and control characters"
            )
        if pattern is not None and re.fullmatch(pattern, one.attribute) is None:
            self._wrong(
                (*place, "attribute"), f"{shown} is not in {self._model.naming.convention}, which naming demands"
            )
        if one.required and one.optional:
            self._wrong(place, f"{shown} is both required and optional: it is one of them")
        formats = {"rfc3339nano": "S", "unix_seconds": "N", "int": "N"}
        if one.format is not None and one.type != formats[one.format]:
            self._wrong((*place, "format"), f"{shown} of the format {one.format} is of type {formats[one.format]}")
        if one.binary and one.type != "B":
            self._wrong((*place, "binary"), f"{shown} is binary: its type is B")
        native = _NATIVE if self._document.dms_version != "0.1" else _NATIVE_OF_0_1
        if one.json and one.type not in native:
            self._wrong((*place, "json"), f"{shown} is JSON: its type is one of {', '.join(native)}")
        for role in one.roles:
            kind = _ROLE_TYPES.get(role, one.type)
            if role not in ROLES and not role.startswith(("index_pk:", "index_sk:")):
                self._wrong(
                    (*place, "roles"), f"there is no role {role[:60]!a}: {', '.join(ROLES)}, index_pk:..., index_sk:..."
                )
            if one.type != kind:
                self._wrong((*place, "type"), f"{shown} has the role {role}: its type is {kind}")

    def _key(self, which: str, part: KeyPart) -> None:
        self._part(part, ("keys", which))

    def _part(self, part: KeyPart, place: Place) -> None:
        found = self._attributes.get(part.attribute)
        if found is None:
            self._wrong((*place, "attribute"), f"{part.attribute[:60]!a} is no attribute of the model")
        if found.type != part.type:
            self._wrong((*place, "type"), f"{part.attribute[:60]!a} is of type {found.type} among the attributes")
        if found.encryption is not None:
            self._wrong(place, f"{part.attribute[:60]!a} is encrypted: it can be no part of a key")

    def _index(self, index: Index, place: Place) -> None:
        if _TABLE.fullmatch(index.name) is None:
            self._wrong((*place, "name"), "the name of an index has 3 to 255 of A-Z a-z 0-9 _ - .")
        if any(other.name == index.name for other in self._model.indexes[: int(place[-1])]):
            self._wrong((*place, "name"), f"two indexes are called {index.name}")
        self._part(index.partition, (*place, "partition"))
        if index.sort is not None:
            self._part(index.sort, (*place, "sort"))
        if index.type == "LSI":
            if index.partition.attribute != self._model.keys.partition.attribute:
                self._wrong((*place, "partition"), "a local index has the partition key of its table")
            if index.sort is None:
                self._wrong(place, "a local index has a sort key")
        if (index.projection.type == "INCLUDE") != bool(index.projection.fields):
            self._wrong((*place, "projection"), "a projection names fields where its type is INCLUDE, and only there")
        for name in index.projection.fields:
            if name not in self._attributes:
                self._wrong((*place, "projection", "fields"), f"{name[:60]!a} is no attribute of the model")

    def _roles(self) -> None:
        """Roles say again what keys and indexes say: both must say the same."""
        keys = self._model.keys
        said = {"pk": keys.partition.attribute, "sk": None if keys.sort is None else keys.sort.attribute}
        for index in self._model.indexes:
            said[f"index_pk:{index.name}"] = index.partition.attribute
            said[f"index_sk:{index.name}"] = None if index.sort is None else index.sort.attribute
        taken: dict[str, str] = {}
        for number, one in enumerate(self._model.attributes):
            for role in one.roles:
                place = ("attributes", number, "roles")
                if role not in ROLES[2:] and said.get(role) != one.attribute:
                    self._wrong(
                        place,
                        f"{one.attribute[:60]!a} has the role {role[:60]!a}, and the keys and indexes say otherwise",
                    )
                if taken.setdefault(role, one.attribute) != one.attribute:
                    self._wrong(place, f"two attributes have the role {role[:60]!a}")
