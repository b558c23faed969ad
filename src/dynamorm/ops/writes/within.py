"""A change inside an attribute, as a save writes it: by its document path, so another writer's change next to it stays.

What a path leads through must still be there, which becomes part of the condition: DynamoDB refuses a path into what is
missing, and an index tells an element only as long as the list is as long. Used only where a list, map or document changed.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.library_attributes import number_wire, text_wire
from dynamorm.codec.strict import decoded, parts_of, read_object
from dynamorm.codec.values.document_paths import Edits, at_path, edits_of
from dynamorm.errors import DynamORMError, VersionConflict
from dynamorm.models.expressions.check import MAX_OPERATORS, MAX_TEXT
from dynamorm.ops.writes.write import explain_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from dynamorm.codec.state import Place
    from dynamorm.models.expressions.compile import Placeholders
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.ops.writes.write import Write

_RESERVED: Final = 800
"""Characters of an expression that are left to what else a save says."""

_ATTRIBUTE: Final = 20
"""Characters that the change of a whole attribute takes at most."""


class Within:
    """The attributes of one save that are written by paths: ``edits`` by stored name."""

    def __init__(self, plan: ModelRequests, edits: dict[str, Edits], stored: dict[str, dict[str, Any]]) -> None:
        self._plan = plan
        self.edits = edits
        self._stored = stored

    def afterwards(self) -> dict[str, dict[str, Any]]:
        """What is stored of the attributes once they are written. To be asked once."""
        return {name: edits.applied(self._stored[name]) for name, edits in self.edits.items()}

    def left(self) -> dict[str, dict[str, Any]]:
        """As `afterwards`, and it may be asked again."""
        return {name: edits.applied(deepcopy(self._stored[name])) for name, edits in self.edits.items()}

    def write(self, places: Placeholders, sets: list[str], removes: list[str]) -> None:
        """Add the texts of the paths to those of a save."""
        for edits in self.edits.values():
            for path, wire in edits.wires.items():
                text = _text(path, places)
                if wire is None:
                    removes.append(text)
                else:
                    sets.append(f"{text} = {places.value(wire)}")

    def condition(self, places: Placeholders) -> str:
        """The terms that say that what the paths lead through is still there."""
        tags: dict[str, str] = {}
        terms = []
        for edits in self.edits.values():
            for path, tag in edits.parents.items():
                text = _text(path, places)
                if tag not in tags:
                    tags[tag] = places.value(text_wire(tag))
                terms.append(f"attribute_type({text}, {tags[tag]})")
                if tag == "L":
                    terms.append(f"size({text}) = {places.value(number_wire(edits.lengths[path]))}")
        return " AND ".join(terms)

    def explain(self, write: Write) -> None:
        """Say of a write that was refused for what a path leads through that it was changed, and which field it is."""
        plan = self._plan

        def tell(raw: bytes | None, info: dict[str, Any], earlier: Callable[[], DynamORMError]) -> DynamORMError:
            lost = None
            if raw is not None and (plan.version is None or plan.codec.reading.version(raw) == write.known_version):
                lost = self._lost(raw)
            if lost is not None:
                codec = plan.codec
                name = next((field_plan.name for field_plan in codec.plans.values() if field_plan.stored == lost), lost)
                return VersionConflict(
                    f"{codec.schema.name}.{name} was changed since it was loaded, so that what changes inside it has no"
                    " place any more: load it again",
                    old=lambda: codec.decode_shown(raw or b"{}"),
                    **info,
                )
            return earlier()

        explain_refusal(write, tell)

    def _lost(self, raw: bytes) -> str | None:
        """The stored name of an attribute whose paths lead nowhere in this item."""
        item = read_object(raw)
        for name, edits in self.edits.items():
            for path, tag in edits.parents.items():
                at = at_path({"M": item}, path)
                if at is None or tag not in at or (tag == "L" and len(at["L"]) != edits.lengths[path]):
                    return name
        return None


def within(
    plan: ModelRequests,
    changes: Mapping[str, dict[str, Any] | None],
    old: Mapping[str, Any],
    loaded: bytes,
    apart: Container[str],
) -> Within | None:
    """What of a save's changes is written by paths; None for nothing. ``apart`` is what the save writes in its own way.

    ``changes`` and ``old`` are those of `Codec.compare`. An expression has a limit, so that what changes in too many parts
    is written whole.
    """
    parts: dict[str, Any] | None = None
    stored: dict[str, dict[str, Any]] = {}
    edits_by_name: dict[str, Edits] = {}
    for name, field in plan.codec.branching.items():
        new, before = changes.get(name), old.get(name)
        if new is None or before is None or name in apart or not {"M", "L"} & new.keys() & before.keys():
            continue
        parts = parts_of(loaded) if parts is None else parts
        if name not in parts:
            continue
        stored[name] = decoded(parts[name])
        edits = edits_of(field, before, new, stored[name])
        if edits is not None:
            edits_by_name[name] = edits
    text = left = MAX_TEXT - _RESERVED - _ATTRIBUTE * len(changes)
    operators = MAX_OPERATORS // 2
    kept: dict[str, Edits] = {}
    for name, edits in sorted(edits_by_name.items(), key=lambda named_edits: len(named_edits[1].wires)):
        text -= sum(_length(path) for path in edits.wires)
        left -= sum(_length(path) + 30 for path in edits.parents)
        operators -= len(edits.wires) + 2 * len(edits.parents)
        if min(text, left, operators) < 0:
            break
        kept[name] = edits
    return Within(plan, kept, stored) if kept else None


def _length(path: Place) -> int:
    """The characters that a path and a value take at most."""
    return sum(len(f"[{part}]") if isinstance(part, int) else 6 for part in path) + 12


def _text(path: Place, places: Placeholders) -> str:
    return "".join(
        f"[{part}]" if isinstance(part, int) else f"{'.' if at else ''}{places.name(part)}"
        for at, part in enumerate(path)
    )
