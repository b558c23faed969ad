"""Requests without what they hold, the values of items, and errors without the variables of our frames. It must not know models."""

from __future__ import annotations

import re
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

_MASKED: Final = frozenset({"S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"})
_SECRETS: Final = frozenset({"ClientRequestToken", "NextToken", "ShardIterator"})
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'|(?<![\w.\"])-?\d[\w.+-]*")
"""A text or a number in a PartiQL statement; not a part of a name."""


def redacted(body: Any) -> Any:
    """A request without any value of an item; names and the types of the values stay.

    Example: ``redacted({"Key": {"id": {"S": "p1"}}}) == {"Key": {"id": {"S": "?"}}}``
    """
    if isinstance(body, dict):
        if len(body) == 1 and (tag := next(iter(body))) in _MASKED:
            return {tag: "?"}
        return {name: "?" if name in _SECRETS else redacted(value) for name, value in body.items()}
    if isinstance(body, list):
        return [redacted(element) for element in body]
    return body


def without_literals(body: Any) -> Any:
    """The same, and without the texts and numbers in statements, which PartiQL takes too."""
    if isinstance(body, dict):
        return {
            name: _LITERAL.sub("?", value)
            if name == "Statement" and isinstance(value, str)
            else without_literals(value)
            for name, value in body.items()
        }
    return [without_literals(element) for element in body] if isinstance(body, list) else body


# The local variables in the traceback of an error: what shows tracebacks with them must find no protected value there.

_OURS: Final = "dynamorm"


def without_locals(error: BaseException | None) -> None:
    """Clear the local variables of the library's own frames in an error's traceback, and in those of its causes.

    Frames that still run keep theirs, and so do those of other modules: they are somebody else's. Where it was raised stays told.

    Example: ``except DynamORMError as error: without_locals(error); raise``
    """
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        _clear(one.__traceback__)
        waiting += [one.__cause__, one.__context__]


def _clear(trace: TracebackType | None) -> None:
    while trace is not None:
        frame = trace.tb_frame
        if _is_ours(frame.f_globals.get("__name__"), frame.f_code.co_filename):
            with suppress(RuntimeError):  # it still runs
                frame.clear()
        trace = trace.tb_next


def _is_ours(module: object, filename: str) -> bool:
    """Whether a frame is of the library, or of the code that it has generated for a model."""
    return (isinstance(module, str) and module.partition(".")[0] == _OURS) or filename.startswith("<dynamorm")
