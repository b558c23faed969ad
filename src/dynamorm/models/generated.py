"""The generated methods of a model: constructor, equality and repr, as straight-line code kept in linecache."""

from __future__ import annotations

import linecache
from copy import deepcopy
from typing import Any, Final

from dynamorm.errors import DynamORMError, InvalidUse, MissingArgument, UnknownArgument
from dynamorm.models.schema.composite import Composite, composites_of
from dynamorm.models.schema.schema import MISSING, SCHEMAS, Field, Schema

from .always import made, setter, together
from .declare import did_you_mean

SOURCE: Final = "__replaced__"
"""The argument by which `dataclasses.replace` names the object that is replaced; the one name that is no field."""


def methods(schema: Schema, *, after: bool = False) -> dict[str, Any]:
    """``__init__``, ``__eq__`` and ``__repr__`` for a model. ``after``: the constructor calls ``__post_init__``."""
    names: dict[str, Any] = {
        "MISSING": MISSING, "_SOURCE": {SOURCE}, "_absent": _absent, "_refuse": _refuse, "_shown": _shown, "_carefully": _carefully,
        "_take_state": _take_state,
    }  # fmt: skip
    if schema.validated:
        names |= {"_made": made, "_together": together}
    source = "\n".join((_init(schema, names, after=after), _eq(schema), _repr(schema)))
    filename = f"<dynamorm model {schema.name} {id(schema):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), names)
    functions = {name: names[name] for name in ("__init__", "__eq__", "__repr__")}
    wraps = {key: _wrapper(field.unstored.wrap) for key, field in schema.fields.items() if field.unstored is not None}
    if schema.validated:
        functions["__setattr__"] = setter(schema, wraps)
    elif wraps:
        functions["__setattr__"] = _wrapping(wraps)
    if any(getattr(option, "unpickled", False) for field in schema.fields.values() for option in field.options):
        functions |= {"__reduce_ex__": _refuse_pickle, "__copy__": _copy, "__deepcopy__": _deep_copy}
    for name, function in functions.items():
        if function.__module__ == __name__:  # one for all models
            continue
        function.__qualname__ = f"{schema.name}.{name}"
    return functions


def _refuse_pickle(self: Any, protocol: Any) -> Any:
    """Raise the InvalidUse for an object that would be pickled with values that are stored encrypted."""
    del protocol
    name = type(self).__name__
    raise InvalidUse(
        f"a {name} holds values that are stored encrypted, and a pickle would hold them in the clear: hand on its key, and load"
        " it on the other side"
    )


def _copy(self: Any) -> Any:
    return _copied(self, lambda value: value)


def _deep_copy(self: Any, memo: dict[int, Any]) -> Any:
    return _copied(self, lambda value: deepcopy(value, memo))


def _copied(obj: Any, each: Any) -> Any:
    """A copy of an object, attribute by attribute."""
    other = object.__new__(type(obj))
    for base in reversed(type(obj).__mro__):
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name != "__weakref__" and hasattr(obj, name):
                object.__setattr__(other, name, each(getattr(obj, name)))
    for name, value in getattr(obj, "__dict__", {}).items():
        object.__setattr__(other, name, each(value))
    return other


def _wrapping(wraps: dict[str, Any]) -> Any:
    """What sets an attribute of an object, some of which are held in another form."""

    def __setattr__(self: Any, name: str, value: Any) -> None:  # noqa: N807 - it becomes one
        wrap = wraps.get(name)
        if wrap is not None:
            held = [value]
            value = None  # no frame holds what an error does not tell
            value = wrap(held)
        object.__setattr__(self, name, value)

    return __setattr__


def _wrapper(wrap: Any) -> Any:
    """A function that wraps the value that a list holds: it takes it out, so that where it raises no variable holds it."""
    return lambda held: wrap(held.pop())


def _init(schema: Schema, names: dict[str, Any], *, after: bool) -> str:
    required, optional = [], []
    body = [_NO_STATE]
    computed = composites_of(schema)
    wrapped: list[str] = []
    for key, field in schema.fields.items():
        if key in computed:
            continue
        if field.unstored is not None:  # before anything that can raise: frames are shown with their variables
            names[f"_wrap_{key}"] = _wrapper(field.unstored.wrap)
            wrapped.append(f" if {key} is not MISSING: _held = [{key}]; {key} = None; {key} = _wrap_{key}(_held)")
        if field.default_factory is not None:
            names[f"_factory_{key}"] = field.default_factory
            optional.append(f"{key}=MISSING")
            body.append(f" self.{key} = _factory_{key}() if {key} is MISSING else {key}")
        else:
            if field.required:
                required.append(key)
            elif field.default is MISSING:  # it gets its value with a write
                optional.append(f"{key}=None")
            else:
                names[f"_default_{key}"] = field.default
                optional.append(f"{key}=_default_{key}")
            body.append(f" self.{key} = {key}")
    hidden = "".join(f" = {key}" for key, field in schema.fields.items() if key not in computed and masked(field))
    let_go = f"_unknown = dict.fromkeys(_unknown); _{hidden} = None; " if hidden else ""
    if required:
        # Required arguments have a default too: Python itself would name a missing one before the typo that caused it.
        absent = " or ".join(f"{key} is MISSING" for key in required)
        missing = ", ".join(f"{key!r}: {key} is MISSING" for key in required)
        body.insert(0, f" if {absent}: _missing = {{{missing}}}; {let_go}_absent(self, _missing)")
    if schema.validated:  # until it has its state, what is set is not looked at
        body.remove(_NO_STATE)
        body += [_carefully_done("_made(self)", let_go), _NO_STATE]
    body.append(" if _unknown: _take_state(self, _unknown)")
    if after:
        body.append(" self.__post_init__()")
    if schema.validated:
        body.append(_carefully_done("_together(self)", let_go))
    named = [*(f"{key}=MISSING" for key in required), *optional]
    arguments = ", ".join(["self", *(["*", *named] if named else []), "**_unknown"])
    first = "".join(f" {line}\n" for line in wrapped)
    first = f" try:\n{first} except BaseException: {let_go}raise\n" if first else ""
    # What raises finds no value that is shown nowhere in the variables of this frame.
    refused = f" if _unknown and _unknown.keys() != _SOURCE: {let_go}_refuse(self, _unknown)\n"
    return f"def __init__({arguments}):\n{first}{refused}" + "\n".join(body) + "\n"


