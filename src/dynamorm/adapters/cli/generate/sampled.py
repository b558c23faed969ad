"""Models of a table that others write: by its description, and the types that a sample of its items has.

Names of attributes are a stranger's: they stand in the code inside ``repr()`` alone. What a sample does not tell is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from dynamorm.codec.replies.table_description import IndexDescription, TableDescription
from dynamorm.codec.strict import dumps
from dynamorm.codec.types.numbers import number_of
from dynamorm.models.schema.schema import LIBRARY_NAMES

from ..ends import Code, Stop
from ..plain import Wire
from .names import TAKEN, class_name, field_names, free

MOST: Final = 300
"""Fields of a class. Attributes beyond them, the rarest, are no fields: tables whose names of attributes are data have thousands."""
_DEEPEST: Final = 8
_STANDARD: Final = {"Decimal": "from decimal import Decimal", "Any": "from typing import Any"}
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:?\d\d)")


class Seen:
    """What the sample tells of one attribute, or of what is in it: how often each type comes, and what is inside."""

    def __init__(self) -> None:
        self.count: int = 0
        self.tags: dict[str, int] = {}
        self.whole: bool = True
        self.times: bool = True
        self.inner: Seen | None = None

    def add(self, wire: Wire, depth: int = 0) -> None:
        """Look at a value."""
        ((tag, value),) = wire.items()
        self.count += 1
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.times = self.times and tag == "S" and _TIME.fullmatch(value) is not None
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


class Sample:
    """What was seen of each attribute in ``total`` items; ``whole``: these are all items of the table."""

    def __init__(self, items: Iterable[Mapping[str, Wire]], most: int) -> None:
        self.total: int = 0
        self.seen: dict[str, Seen] = {}
        rest: Iterator[Mapping[str, Wire]] = iter(items)
        for item in islice(rest, most):
            self.total += 1
            for attribute, wire in item.items():
                if attribute not in LIBRARY_NAMES:
                    self.seen.setdefault(attribute, Seen()).add(wire)
        self.whole: bool = next(rest, None) is None

    def lacks(self, attribute: str) -> bool:
        """Whether an item may be without the attribute, or has NULL there: items that nobody has looked at may be."""
        found = self.seen.get(attribute)
        return found is None or found.null or found.count < self.total or not self.whole

    def is_of(self, attribute: str, tag: str | None) -> bool:
        """Whether every value that was seen has this type, or there was none."""
        found = self.seen.get(attribute)
        return found is None or found.tags.keys() <= {tag, "NULL"}


def generated(live: TableDescription, table: str, sample: Sample, name: str | None = None) -> str:
    """The module with the model of a table. ``table`` is its name without a prefix."""
    text = "\n".join(_Body(live, table, sample).lines())
    found = class_name(table) if name is None else name
    first = (
        "" if sample.whole else f"# The first {sample.total} items were looked at: others may hold what is not here.\n"
    )
    return first + "\n".join([*_imports(text), "", "", f"class {found}(Model, table={table!r}):", text, ""])


def _imports(body: str) -> list[str]:
    """The imports that the lines of a class need. A name in a literal may bring one too many, which does no harm."""
    standard = [one for word, one in _STANDARD.items() if re.search(rf"\b{word}\b", body)]
    made = [one for one in ("attr", "gsi", "lsi", "partition_key", "sort_key", "ttl") if f" = {one}(" in body]
    return [
        "from __future__ import annotations",
        "",
        *standard,
        *([""] if standard else []),
        f"from dynamorm import {', '.join(['Attr', 'Model', *made])}",
    ]


class _Body:
    """The lines of the class of one table."""

    def __init__(self, live: TableDescription, table: str, sample: Sample) -> None:
        self._live = live
        self._sample = sample
        self._keys: list[str] = [live.partition, *([live.sort] if live.sort else [])]
        if not all(map(_may_be_a_field, self._keys)):
            raise Stop(
                Code.REFUSED, f"a key of {table!r} has a name with quotes or control characters: no model can have it"
            )
        self._indexes: list[IndexDescription] = []
        self._left_out: list[str] = []
        for index in sorted(live.indexes.values(), key=lambda one: one.name):
            why = self._why_not(index)
            self._left_out += [] if why is None else [f"the index {index.name!a} is left out: {why}"]
            self._indexes += [index] if why is None else []
        needed = {one for index in self._indexes for one in (*index.partition, *index.sort, *index.projected)}
        self._attributes: list[str] = self._chosen(needed)
        self._ttl: str | None = live.ttl if live.ttl and self._expires(live.ttl) else None
        self._names: dict[str, str] = field_names(self._attributes, {} if self._ttl is None else {self._ttl: "ttl"})

    def _expires(self, attribute: str) -> bool:
        """Whether a field can be the one by which items expire."""
        seen = self._sample.seen.get(attribute)
        return seen is not None and attribute in self._attributes[len(self._keys) :] and seen.type == "int"

    def _why_not(self, index: IndexDescription) -> str | None:
        """Why a model cannot have an index, or None."""
        if not all(map(_may_be_a_field, (*index.partition, *index.sort, *index.projected))):
            return "it has an attribute that cannot be a field"
        for part in (*index.partition, *index.sort):
            if not self._sample.is_of(part, self._live.key_types.get(part)):
                return f"items have {part!a} with values that are not of the type of its key"
        return None

    def _chosen(self, needed: set[str]) -> list[str]:
        """The attributes that become fields, the key first: what indexes need, and what was seen most often."""
        seen = self._sample.seen
        others = [one for one in seen if one not in needed and one not in self._keys and _may_be_a_field(one)]
        self._left_out += [
            f"{one!a} cannot be the name of a field: items keep it as it is" for one in seen if not _may_be_a_field(one)
        ][:MOST]
        others.sort(key=lambda one: (-seen[one].count, one))
        rest = others[MOST:]
        if rest:
            self._left_out.append(
                f"and {len(rest)} attributes more, of at most {seen[rest[0]].count} of {self._sample.total} items:"
                " items keep them as they are"
            )
        return [*self._keys, *sorted({*others[:MOST], *needed} - {*self._keys, *LIBRARY_NAMES})]

    def lines(self) -> list[str]:
        """The lines: of fields, of what is no field, and of indexes."""
        found = [self._field(attribute) for attribute in self._attributes]
        found += [f"    # {one}" for one in self._left_out]
        taken = {*self._names.values(), *TAKEN}
        for index in self._indexes:
            place = free("by_" + re.sub(r"\W", "_", index.name, flags=re.ASCII).lower(), taken)
            taken.add(place)
            found.append(f"    {place} = {index.kind.lower()}({index_arguments(index, self._names)})")
        return found

    def _annotation(self, attribute: str) -> str:
        seen = self._sample.seen.get(attribute)
        known = {"S": "str", "N": "Decimal", "B": "bytes"}.get(self._live.key_types.get(attribute, ""), "Any")
        only_null = seen is not None and seen.tags.keys() == {"NULL"}
        kind = known if seen is None or only_null else seen.type
        optional = attribute not in self._keys and self._sample.lacks(attribute) and kind != "Any"
        return f"{kind} | None" if optional else kind

    def _field(self, attribute: str) -> str:
        field, seen = self._names[attribute], self._sample.seen.get(attribute)
        settings = [] if attribute in self._keys or not self._sample.lacks(attribute) else ["default=None"]
        settings += [f"name={attribute!r}"] if field != attribute else []
        make = "ttl" if attribute == self._ttl else "attr"
        if attribute in self._keys:
            make = "partition_key" if attribute == self._keys[0] else "sort_key"
        value = f" = {make}({', '.join(settings)})" if settings or make != "attr" else ""
        count, more = 0, ""
        if seen is not None:
            count = seen.count
            types = ", ".join(f"{tag} {n}" for tag, n in sorted(seen.tags.items()))
            more = f", {types}" if len(seen.tags) > 1 else ", times: datetime reads them, too" if seen.times else ""
        of = f"seen in {count} of {self._sample.total}{more}"
        return f"    {field}: Attr[{self._annotation(attribute)}]{value}  # {of}"


def index_arguments(index: IndexDescription, names: Mapping[str, str]) -> str:
    """The arguments of ``gsi`` and ``lsi`` for an index, by the names of fields."""
    parts = [repr(index.name)]
    if index.kind == "GSI":
        parts.append(f"partition={_of(index.partition, names)}")
    if index.sort:
        parts.append(f"sort={_of(index.sort, names)}")
    if index.projection == "KEYS_ONLY":
        parts.append("projection='KEYS_ONLY'")
    elif index.projection == "INCLUDE":
        parts.append(f"projection={[names[one] for one in index.projected]!r}")
    return ", ".join(parts)


def _of(parts: tuple[str, ...], names: Mapping[str, str]) -> str:
    found = tuple(names[part] for part in parts)
    return repr(found[0] if len(found) == 1 else found)


def _may_be_a_field(attribute: str) -> bool:
    """Whether a field may be stored so: JSON has to escape nothing in the name."""
    return dumps(attribute)[1:-1] == attribute.encode()
