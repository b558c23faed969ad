"""DMS documents of models, for programs in Go, TypeScript and Python that share their tables.

What such a document has no word for is refused, and not left out: a program that reads less than there is would lose it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec.structs import replace

from dynamorm.codec.registry import Registry
from dynamorm.codec.types.fields import FieldPlan
from dynamorm.codec.types.jsontext import JsonShape
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.schema import Codec, Field, Index, Schema, schema_of

from ..ends import Code, Stop
from ..generate.declared import OF_JSON
from ..settings import OfTables

VERSION: Final = "0.2"
_CONVENTIONS: Final = (
    ("camelCase", re.compile(r"[a-z][A-Za-z0-9]*|PK|SK")),
    ("snake_case", re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")),
)
_ROLES: Final = {"partition": "pk", "sort": "sk"}
_SCALARS: Final = {("datetime", "S"): "rfc3339nano", ("int", "N"): "int"}
_FORMATS: Final = {"created_at": "rfc3339nano", "updated_at": "rfc3339nano", "version": "int", "ttl": "unix_seconds"}


def dms(models: Iterable[type[Any]]) -> str:
    """The document of models, as YAML that JSON can say. Raises: Stop for what it has no word for; ModelError."""
    registry = Registry(claimed=OfTables.options)
    found = [_Model(schema_of(model), registry.codec(model)).document() for model in models]
    return "\n".join(_yaml({"dms_version": VERSION, "models": found}, "")) + "\n"


class _Model:
    """The document of one model."""

    def __init__(self, schema: Schema, codec: Any) -> None:
        self._schema = schema
        self._plans: dict[str, FieldPlan] = codec.plans
        self._native: dict[str, FieldPlan] = {}
        own = {name: field for name, field in schema.fields.items() if _is_native_json(field)}
        if own:
            plain = replace(
                schema, fields=schema.fields | {name: replace(one, options=()) for name, one in own.items()}
            )
            self._native = {
                name: Registry(claimed=OfTables.options, model_hooks=(lambda _: plain,)).codec(schema.model).plans[name]
                for name in own
            }
        if schema.discriminator is not None:
            raise self._no_word("", "is one of a family that is told apart by an attribute")

    def _no_word(self, field: str, what: str, remedy: str = "") -> Stop:
        where = f"{self._schema.name}.{field}" if field else self._schema.name
        return Stop(Code.REFUSED, f"{where} {what}: a DMS document has no word for that{remedy}")

    def document(self) -> dict[str, Any]:
        """The model as the document has it."""
        schema = self._schema
        assert schema.key is not None  # it has a table
        stored = [field for field in schema.fields.values() if field.unstored is None]
        names = [field.stored for field in stored]
        convention = next((name for name, one in _CONVENTIONS if all(map(one.fullmatch, names))), None)
        keys = {"partition": self._part(schema.key.partition)}
        if schema.key.sort is not None:
            keys["sort"] = self._part(schema.key.sort)
        return {
            "name": schema.name,
            "table": {"name": schema.table},
            **({} if convention is None else {"naming": {"convention": convention}}),
            "keys": keys,
            **self._policy(stored),
            "attributes": [self._attribute(field) for field in stored],
            **({"indexes": [self._index(index) for index in schema.indexes.values()]} if schema.indexes else {}),
        }

    def _policy(self, fields: list[Field]) -> dict[str, Any]:
        others = [field for field in fields if field.role in {"", "ttl"}]
        if others and all(field.immutable for field in others):
            return {"write_policy": {"mode": "write_once", "protected_attributes": []}}
        kept = [field.stored for field in others if field.immutable or field.protected or field.write_once]
        return {"write_policy": {"mode": "mutable", "protected_attributes": kept}} if kept else {}

    def _part(self, name: str) -> dict[str, str]:
        field = self._schema.fields[name]
        return {"attribute": field.indexed_as, "type": self._type(field)}

    def _type(self, field: Field) -> str:
        shape = self._native.get(field.name, self._plans[field.name]).shape
        if isinstance(shape, JsonShape):
            return "S"
        if not shape.tag:
            raise self._no_word(field.name, "may be stored as several types", "; give it a type, or Json()")
        return shape.tag

    def _attribute(self, field: Field) -> dict[str, Any]:
        kind = self._type(field)
        found: dict[str, Any] = {"attribute": field.stored, "type": kind}
        key = field.role in _ROLES
        computed = field.name in composites_of(self._schema)
        if key or (field.required and not computed):
            found["required"] = True
        elif field.role not in _FORMATS or field.role == "ttl":
            found["optional"] = True
        if field.omit_empty:
            found["omit_empty"] = True
        if field.role in _FORMATS:
            found["format"] = _FORMATS[field.role]
        elif (self._plans[field.name].shape.expected, kind) in _SCALARS:
            found["format"] = _SCALARS[self._plans[field.name].shape.expected, kind]
        if field.name in self._native or isinstance(self._plans[field.name].shape, JsonShape):
            found["json"] = True
        if kind == "B":
            found["binary"] = True
        found |= self._encryption(field)
        roles = list(self._roles(field))
        return found | ({"roles": roles} if roles else {})

    def _encryption(self, field: Field) -> dict[str, Any]:
        """Of an encrypted field: its envelope, which has to be one that the others open."""
        for option in field.options:
            if hasattr(option, "writes_v1"):
                if not option.writes_v1:
                    raise self._no_word(
                        field.name, "is encrypted for this library alone", "; write Encrypted(..., envelope='v1')"
                    )
                return {"encryption": {"v": 1}}
        return {}

    def _roles(self, field: Field) -> Iterator[str]:
        if field.role:
            yield _ROLES.get(field.role, field.role)
        for index in self._schema.indexes.values():
            if index.partition == (field.name,) and index.kind == "GSI":
                yield f"index_pk:{index.name}"
            if index.sort == (field.name,):
                yield f"index_sk:{index.name}"

    def _index(self, index: Index) -> dict[str, Any]:
        partition = index.partition[0] if len(index.partition) == 1 else None
        if partition is None or len(index.sort) > 1:
            raise self._no_word("", f"has the index {index.name!r} with a key of several attributes")
        found: dict[str, Any] = {"name": index.name, "type": index.kind, "partition": self._part(partition)}
        for name in index.sort:
            found["sort"] = self._part(name)
        if isinstance(index.projection, tuple):
            fields = [self._schema.fields[name].stored for name in index.projection]
            return found | {"projection": {"type": "INCLUDE", "fields": fields}}
        return found | {"projection": {"type": index.projection}}


def _is_native_json(field: Field) -> bool:
    """Whether an attribute holds JSON in DynamoDB's own types, as a module says that was made of a document."""
    codec = field.option(Codec)
    return codec is not None and getattr(codec.decode, "__name__", "") == OF_JSON


def _yaml(value: Any, indent: str) -> Iterator[str]:
    """Lines of YAML: texts in quotes, as JSON writes them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, (dict, list)) and inner and not _is_short(inner):
                yield f"{indent}{name}:"
                yield from _yaml(inner, f"{indent}  ")
            else:
                yield f"{indent}{name}: {_short(inner)}"
        return
    for inner in value:
        first, *rest = _yaml(inner, "") if not _is_short(inner) else [_short(inner)]
        yield f"{indent}- {first}"
        yield from (f"{indent}  {line}" for line in rest)


def _is_short(value: Any) -> bool:
    """Whether a value stands on one line: a scalar, a list of scalars, a key or a projection."""
    if isinstance(value, dict):
        return len(value) <= 2 and all(_is_short(one) and not isinstance(one, dict) for one in value.values())
    if isinstance(value, list):
        return not any(isinstance(one, (dict, list)) for one in value)
    return True


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name}: {_short(one)}" for name, one in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
