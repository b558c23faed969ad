"""The generated methods of a model: constructor, equality and repr, as straight-line code kept in linecache."""

from __future__ import annotations

import linecache
from typing import Any

from .composite import Composite, composites_of
from .declare import did_you_mean
from .errors import DynamORMError, UnknownArgument
from .schema import MISSING, SCHEMAS, Field, Schema


def methods(schema: Schema) -> dict[str, Any]:
    """``__init__``, ``__eq__`` and ``__repr__`` for a model."""
    names: dict[str, Any] = {"MISSING": MISSING, "_absent": _absent, "_refuse": _refuse, "_shown": _shown}
    source = "\n".join((_init(schema, names), _eq(schema), _repr(schema)))
    filename = f"<dynamorm model {schema.name} {id(schema):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), names)
    found = {name: names[name] for name in ("__init__", "__eq__", "__repr__")}
    for name, function in found.items():
        function.__qualname__ = f"{schema.name}.{name}"
    return found


def _init(schema: Schema, names: dict[str, Any]) -> str:
    required, optional = [], []
    body = [" self.__loaded__ = None"]
    computed = composites_of(schema)
    for key, field in schema.fields.items():
        if key in computed:
            continue
        if field.default_factory is not None:
            names[f"_factory_{key}"] = field.default_factory
            optional.append(f"{key}=MISSING")
            body.append(f" self.{key} = _factory_{key}() if {key} is MISSING else {key}")
        else:
            if field.default is MISSING:
                required.append(key)
            else:
                names[f"_default_{key}"] = field.default
                optional.append(f"{key}=_default_{key}")
            body.append(f" self.{key} = {key}")
    if required:
        # Required arguments have a default too: Python itself would name a missing one before the typo that caused it.
        absent = " or ".join(f"{key} is MISSING" for key in required)
        given = ", ".join(f"{key!r}: {key}" for key in required)
        body.insert(0, f" if {absent}: _absent(self, {{{given}}})")
    named = [*(f"{key}=MISSING" for key in required), *optional]
    arguments = ", ".join(["self", *(["*", *named] if named else []), "**_unknown"])
    return f"def __init__({arguments}):\n if _unknown: _refuse(self, _unknown)\n" + "\n".join(body) + "\n"


def _eq(schema: Schema) -> str:
    mine, theirs = (_tuple(schema, who) for who in ("self", "other"))
    return f"def __eq__(self, other):\n return {mine} == {theirs} if other.__class__ is self.__class__ else NotImplemented\n"


def _tuple(schema: Schema, who: str) -> str:
    computed = composites_of(schema)  # equal when its fields are
    return "(" + "".join(f"{who}.{key}, " for key in schema.fields if key not in computed) + ")"


def _repr(schema: Schema) -> str:
    computed = composites_of(schema)
    shown = ", ".join(
        f"{key}=***"
        if masked(field) or _shows_masked(schema, field)
        else f'{key}={{_shown(self, "{key}")}}'
        if key in computed
        else f"{key}={{self.{key}!r}}"
        for key, field in schema.fields.items()
    )
    return f"def __repr__(self):\n return f'{schema.name}({shown})'\n"


def masked(field: Field) -> bool:
    """Whether a field's value is never shown: ``attr(secret=True)``, or an option that says so of itself."""
    return field.secret or any(getattr(option, "secret", False) for option in field.options)


def _shown(self: Any, key: str) -> str:
    """A composite as repr shows it, also when a field of it holds what cannot be stored."""
    try:
        return repr(getattr(self, key))
    except DynamORMError:
        return "?"


def _shows_masked(schema: Schema, field: Field) -> bool:
    """Whether a composite holds the value of a field that is masked."""
    made = field.option(Composite)
    return made is not None and any(masked(schema.fields[name]) for name in made.fields)


def _refuse(self: Any, unknown: dict[str, Any]) -> None:
    """Explain an unknown constructor argument; the names only, never the values."""
    cls = type(self)
    first = next(iter(unknown))
    made = composites_of(SCHEMAS[cls]).get(first)
    if made is not None:
        parts = ", ".join(made.components)
        of = f"computed from {parts}: give those" if parts else "the same for every object"
        raise UnknownArgument(f"{cls.__name__}.{first} is no argument: it is {of}", field=first)
    fields = [name for name in dir(type(cls)) if not name.startswith("_")]
    raise UnknownArgument(f"{cls.__name__} has no field {first!r}{did_you_mean(first, fields)}", field=first)


def _absent(self: Any, required: dict[str, Any]) -> None:
    """Name the required arguments that were not given, in Python's own words."""
    missing = [repr(name) for name, value in required.items() if value is MISSING]
    some = f"argument{'s' if len(missing) > 1 else ''}: {' and '.join(missing)}"
    raise TypeError(f"{type(self).__name__}.__init__() missing {len(missing)} required keyword-only {some}")
