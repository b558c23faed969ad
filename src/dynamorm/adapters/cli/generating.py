"""Models of a table that others write: by its description, and the types that a sample of its items has.

Names of attributes are a stranger's: they stand in the code inside ``repr()`` alone. What a sample does not tell is not guessed.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Final

from dynamorm.codec.replies.table_description import TableDescription
from dynamorm.codec.strict import dumps
from dynamorm.codec.types.numbers import number_of
from dynamorm.models.model import Model
from dynamorm.models.schema.schema import LIBRARY_NAMES

from .ends import Code, Stop
from .plain import Wire

_NAMES: Final = ("Any", "Attr", "Decimal", "Model", "annotations", "attr", "gsi", "lsi", "partition_key", "sort_key")
_TYPES: Final = ("bool", "bytes", "dict", "int", "list", "set", "str")
_TAKEN: Final = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(Model), *_NAMES, *_TYPES})
_DEEPEST: Final = 8
_STANDARD: Final = {"Decimal": "from decimal import Decimal", "Any": "from typing import Any"}


class Seen:
    """What the sample tells of one attribute, or of what is in it: how often each type comes, and what is inside."""

    def __init__(self) -> None:
        self.count: int = 0
        self.tags: dict[str, int] = {}
        self.whole: bool = True
        self.inner: Seen | None = None

    def add(self, wire: Wire, depth: int = 0) -> None:
        """Look at a value."""
        ((tag, value),) = wire.items()
        self.count += 1
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag in {"N", "NS"}:
            numbers = [value] if tag == "N" else value
            self.whole = self.whole and all(isinstance(number_of(one), int) for one in numbers)
        if tag == "L" and depth < _DEEPEST:
            self.inner = self.inner or Seen()
            for element in value:
                self.inner.add(element, depth + 1)

    @property
    def type(self) -> str:
        """The annotation, without None. Values of several types are a document, which keeps each as it is."""
        tags = [tag for tag in self.tags if tag != "NULL"]
        if len(tags) != 1:
            return "Any"
        number = "int" if self.whole else "Decimal"
        if tags[0] == "L":
            return self._list()
        simple = {"S": "str", "N": number, "B": "bytes", "BOOL": "bool", "M": "dict[str, Any]"}
        sets = {"SS": "set[str]", "NS": f"set[{number}]", "BS": "set[bytes]"}
        return (simple | sets)[tags[0]]

    def _list(self) -> str:
        inner = self.inner
        plain = inner is not None and inner.tags.keys() <= {"S", "N", "B", "BOOL"} and len(inner.tags) == 1
        return f"list[{inner.type}]" if plain and inner is not None else "list[Any]"

    @property
    def null(self) -> bool:
        """Whether NULL was among the values."""
        return "NULL" in self.tags


def generated(live: TableDescription, table: str, items: Iterable[Mapping[str, Wire]], name: str | None = None) -> str:
    """The module with the model of a table. ``table`` is its name without a prefix."""
    seen: dict[str, Seen] = {}
    total = 0
    for item in items:
        total += 1
        for attribute, wire in item.items():
            if attribute not in LIBRARY_NAMES:
                seen.setdefault(attribute, Seen()).add(wire)
    keys = [live.partition, *([live.sort] if live.sort else [])]
    indexed = [one for index in live.indexes.values() for one in (*index.partition, *index.sort)]
    projected = [one for index in live.indexes.values() for one in index.projected]
    order = dict.fromkeys([*keys, *sorted({*seen, *indexed, *projected} - LIBRARY_NAMES)])
    unfit = [attribute for attribute in order if dumps(attribute)[1:-1] != attribute.encode()]
    if not set(unfit).isdisjoint(keys):
        raise Stop(
            Code.REFUSED, f"a key of {table!r} has a name with quotes or control characters: no model can have it"
        )
    for attribute in unfit:
        del order[attribute]
    names = _fields(order)
    types = {attribute: _annotation(attribute, seen.get(attribute), live, total, keys) for attribute in order}
    body = [
        _line(attribute, names[attribute], types[attribute], seen.get(attribute), total, keys) for attribute in order
    ]
    body += [f"    # {attribute!a} cannot be the name of a field: items keep it as it is" for attribute in unfit]
    body += _indexes(live, names)
    text = "\n".join(body)
    found = _class(table) if name is None else name
    return "\n".join([*_imports(text), "", "", f"class {found}(Model, table={table!r}):", text, ""])


def _imports(body: str) -> list[str]:
    """The imports that the lines of a class need. A name in a literal may bring one too many, which does no harm."""
    lines = ["from __future__ import annotations", ""]
    standard = [one for word, one in _STANDARD.items() if re.search(rf"\b{word}\b", body)]
    made = [one for one in ("attr", "gsi", "lsi", "partition_key", "sort_key") if f" = {one}(" in body]
    return [
        *lines,
        *standard,
        *([""] if standard else []),
        f"from dynamorm import {', '.join(['Attr', 'Model', *made])}",
    ]


def _annotation(attribute: str, seen: Seen | None, live: TableDescription, total: int, keys: list[str]) -> str:
    if seen is None:
        known = {"S": "str", "N": "Decimal", "B": "bytes"}.get(live.key_types.get(attribute, ""), "Any")
        return known if attribute in keys else f"{known} | None"
    optional = seen.null or seen.count < total
    return f"{seen.type} | None" if optional and attribute not in keys and seen.type != "Any" else seen.type


def _line(attribute: str, field: str, annotation: str, seen: Seen | None, total: int, keys: list[str]) -> str:
    settings = []
    optional = attribute not in keys and (seen is None or seen.null or seen.count < total)
    if optional:
        settings.append("default=None")
    if field != attribute:
        settings.append(f"name={attribute!r}")
    make = "attr"
    if attribute in keys:
        make = "partition_key" if attribute == keys[0] else "sort_key"
    value = f" = {make}({', '.join(settings)})" if settings or make != "attr" else ""
    count = 0 if seen is None else seen.count
    several = (
        ""
        if seen is None or len(seen.tags) < 2
        else ", " + ", ".join(f"{tag} {n}" for tag, n in sorted(seen.tags.items()))
    )
    return f"    {field}: Attr[{annotation}]{value}  # seen in {count} of {total}{several}"


def _indexes(live: TableDescription, names: Mapping[str, str]) -> list[str]:
    lines = []
    taken = {*names.values(), *_TAKEN}
    for index in sorted(live.indexes.values(), key=lambda one: one.name):
        if not {*index.partition, *index.sort, *index.projected} <= names.keys():
            continue  # it has an attribute that cannot be a field
        place = _free("by_" + re.sub(r"\W", "_", index.name, flags=re.ASCII).lower(), taken)
        taken.add(place)
        parts = [repr(index.name)]
        if index.kind == "GSI":
            parts.append(f"partition={_of(index.partition, names)}")
        if index.sort:
            parts.append(f"sort={_of(index.sort, names)}")
        if index.projection == "KEYS_ONLY":
            parts.append("projection='KEYS_ONLY'")
        elif index.projection == "INCLUDE":
            parts.append(f"projection={[names[one] for one in index.projected]!r}")
        lines.append(f"    {place} = {index.kind.lower()}({', '.join(parts)})")
    return lines


def _of(parts: tuple[str, ...], names: Mapping[str, str]) -> str:
    found = tuple(names[part] for part in parts)
    return repr(found[0] if len(found) == 1 else found)


def _fields(attributes: Iterable[str]) -> dict[str, str]:
    """The name of the field of each attribute: its own where it may be one."""
    taken = set(_TAKEN)
    names: dict[str, str] = {}
    for attribute in attributes:
        plain = attribute.isascii() and attribute.isidentifier() and not attribute.startswith("_")
        name = attribute if plain else re.sub(r"\W", "_", attribute, flags=re.ASCII).strip("_") or "field"
        name = f"f_{name}" if name[0].isdigit() else name
        names[attribute] = name = _free(name, taken)
        taken.add(name)
    return names


def _free(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    found, number = f"{name}_", 2
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found


def _class(table: str) -> str:
    words = [word for word in re.split(r"[^A-Za-z0-9]+", table) if word]
    name = "".join(word[:1].upper() + word[1:] for word in words) or "Item"
    name = f"T{name}" if name[0].isdigit() else name
    return f"{name}_" if name in _TAKEN else name