_NO_STATE: Final = " self.__loaded__ = None"


def _carefully_done(call: str, let_go: str) -> str:
    """The line of a call that may raise, in whose frame nothing is left of what is shown nowhere."""
    return f" try: {call}\n except BaseException: {let_go}raise" if let_go else f" {call}"


def _eq(schema: Schema) -> str:
    mine, theirs = (_tuple(schema, who) for who in ("self", "other"))
    return (
        "def __eq__(self, other):\n"
        " if other.__class__ is not self.__class__: return NotImplemented\n"
        f" try: return {mine} == {theirs}\n"
        " except AttributeError: return self is other\n"  # one of them lacks an attribute
    )


def _tuple(schema: Schema, who: str) -> str:
    computed = composites_of(schema)  # equal when its fields are
    return (
        "("
        + "".join(
            f"{who}.{key}, " for key, field in schema.fields.items() if key not in computed and field.unstored is None
        )
        + ")"
    )


def _repr(schema: Schema) -> str:
    computed = composites_of(schema)
    shown = ", ".join(
        f"{key}={shown_instead(field)}"
        if masked(field) or _shows_masked(schema, field)
        else f'{key}={{_shown(self, "{key}")}}'
        if key in computed
        else f"{key}={{self.{key}!r}}"
        for key, field in schema.fields.items()
    )
    return (
        "def __repr__(self):\n"
        f" try: return f'{schema.name}({shown})'\n"
        f" except Exception: return _carefully(self, {schema.name!r})\n"
    )


def _carefully(self: Any, name: str) -> str:
    """As ``repr`` shows an object of which something is missing, or cannot be shown."""
    fields = SCHEMAS[getattr(type(self), "__partial_of__", type(self))].fields
    return f"{name}({', '.join(f'{key}={shown_value(self, field)}' for key, field in fields.items())})"


def shown_value(self: Any, field: Field) -> str:
    """The value of a field as repr shows it. It never raises: an object may be incomplete, a value anything."""
    try:
        value = getattr(self, field.name)
    except AttributeError:
        return "<unset>"
    except DynamORMError:
        return "?"  # a composite of which a component cannot be stored
    if masked(field) or _shows_masked(SCHEMAS[getattr(type(self), "__partial_of__", type(self))], field):
        return shown_instead(field)
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - whatever the value's own repr raises
        return "<not shown>"


def masked(field: Field) -> bool:
    """Whether a field's value is never shown: ``attr(secret=True)``, or an option that says so of itself."""
    return field.secret or any(getattr(option, "secret", False) for option in field.options)


def shown_instead(field: Field) -> str:
    """What is shown in the place of a masked value."""
    return next((option.shown for option in reversed(field.options) if hasattr(option, "shown")), "***")


def _shown(self: Any, key: str) -> str:
    """A composite as repr shows it, also when a field of it holds what cannot be stored."""
    try:
        return repr(getattr(self, key))
    except DynamORMError:
        return "?"


def _shows_masked(schema: Schema, field: Field) -> bool:
    """Whether a composite holds the value of a field that is masked."""
    composite = field.option(Composite)
    return composite is not None and any(masked(schema.fields[name]) for name in composite.fields)


def _refuse(self: Any, unknown: dict[str, Any]) -> None:
    """Explain an unknown constructor argument; the names only, never the values."""
    cls = type(self)
    first = next((name for name in unknown if name != SOURCE), None)
    if first is None:
        return
    computed = composites_of(SCHEMAS[cls])
    composite = computed.get(first)
    if composite is not None:
        parts = ", ".join(composite.components)
        of = f"computed from {parts}: give those" if parts else "the same for every object"
        raise UnknownArgument(f"{cls.__name__}.{first} is no argument: it is {of}", field=first)
    fields = [name for name in SCHEMAS[cls].fields if name not in computed]
    raise UnknownArgument(f"{cls.__name__} has no field {first!r}{did_you_mean(first, fields)}", field=first)


def _take_state(self: Any, unknown: dict[str, Any]) -> None:
    """Take over the loaded state of the replaced object, unless the key differs: then this object is new."""
    schema = SCHEMAS[type(self)]
    source = unknown[SOURCE]
    computed = composites_of(schema)
    names: set[str] = set()
    for name in schema.key.fields if schema.key else ():
        names.update(computed[name].fields if name in computed else (name,))
    if all(getattr(self, name) == getattr(source, name) for name in names):
        self.__loaded__ = source.__loaded__


def _absent(self: Any, required: dict[str, bool]) -> None:
    """Name the required arguments that were not given, in Python's own words."""
    missing = [repr(name) for name, is_missing in required.items() if is_missing]
    some = f"argument{'s' if len(missing) > 1 else ''}: {' and '.join(missing)}"
    raise MissingArgument(
        f"{type(self).__name__}.__init__() missing {len(missing)} required keyword-only {some}",
        field=next(name for name, is_missing in required.items() if is_missing),
    )
