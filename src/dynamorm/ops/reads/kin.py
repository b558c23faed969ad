"""The condition that a stored item is of one class of a family, so that the verbs of the class spare its siblings.

Classes with a discriminator share a table, and so the keys in it: what is stored under the key of a class may be a
sibling's. Queries keep siblings out by a filter (`dynamorm.ops.reads.terms.sibling_filter`); here it becomes a condition.
Only models with a discriminator need this module. It must not know which verb asks.
"""

from __future__ import annotations

from collections.abc import Callable

from dynamorm.codec.library_attributes import part_of
from dynamorm.codec.strict import parts_of
from dynamorm.models.expressions.compile import Placeholders, condition_text
from dynamorm.ops.requests import ModelRequests

from .terms import sibling_filter


def class_terms(plan: ModelRequests, placeholders: Placeholders, loaded: bytes | None, *, absent: bool) -> list[str]:
    """The terms of a condition by which the item is of the plan's class or a subclass; none for the root of a family.

    ``loaded``: the state of the object that is written, if any; an item that had no tag then may still have none.
    ``absent``: where nothing is stored, the condition holds too, so that a write that is sent again meets it again.
    """
    tags = sibling_filter(plan.codec.schema)
    if tags is None:
        return []
    choices = [condition_text(tags, placeholders, plan.operand)]
    discriminator = plan.codec.schema.discriminator or ""
    if loaded is not None and discriminator not in parts_of(loaded):
        choices.append(f"attribute_not_exists({placeholders.name(discriminator)})")
    elif absent:  # an item that is not there has no tag either
        choices.append(f"attribute_not_exists({placeholders.name(plan.partition.stored)})")
    elif " OR " not in choices[0]:
        return choices
    return [f"({' OR '.join(choices)})"]


def owned(plan: ModelRequests, raw: bytes) -> bool:
    """Whether a stored item is of the plan's class or a subclass, as its queries see it."""
    return plan.codec.family is None or plan.codec.family.owns(raw)


def has_owned(plan: ModelRequests) -> Callable[[bytes, bytes], bool]:
    """The reader of a GetItem reply that says whether an item of the plan's class is stored."""

    def read(body: bytes, key: bytes) -> bool:
        raw = part_of(body, key)
        return raw is not None and owned(plan, raw)

    return read
