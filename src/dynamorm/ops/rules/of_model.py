"""The rules of a model, in the order in which a draft passes them.

Keys made of fields come first, so that who comes later finds them; what writes other items comes last. Each rule is
loaded with the first model that has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING

from dynamorm.models.generated import masked
from dynamorm.models.schema.schema import MISSING, AppendOnly, Field, RuledOption, Schema, Unique
from dynamorm.ops.writes.rules import asked_at, by_verb

if TYPE_CHECKING:
    from dynamorm.codec.types.fields import FieldPlan
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.plugin import WriteRule


def add_rules(plan: ModelRequests, of_plugins: Iterable[WriteRule] = ()) -> None:
    """Find the rules that hold for a model.

    Those of plugins come before what depends on all that is changed: bounds, and what writes other items.

    Raises: ModelError for what cannot be kept.
    """
    codec = plan.codec
    rules: list[WriteRule] = []
    rules += _of_methods(codec.schema, "hooks")
    if codec.family is not None:
        from .siblings import SiblingsRule  # loaded with the first model that has it

        rules.append(SiblingsRule())
    shown = shown_by_default(plan)
    if shown:
        from .shown_defaults import ShownDefaultsRule  # loaded with the first model that has it

        rules.append(ShownDefaultsRule(shown))
    if _has(plan, AppendOnly):
        from .append_only import AppendOnlyRule  # loaded with the first model that has it

        rules.append(AppendOnlyRule(plan))
    if codec.composites:
        from .composite_keys import CompositeKeysRule  # loaded with the first model that has it

        rules.append(CompositeKeysRule())
    if plan.kept:
        from .write_once import WriteOnceRule  # loaded with the first model that has it

        rules.append(WriteOnceRule())
    if codec.upgrades is not None:  # its module is loaded with the first model that has it
        rules.append(import_module(".schema_version", __package__).SchemaVersionRule(codec.upgrades))
    own = of_options(codec.schema)
    behind = [rule for rule in own if getattr(rule, "behind_plugins", False)]
    rules += [rule for rule in own if rule not in behind]
    rules += sorted((*of_plugins, *behind), key=lambda rule: rule.last)
    rules += _of_methods(codec.schema, "checks")
    if codec.bounded:
        from .limits import LimitsRule  # loaded with the first model that has it

        rules.append(LimitsRule())
    if _has(plan, Unique):
        from .unique import UniqueRule  # loaded with the first model that has it

        rules.append(UniqueRule(plan))
    if codec.whole is not None or codec.depends:
        from .whole_item import WholeItemRule  # loaded with the first model that has it

        rules.append(WholeItemRule(codec.depends if codec.whole is None else codec.whole.names))
    plan.rules = by_verb(rules)
    plan.transforms, plan.contributes = asked_at("transform", plan.rules), asked_at("contribute", plan.rules)
    asked = plan.contributes["update"]
    looked_at = [rule.looks_at for rule in asked if rule.looks_at is not None]
    plan.looked_at = None if len(looked_at) < len(asked) else frozenset(name for names in looked_at for name in names)
    plan.needs_stored |= any(rule.needs_stored for rule in rules)
    plan.rules_of_batch_deletes = tuple(rule for rule in of_plugins if "delete" in rule.verbs and not rule.passive)
    plan.single_deletes |= bool(plan.rules_of_batch_deletes) or any(
        not rule.in_batches for rule in plan.rules["delete"]
    )


def _of_methods(schema: Schema, what: str) -> list[WriteRule]:
    """The rule of a model's hooks, or of its validators (``"checks"``): loaded with the first model that has any."""
    if not getattr(schema, what):
        return []
    module, name = {"hooks": ("hooks", "HooksRule"), "checks": ("validators", "ValidatorsRule")}[what]
    return [getattr(import_module(f"dynamorm.ops.rules.{module}"), name)(schema)]


def of_options(schema: Schema) -> list[WriteRule]:
    """The rules that options of fields bring."""
    ruled = [(field, option) for field in schema.fields.values() for option in field.options]
    return [option.write_rule(schema, field) for field, option in ruled if isinstance(option, RuledOption)]


def _has(plan: ModelRequests, option: type) -> bool:
    """Whether a field has the option; an object of a subclass, which says what a program always says, counts too."""
    return any(field.option(option) for field in plan.codec.schema.fields.values() if field.options)


def shown_by_default(plan: ModelRequests) -> tuple[FieldPlan, ...]:
    """The fields whose default is shown while they are not stored, and may be written.

    Not those that the library owns or that keep their value, for a default is no value that anybody gave; nor secret
    ones. Without a version, nor those that a key of an index is made of: it would be made of what may be outdated.
    """
    made_of: set[str] = set()
    if plan.version is None:
        made_of = {name for computed in plan.codec.composites.values() for name, _ in computed.inputs}
    return tuple(
        field_plan
        for field_plan in plan.codec.record.plans
        if _is_written(field_plan.field) and field_plan.name not in made_of
    )


def _is_written(field: Field) -> bool:
    if field.role not in {"", "ttl"} or field.immutable or field.write_once or field.protected or masked(field):
        return False
    return field.default_factory is not None or (field.default is not MISSING and field.default is not None)
