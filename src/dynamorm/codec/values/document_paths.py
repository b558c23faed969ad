"""What a change inside an attribute comes to, by document path: the parts that differ, and nothing beside them.

It must not know expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from dynamorm.codec.state import Place
from dynamorm.codec.types.containers import DictShape, ListShape, TupleShape
from dynamorm.codec.types.fields import FieldPlan
from dynamorm.codec.types.records import Record
from dynamorm.codec.types.shapes import ANY, Nullable, Shape
from dynamorm.codec.types.unions import FamilyShape, Union
from dynamorm.errors import DynamORMError

MAX_DEPTH: Final = 32
"""Parts of a document path. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

MAX_EDITS: Final = 50
"""Parts of one attribute that are written each by its path; with more, the attribute is written whole."""


class Edits:
    """The parts of one attribute that are written by their paths.

    ``wires`` are the new wire values by path, None to remove; ``lengths`` those of the lists that a path leads through.
    """

    def __init__(self) -> None:
        self.wires: dict[Place, dict[str, Any] | None] = {}
        self.lengths: dict[Place, int] = {}

    @property
    def parents(self) -> dict[Place, str]:
        """Where the edited parts stand, and whether that is a map (M) or a list (L)."""
        return {
            **{path[:-1]: "M" for path in self.wires if path[:-1] not in self.lengths},
            **dict.fromkeys(self.lengths, "L"),
        }

    def applied(self, stored: dict[str, Any]) -> dict[str, Any]:
        """The stored attribute, which is changed for it, after the edits."""
        for path, wire in self.wires.items():
            at = stored
            for part in path[1:-1]:
                at = part_of(at, part)
            inside = at["L"] if isinstance(path[-1], int) else at["M"]
            if wire is None:
                inside.pop(path[-1], None)
            else:
                inside[path[-1]] = wire
        return stored


def part_of(wire: Any, part: str | int) -> Any:
    """What stands in a wire value under a name or at an index; None where there is nothing.

    Example: ``part_of({"M": {"n": {"N": "1"}}}, "n") == {"N": "1"}``
    """
    if isinstance(part, str):
        return wire.get("M", {}).get(part)
    elements = wire.get("L", ())
    return elements[part] if part < len(elements) else None


def at_path(wire: Any, path: Iterable[str | int]) -> Any:
    """What stands in a wire value at the end of a path; None where there is nothing.

    Example: ``at_path({"M": {"l": {"L": [{"N": "1"}]}}}, ("l", 0)) == {"N": "1"}``
    """
    for part in path:
        wire = part_of(wire, part)
        if wire is None:
            break
    return wire


def edits_of(plan: FieldPlan, old: dict[str, Any], new: dict[str, Any], stored: dict[str, Any]) -> Edits | None:
    """What leads from ``old`` to ``new``, two wire values of a field; None where it is the whole attribute.

    ``stored`` is the attribute as it stands in the item, which may be spelled otherwise than ``old``: a path leads only
    through what is there.
    """
    found = Edits()
    _compare(found, plan.shape, (plan.stored,), old, new, stored)
    return None if (plan.stored,) in found.wires or len(found.wires) > MAX_EDITS else found


Parts: TypeAlias = Callable[[Any], Shape | None]
"""The shape of what stands under a name or at an index; None for what is written whole."""


class _Differing(NamedTuple):
    part: str | int
    old: Any
    new: Any
    stored: Any


def _compare(found: Edits, shape: Shape | None, path: Place, old: Any, new: Any, stored: Any) -> None:
    parts = None if shape is None or len(path) == MAX_DEPTH else _parts(shape, old, new)
    if parts is not None:
        spelled = isinstance(shape, DictShape) and old.get("M", {}).keys() != stored.get("M", {}).keys()
        differing = None if spelled else _in_map(old, new, stored) if "M" in new else _in_list(old, new, stored)
        if differing is not None:
            if "L" in new:
                found.lengths[path] = len(new["L"])
            for part, before, after, there in differing:
                if before is None or after is None or there is None:
                    found.wires[(*path, part)] = after
                else:
                    _compare(found, parts(part), (*path, part), before, after, there)
            return
    found.wires[path] = new


def _in_map(old: Any, new: Any, stored: Any) -> list[_Differing] | None:
    """The members that differ; None where they cannot be told one by one."""
    if "M" not in old or "M" not in stored:
        return None
    before, after, there = old["M"], new["M"], stored["M"]
    if any(name not in after and name not in there for name in before):
        return None  # it was read under another name, or not at all: only without the whole map it is gone
    changed = [
        _Differing(name, before.get(name), one, there.get(name))
        for name, one in after.items()
        if before.get(name) != one
    ]
    return [
        *changed,
        *(_Differing(name, one, None, there.get(name)) for name, one in before.items() if name not in after),
    ]


def _in_list(old: Any, new: Any, stored: Any) -> list[_Differing] | None:
    """The elements that differ, each at its index; None where they have moved."""
    if "L" not in new or "L" not in old or "L" not in stored:
        return None
    before, after, there = old["L"], new["L"], stored["L"]
    if not len(before) == len(after) == len(there):
        return None
    changed = [at for at, one in enumerate(after) if before[at] != one]
    if len(changed) > MAX_EDITS or any(after[at] in before for at in changed):
        return None
    return [_Differing(at, before[at], after[at], there[at]) for at in changed]


def _parts(shape: Shape, old: Any, new: Any) -> Parts | None:
    """How the shapes inside a value are told; None where it is written whole."""
    if isinstance(shape, Nullable):
        return _parts(shape.inner, old, new)
    if shape is ANY:
        return lambda _: ANY
    if isinstance(shape, (ListShape, DictShape)):
        item = shape.item
        return lambda _: item
    if isinstance(shape, TupleShape):
        return shape.items.__getitem__
    if isinstance(shape, Record):
        return _members_of(shape)
    if isinstance(shape, FamilyShape):
        record = _class_of(shape, old, new)
        return None if record is None else _members_of(record)
    if isinstance(shape, Union):
        member = _member_of(shape, old, new)
        return None if member is None else _parts(member, old, new)
    return None  # one value, or one that only its own codec understands


def _members_of(record: Record) -> Parts:
    plans = {plan.stored: plan for plan in record.plans}
    other = ANY if record.extras else None

    def part(name: str) -> Shape | None:
        plan = plans.get(name)
        return other if plan is None else None if plan.hook is not None else plan.shape

    return part


def _class_of(shape: FamilyShape, old: Any, new: Any) -> Record | None:
    """The class of both values, None where they are of two."""
    codec = shape.codec_of(shape.cls)
    try:
        before, after = (codec.family.codec(one["M"]) for one in (old, new))
    except (DynamORMError, KeyError):
        return None
    record: Record = (codec if after is None else after).record
    return record if before is after else None


def _member_of(shape: Union, old: Any, new: Any) -> Shape | None:
    """The member of a union that both values are of, where their wire values tell."""
    tags = {*old, *new}
    fitting = [one for one in shape.members if len(tags) == 1 and one.tag in (*tags, "")]
    if len(fitting) > 1 and tags == {"M"}:
        both, either = old["M"].keys() & new["M"].keys(), old["M"].keys() | new["M"].keys()
        fitting = [one for one in fitting if not isinstance(one, Record) or both >= _required(one)]
        if len(fitting) > 1:
            fitting = [one for one in fitting if not isinstance(one, Record) or one.names() >= either]
    return fitting[0] if len(fitting) == 1 else None


def _required(record: Record) -> set[str]:
    """The stored names without which a map is none of the class."""
    return {plan.stored for plan in record.plans if plan.missing() is None}
