"""The module with the models of a DMS document, which store what the other libraries of the document store."""

from __future__ import annotations

import re
from typing import Final

from dynamorm.codec.replies.table_description import IndexDescription

from .checks import TIMES
from .documents import Attribute, DmsModel, Document, Index
from .names import TAKEN, class_name, field_names, free
from .sampled import index_arguments

_TYPES: Final = {
    "S": "str", "N": "Decimal", "B": "bytes", "BOOL": "bool", "M": "dict[str, Any]", "L": "list[Any]",
    "SS": "set[str]", "NS": "set[Decimal]", "BS": "set[bytes]", "NULL": "Any",
}  # fmt: skip
_EMPTY: Final = {
    "str": "default=''", "int": "default=0", "Decimal": "default=Decimal(0)", "bytes": "default=b''",
    "bool": "default=False", "dict[str, Any]": "default_factory=dict", "list[Any]": "default_factory=list",
    "set[str]": "default_factory=set", "set[Decimal]": "default_factory=set", "set[bytes]": "default_factory=set",
}  # fmt: skip
"""The values that programs in Go read where an attribute is absent."""
OF_JSON: Final = "_of_json"
"""The function of a module by which an attribute is known to hold JSON in DynamoDB's own types."""
_OF_JSON: Final = '''
def _of_json(value: Any) -> Any:
    """A value that may be stored as JSON text, as the first version of the document had it."""
    return json.loads(value, parse_float=Decimal) if isinstance(value, str) else value
'''
_STANDARD: Final = (
    ("json", "import json"),
    ("datetime", "from datetime import datetime"),
    ("Decimal", "from decimal import Decimal"),
    ("Any", "from typing import Any"),
)
_LIBRARY: Final = (
    "Attr", "Codec", "Encrypted", "Json", "Model", "attr", "created_at", "gsi", "lsi", "partition_key", "sort_key", "ttl",
    "updated_at", "version",
)  # fmt: skip


def declared(document: Document, name: str) -> str:
    """The module of a document, which is in a file of this name. It has been checked."""
    taken: set[str] = set(TAKEN)
    classes: list[str] = []
    for model in document.models:
        found = free(class_name(model.name), taken)
        taken.add(found)
        classes += ["", "", *_class(model, found)]
    body = "\n".join(classes)
    helper = _OF_JSON if OF_JSON in body else ""
    words = re.sub(r"'[^']*'|#.*", "", body) + helper
    standard = [line for word, line in _STANDARD if re.search(rf"\b{word}\b", words)]
    library = [one for one in _LIBRARY if re.search(rf"\b{one}\b\s*[(,\[)]", words)]
    of = f"# Of the DMS document {name!a}, version {document.dms_version}"
    of += f", namespace {document.namespace!a}" if document.namespace else ""
    head = [of, "from __future__ import annotations", "", *standard, *([""] if standard else [])]
    line = f"from dynamorm import {', '.join(library)}"
    head += [line] if len(line) <= _WIDTH else ["from dynamorm import (", *(f"    {one}," for one in library), ")"]
    return "\n".join([*head, *(["", helper.rstrip("\n")] if helper else []), body, ""])


def _class(model: DmsModel, name: str) -> list[str]:
    called = {one.attribute: role for one in model.attributes for role in one.roles if role in _MADE}
    keys = [model.keys.partition.attribute, *([model.keys.sort.attribute] if model.keys.sort else [])]
    ordered = sorted(
        model.attributes, key=lambda one: keys.index(one.attribute) if one.attribute in keys else len(keys)
    )
    names = field_names([one.attribute for one in ordered], called, snake=model.naming.convention != "snake_case")
    has_version = "version" in called.values()
    settings = f"table={model.table.name!r}" + (", write_tokens=False" if has_version else "")
    lines = [f"class {name}(Model, {settings}):"]
    if has_version:
        lines.append(
            "    # No _wt is stored, which the TypeScript library refuses: without one, take write_tokens=False away"
        )
    if model.write_policy.mode == "write_once":
        lines.append("    # Written once: no attribute is ever changed. Nothing keeps an item from being deleted")
    lines += [_field(one, names[one.attribute], model, keys) for one in ordered]
    taken = {*names.values(), *TAKEN}
    for index in model.indexes:
        place = free("by_" + re.sub(r"\W", "_", index.name).lower(), taken)
        taken.add(place)
        lines.append(f"    {place} = {index.type.lower()}({index_arguments(_described(index), names)})")
    return lines


_WIDTH: Final = 120
_MADE: Final = (*TIMES, "version", "ttl")
"""Roles whose fields are declared by a function of that name."""


def _described(index: Index) -> IndexDescription:
    return IndexDescription(
        name=index.name,
        kind=index.type,
        partition=(index.partition.attribute,),
        sort=() if index.sort is None else (index.sort.attribute,),
        projection=index.projection.type,
        projected=tuple(index.projection.fields),
    )


def _field(one: Attribute, field: str, model: DmsModel, keys: list[str]) -> str:
    role = next((role for role in one.roles if role in _MADE), "")
    named = [f"name={one.attribute!r}"] if field != one.attribute else []
    if role in {"version", *TIMES}:
        return f"    {field}: Attr[{'int' if role == 'version' else 'datetime'}] = {role}({', '.join(named)})"
    kind = (
        "int"
        if one.format == "int"
        else "datetime"
        if one.format == "rfc3339nano" or role == "ttl"
        else _TYPES[one.type]
    )
    if one.attribute in keys:
        make = "partition_key" if one.attribute == keys[0] else "sort_key"
        return f"    {field}: Attr[{kind}] = {make}({', '.join(named)})"
    options = _options(one)
    kind = "Any" if options == ["Json()"] else kind
    settings = [*options]
    if one.encryption is None and kind in _EMPTY and (one.omit_empty or (kind.startswith("set[") and not one.required)):
        settings += [_EMPTY[kind], *(["omit_empty=True"] if one.omit_empty else [])]
    elif not one.required:
        settings.append("default=None")
        kind = kind if kind == "Any" else f"{kind} | None"
    settings += named
    if role == "" and one.encryption is None:
        if model.write_policy.mode == "write_once":
            settings.append("immutable=True")
        elif one.attribute in model.write_policy.protected_attributes:
            settings.append("protected=True")
    value = f" = {role or 'attr'}({', '.join(settings)})" if settings or role else ""
    return f"    {field}: Attr[{kind}]{value}"


def _options(one: Attribute) -> list[str]:
    """The options of ``attr``: of what is encrypted, and of JSON, which is read from text and from DynamoDB's own types."""
    if one.encryption is not None:
        return ["Encrypted('shared', envelope='v1')"]
    if not one.json:
        return []
    if one.type == "S":
        return ["Json()"]
    return [f"Codec({_NATIVE.get(one.type, OF_JSON)}, {OF_JSON})"]


_NATIVE: Final = {"M": "dict", "L": "list", "BOOL": "bool"}
