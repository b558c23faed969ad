"""Statements with their parameters: values take their places, and what of a condition is of the key is told apart."""

from __future__ import annotations

from typing import Any

from dynamorm.engine.expressions.grammar import At, Condition, Given, Test
from dynamorm.engine.expressions.places import Places
from dynamorm.engine.partiql.grammar import parsed
from dynamorm.engine.partiql.trees import Members, Parameter, Statement, Template
from dynamorm.engine.queries.key_conditions import KeyTest
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.values.measure import Item, Value, measure

_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Bound:
    """A statement whose parameters are put in. ``request`` is what the entry of a request says beside it."""

    __slots__ = ("places", "request", "statement", "values")

    places: Places
    request: dict[str, Any]

    def __init__(self, request: dict[str, Any]) -> None:
        self.statement: Statement = parsed(request["Statement"])
        self.request = request
        given = request.get("Parameters") or []
        if len(given) != self.statement.parameters:
            raise invalid("Number of parameters in request and statement don't match.")
        for value in given:
            measure(value)
        self.values: list[Value] = given
        values = {name: self.value(one) for name, one in self.statement.values.items()}
        self.places = Places(self.statement.names or None, values or None)

    @property
    def reads(self) -> bool:
        """Whether nothing is written."""
        return self.statement.kind in ("SELECT", "EXISTS")

    def value(self, template: Template) -> Value:
        """A value with its parameters, a copy of its own. Raises: Refusal."""
        if isinstance(template, Parameter):
            return self.values[template.place]
        if isinstance(template, Members):
            return _set([self.value(one) for one in template.elements])
        ((tag, payload),) = template.items()
        if tag == "L":
            return {"L": [self.value(one) for one in payload]}
        if tag == "M":
            return {"M": {name: self.value(one) for name, one in payload.items()}}
        return {tag: payload}

    def item(self) -> Item:
        """The item of an INSERT. Raises: Refusal."""
        item: Item = self.value(self.statement.item)["M"]
        return item

    def path(self, path: Any) -> Any:
        """A path with its names."""
        return self.places.path(path, "statement")

    def keyed(self, part: Condition) -> tuple[str, KeyTest] | None:
        """The name and the test of a part of a condition that one attribute is compared with values in, None for another."""
        if len(part) != 1 or not isinstance(part[0], Test):
            return None
        op, operands = part[0]
        if op in _MIRRORED and isinstance(operands[0], Given):
            op, operands = _MIRRORED[op], (operands[1], operands[0])
        first, *others = operands
        if not isinstance(first, At) or len(first.path) != 1 or not others:
            return None
        values = []
        for other in others:
            if not isinstance(other, Given):
                return None
            values.append(self.places.value(other.name, "statement"))
        return str(self.path(first.path)[0]), KeyTest(op, tuple(values))


def _set(members: list[Value]) -> Value:
    tags = {next(iter(one)) for one in members}
    if len(tags) != 1 or not tags <= {"S", "N", "B"}:
        raise _mixed()
    (tag,) = tags
    return {f"{tag}S": [one[tag] for one in members]}


def _mixed() -> Refusal:
    return invalid("a set has one or more members, all of them texts, numbers or binaries")
