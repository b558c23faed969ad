"""What a command says: results on stdout, everything else on stderr. It must not know commands.

A terminal that cannot show a character, or would act on it, is shown its escape: what is stored moves no cursor, turns no text
round and begins no line. A reader that has gone away ends the command silently.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

from .ends import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

_CHUNK: Final = 1 << 16


class Out:
    """The two streams of a command. ``json``: one JSON object on each line of stdout, and nothing else."""

    def __init__(self, *, json: bool = False) -> None:
        self.json: bool = json

    def line(self, text: str) -> None:
        """A line of the result, for people, or several; nothing with ``--json``."""
        if not self.json:
            write(sys.stdout, "\n".join(map(visible, text.split("\n"))) + "\n")

    def row(self, **members: Any) -> None:
        """A result: one JSON object with ``--json``, else one line of its values."""
        if self.json:
            self.raw(msgspec.json.encode(members))
        else:
            write(sys.stdout, "  ".join(f"{name}={shown(value)}" for name, value in members.items()) + "\n")

    def raw(self, line: bytes) -> None:
        """A line of JSON that is ready, with and without ``--json``."""
        write(sys.stdout, _as_json(line.decode()) + "\n")

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Rows under heads: a table for people, an object for each row with ``--json``."""
        if self.json:
            for row in rows:
                self.row(**dict(zip(heads, row, strict=True)))
            return
        from rich.table import Table  # only where one is drawn

        table = Table(box=None, pad_edge=False)
        for head in heads:
            table.add_column(head)
        for row in rows:
            table.add_row(*map(shown, row))
        console = console_of(sys.stdout)
        with console.capture() as captured:
            console.print(table)
        write(sys.stdout, captured.get())

    def note(self, text: str) -> None:
        """A line about what happens, on stderr."""
        write(sys.stderr, one_line(text) + "\n")


def shown(value: Any) -> str:
    """A value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
    return _as_json(msgspec.json.encode(value).decode())


def visible(text: str) -> str:
    """A text with the escapes of Python for what a terminal acts on, and for what is not seen."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _as_json(text: str) -> str:
    """The same for a text of JSON, with the escapes of JSON: what they stand for stands in its texts alone."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def write(stream: TextIO, text: str) -> None:
    """Write to a stream whatever its encoding is. Raises: BrokenPipeError, where nobody reads the output any more.

    What is told beside the output, on stderr, is told to nobody then, and the work goes on.
    """
    try:
        _write(stream, text)
    except BrokenPipeError:
        if stream is not sys.stderr:
            raise
        leave_pipe(stream)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def leave_pipe(stream: TextIO) -> None:
    """After a closed pipe: let nothing be written to it when the process ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
    except (OSError, ValueError):  # it is no file
        return


def console_of(stream: TextIO) -> Console:
    """A console of rich, which has colours on a terminal alone, and where NO_COLOR is not set."""
    from rich.console import Console  # the extra `cli`

    terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=terminal,
        no_color=not terminal or bool(os.environ.get("NO_COLOR")),
        highlight=False,
        markup=False,
        emoji=False,
        width=None if terminal else 200,
        safe_box=True,
    )
