"""A step of a plan, and the basket that planning gathers steps, problems and notes in. Plain data."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Step(Struct, frozen=True, kw_only=True):
    """One change of one table; ``str(step)`` says it in words.

    ``aspect`` names what is changed, ``before`` and ``after`` are its values; ``call`` and ``request`` are DynamoDB's.
    """

    table: str
    kind: str
    text: str
    aspect: str
    before: Any
    after: Any
    call: str
    request: dict[str, Any]

    def __str__(self) -> str:
        return self.text


class Findings:
    """What planning has found so far. ``allow_delete``: indexes may be deleted."""

    def __init__(self, *, allow_delete: bool) -> None:
        self.allow_delete = allow_delete
        self.steps: list[Step] = []
        self.problems: list[str] = []
        self.notes: list[str] = []

    def step(  # noqa: PLR0917 - plain data, in the order of the fields
        self, table: str, kind: str, text: str, aspect: str, before: Any, after: Any, call: str, request: dict[str, Any]
    ) -> None:
        """Add a step."""
        self.steps.append(
            Step(
                table=table,
                kind=kind,
                text=text,
                aspect=aspect,
                before=before,
                after=after,
                call=call,
                request=request,
            )
        )

    def update(self, table: str, kind: str, text: str, aspect: str, before: Any, after: Any, **request: Any) -> None:
        """Add a step that is an UpdateTable."""
        self.step(table, kind, text, aspect, before, after, "UpdateTable", {"TableName": table, **request})

    def problem(self, table: str, text: str) -> None:
        """Add what no step can mend."""
        self.problems.append(f"table {table}: {text}")

    def note(self, table: str, text: str) -> None:
        """Add what does no harm, or cannot be seen."""
        self.notes.append(f"table {table}: {text}")
