"""What statements are made of: trees of names, values and conditions. It must not know text."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from dynamorm.engine.expressions.grammar import Condition, Operand, Path, Test


class Parameter(NamedTuple):
    """A value that the request brings: its place among the parameters."""

    place: int


Template: TypeAlias = Any
"""A value in DynamoDB's JSON, in which parameters may stand in the places of values."""


class Where(NamedTuple):
    """A condition: its parts that ``AND`` joins, and the whole."""

    parts: tuple[Condition, ...]
    whole: Condition


class Statement(NamedTuple):
    """A statement. ``kind``: SELECT, INSERT, UPDATE, DELETE or EXISTS; names and values stand under placeholders."""

    kind: str
    table: str
    names: dict[str, str]
    values: dict[str, Template]
    parameters: int
    of_index: str | None = None
    paths: tuple[Path, ...] | None = None
    where: Where | None = None
    order: tuple[tuple[str, bool], ...] = ()
    item: Template = None
    set: tuple[tuple[Path, Operand], ...] = ()
    remove: tuple[Path, ...] = ()
    returning: str | None = None


class Members(NamedTuple):
    """The members of a set, whose type is known when the parameters are."""

    elements: tuple[Template, ...]


def alone(test: Test) -> Where:
    """A condition of one test."""
    return Where(((test,),), (test,))


def negated(where: Where) -> Where:
    """The opposite of a condition."""
    whole = (*where.whole, "NOT")
    return Where((whole,), whole)


def joined(output: list[Where], word: str) -> None:
    """Put an operator behind what it is of."""
    right = output.pop()
    if word == "NOT":
        output.append(negated(right))
        return
    left = output.pop()
    whole = (*left.whole, *right.whole, word)
    output.append(Where((*left.parts, *right.parts) if word == "AND" else (whole,), whole))
