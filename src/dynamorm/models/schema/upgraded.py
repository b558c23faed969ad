"""What the upgrades of a model make of an item of plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from dynamorm.errors import UpgradeFailed

from .schema import LIBRARY_NAMES, MISSING, Codec, Field, Json, Schema, TimeForm, schema_of
from .upgrades import SCHEMA_ATTRIBUTE, Upgrade


def upgraded_item(model: type[Any], item: Mapping[str, Any]) -> dict[str, Any] | None:
    """An item of plain values in the newest schema version of its model; None where it is of that version.

    It is what a function for the command ``dynamorm backfill`` gives: the version of the item is raised by one, so that who has
    loaded it before must load it again. Raises: UpgradeFailed, also for a model without a schema version, and where a derived field or a
    composite would no longer fit what it is made of.

    Example: ``def newest(item): return upgraded_item(Payment, item)``
    """
    schema = schema_of(model)
    newest = schema.schema_version
    if newest is None:
        raise UpgradeFailed(f"{schema.name} has no schema version: say schema_version= in its class line")
    version = item.get(SCHEMA_ATTRIBUTE, 1)
    if version.__class__ is not int or not 1 <= version <= newest:
        raise UpgradeFailed(
            f"a stored {schema.name} has a {SCHEMA_ATTRIBUTE!r} that this program does not know: it knows versions up to {newest}"
        )
    if version == newest:
        return None
    hidden = {field.stored for field in schema.fields.values() if has_option_of_its_own(field)}
    now = {name: deepcopy(value) for name, value in item.items() if name not in hidden}
    for step in schema.upgrades[version - 1 :]:
        now = stepped(schema.name, step, now)
    fixed = {field.stored for field in schema.fields.values() if is_fixed(schema, field)} - hidden
    kept = {*fixed, *LIBRARY_NAMES, *(() if schema.discriminator is None else (schema.discriminator,))}
    check_kept(schema.name, kept - {SCHEMA_ATTRIBUTE}, item, now)
    _check_computed(schema, item, now)
    raised = schema.version
    if raised is not None:
        now[raised.stored] = item.get(raised.stored, 0) + 1
    return {name: item[name] for name in hidden if name in item} | now | {SCHEMA_ATTRIBUTE: newest}


def _check_computed(schema: Schema, item: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse what a save alone computes anew. Raises: UpgradeFailed."""
    tested = {
        name: {one for one, _ in index.only_if}
        for index in schema.indexes.values()
        for name in index.fields
        if index.only_if
    }
    for field in schema.fields.values():
        names = next((option.components for option in field.options if hasattr(option, "components")), None)
        if names is None:
            continue
        sources = [schema.fields[name].stored for name in (*names, *tested.get(field.name, ()))]
        is_changed = any(now.get(one, MISSING) != item.get(one, MISSING) for one in sources)
        is_missing = field.name not in tested and field.stored not in item and all(now.get(one) for one in sources)
        if is_changed or is_missing:
            raise UpgradeFailed(
                f"{schema.name}.{field.name} is made of {' and '.join(names)}, and an upgrade of the plain item"
                f" {'changes these' if is_changed else 'does not make it'}: load the objects and db.save() them, which computes it",
                field=field.name,
            )


def has_option_of_its_own(field: Field) -> bool:
    """Whether an option says that a field is stored in another form than plain values, or what else depends on it."""
    return any(not isinstance(option, (Json, Codec, TimeForm)) for option in field.options)


def is_fixed(schema: Schema, field: Field) -> bool:
    """Whether no upgrade may change a field: it is part of the key, keeps its value, or is the library's, a plugin's or an option's."""
    return (
        (schema.key is not None and field.name in schema.key.fields)
        or field.role in {"version", "created_at", "updated_at"}
        or field.immutable
        or field.write_once
        or field.protected
        or has_option_of_its_own(field)
    )


def check_kept(model: str, fixed: Iterable[str], before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse what upgrades changed of these stored names. Raises: UpgradeFailed."""
    for name in fixed:
        if now.get(name, MISSING) != before.get(name, MISSING):
            raise UpgradeFailed(
                f"the upgrades of {model} changed {name!r}, which must stay: it is part of the key, or kept by the library, a plugin"
                " or an option",
                field=name,
            )


def stepped(model: str, step: Upgrade, now: dict[str, Any]) -> dict[str, Any]:
    """What one function makes of an item. Raises: UpgradeFailed, without a value in its text or its chain."""
    names = step.attributes
    if names is None:
        return _called(model, step, now)
    made = _called(model, step, {name: now[name] for name in names if name in now})
    strange = next((name for name in made if name not in names), MISSING)
    if strange is not MISSING:
        raise UpgradeFailed(
            f"{model}.{step.name} made an attribute that is not among its attributes=: name all that it changes",
            field=strange if strange.__class__ is str else None,
        )
    return {name: value for name, value in now.items() if name not in names} | made


def _called(model: str, step: Upgrade, given: dict[str, Any]) -> dict[str, Any]:
    try:
        made = step.function(given)
    except Exception as error:  # noqa: BLE001 - every failure becomes one typed error
        what = f"raised {type(error).__name__}"
    else:
        if made is None:
            return given
        if made.__class__ is dict:
            return made
        what = f"gave {type(made).__name__} in the place of an item"
    raise UpgradeFailed(
        f"the upgrade of a stored {model} from schema version {step.since} to {step.since + 1} failed: {step.name} {what}; mend the"
        " function, the item is stored as it was"
    )
