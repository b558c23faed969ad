"""Write the asyncio face from the blocking one: each file of faces/blocking becomes the file of that name in faces/aio.

`ast` finds what must change, and the change is made in the source's own text, so that comments and formatting survive.
What is awaited: a flow that is run (``self._run``, ``self._io.run``), our own methods that await, and AWAITED. A method
that awaits is ``async``, as its overloads are; so are ``with`` and ``for`` where the thing is ours. Code in docstrings is
treated alike. PHRASES and WORDS are replaced wherever they stand. A comment ``# async: <statement>`` is a statement that
only the asyncio face has.

With ``--check`` nothing is written, and a difference is an error. A rule that nothing needed is an error always.
"""

from __future__ import annotations

import ast
import difflib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOM: Final = Path(__file__).resolve().parents[1] / "src" / "dynamorm" / "faces"
HEADER: Final = "# Generated from ../blocking/{name} by scripts/async_face.py: change that one.\n"

# What is said of one face and does not hold for the other; it goes before the words.
PHRASES: Final = {
    "blocking face": "asyncio face",
    "is_async: ClassVar[bool] = False": "is_async: ClassVar[bool] = True",
    "for blocking code. Safe to share between threads; a forked child opens its own connections.": (
        "for asyncio. It belongs to the event loop that first uses it."
    ),
    "or call `close`": "or await `close`",
    "or a for loop": "or an async for loop",
    "a ``with``": "an ``async with``",
    "It belongs to one thread": "It belongs to one task",
}
# Names, and what they are on the asyncio face.
WORDS: Final = {
    **{
        name: f"Async{name}"
        for name in (
            "AuditTrail",
            "Batcher",
            "DB",
            "Groups",
            "Idempotent",
            "Lease",
            "Loader",
            "Loading",
            "Updating",
            "Many",
            "Query",
            "Shipped",
            "StreamReader",
            "Tables",
            "Transaction",
        )
    },
    "AsyncDB": "DB",
    "Iterator": "AsyncIterator",
    "Blocking": "Aio",
    "blocking": "aio",
    "blocking_driver": "asyncio_driver",
    "refuse_awaitable": "await_result",
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
}
# Functions that are awaited besides our own methods: what `explain` is given, and what looks at a handler's answer.
AWAITED: Final = ("operation", "refuse_awaitable")
# The names of our own things in the faces and in their examples: what hangs on them is awaited and entered as ours is.
OURS: Final = ("DB", "db", "driver", "dry", "lease", "stream")
# Statements of their own kind: no asynchronous generator has the first.
YIELD_FROM: Final = "yield from"
ASYNC_ONLY: Final = "# async: "

REPLACED: Final = PHRASES | WORDS
RULES: Final = (*REPLACED, *(f"awaited {name}" for name in AWAITED), *(f"our {name}" for name in OURS), YIELD_FROM, ASYNC_ONLY)  # fmt: skip
_TEXT: Final = re.compile("|".join(rf"(?<!\w){re.escape(text)}(?!\w)" for text in REPLACED))
_INLINE: Final = re.compile(r"``([^`]+)``")
_BLOCK: Final = re.compile(r"::\n\n((?P<indent> +)\S.*\n(?:(?P=indent).*\n|\n)*)")


class Edit(NamedTuple):
    """A text to be put in at an offset, in the place of so many characters."""

    at: int
    length: int
    text: str


class Writer:
    """Writes the asyncio face of some blocking files, ``sources`` by name; `unused` are the rules that none needed."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = {name: text.replace(ASYNC_ONLY, "") for name, text in sources.items()}
        self._used: set[str] = {ASYNC_ONLY for text in sources.values() if ASYNC_ONLY in text}
        self._async: set[tuple[str, str]] = set()  # (class, method)
        self._awaited: set[str] = set()  # methods; a generator is asynchronous, and its call is not awaited
        trees = [ast.parse(text) for text in self._sources.values()]
        while self._find_async(trees):
            pass  # one method may await another

    @property
    def unused(self) -> list[str]:
        """The rules that nothing has needed so far."""
        return [rule for rule in RULES if rule not in self._used]

    def files(self) -> dict[str, str]:
        """The text of each file, not formatted."""
        made = {name: self._edited(text, whole=True) for name, text in self._sources.items()}
        return {name: HEADER.format(name=name) + _TEXT.sub(self._replaced, text) for name, text in made.items()}

    def _find_async(self, trees: list[ast.Module]) -> bool:
        before = len(self._async)
        for cls in (node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)):
            for method in (node for node in cls.body if isinstance(node, ast.FunctionDef)):
                inside = list(ast.walk(method))
                if method.name in {"__enter__", "__exit__"} or any(map(self._waits, inside)):
                    self._async.add((cls.name, method.name))
                    if not any(isinstance(node, ast.Yield | ast.YieldFrom) for node in inside):
                        self._awaited.add(method.name)
        return len(self._async) > before

    def _waits(self, node: ast.AST) -> bool:
        """Whether a node waits on the asyncio face: an awaited call, ``with`` or ``for`` over what is ours."""
        if isinstance(node, ast.With):
            return any(self._ours(item.context_expr) for item in node.items)
        if isinstance(node, ast.For):
            return self._ours(node.iter) and not self._waits(node.iter)
        if not isinstance(node, ast.Call):
            return False
        function = node.func
        if isinstance(function, ast.Name) and function.id in AWAITED:
            self._used.add(f"awaited {function.id}")
            return True
        if not isinstance(function, ast.Attribute):
            return False
        is_run = ast.unparse(function) in {"self._run", "self._io.run"}
        return is_run or (function.attr in self._awaited and self._ours(function.value))

    def _ours(self, node: ast.AST) -> bool:
        """Whether it is ``self``, or hangs on a name of ours."""
        if isinstance(node, ast.Name) and node.id == "self":
            return True
        while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
            node = node.func if isinstance(node, ast.Call) else node.value
        if not isinstance(node, ast.Name) or node.id not in OURS:
            return False
        self._used.add(f"our {node.id}")
        return True

    def _edited(self, text: str, *, whole: bool = False) -> str:
        """A program that waits; its names are as they were. The docstrings of a whole file are edited too."""
        lines = text.splitlines(keepends=True)
        edits: list[Edit] = []
        for node, parent in _with_parents(ast.parse(text)):
            at = _offset(lines, node.lineno, node.col_offset)
            end = _offset(lines, node.end_lineno or 0, node.end_col_offset or 0)
            if isinstance(node, ast.Call) and self._waits(node):
                inner = isinstance(parent, ast.Attribute | ast.Subscript) and parent.value is node
                edits += [Edit(at, 0, "(await "), Edit(end, 0, ")")] if inner else [Edit(at, 0, "await ")]
            elif isinstance(node, ast.With | ast.For) and self._waits(node):
                edits.append(Edit(at, 0, "async "))
            elif isinstance(node, ast.FunctionDef) and isinstance(parent, ast.ClassDef):
                edits += [Edit(at, 0, "async ")] if (parent.name, node.name) in self._async else []
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.YieldFrom):
                self._used.add(YIELD_FROM)
                edits.append(Edit(at, len(YIELD_FROM), "for item in"))
                edits.append(Edit(end, 0, f":\n{' ' * node.col_offset}    yield item"))
            elif whole and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                edits.append(Edit(at, end - at, self._documented(text[at:end])))
        for edit in sorted(edits, key=lambda edit: edit.at, reverse=True):
            text = text[: edit.at] + edit.text + text[edit.at + edit.length :]
        return text

    def _documented(self, text: str) -> str:
        """A docstring whose examples wait. What is no program stays."""

        def attempted(code: str) -> str:
            try:
                return self._edited(code)
            except SyntaxError:
                return code

        text = _BLOCK.sub(lambda match: "::\n\n" + attempted(f"if 1:\n{match[1]}").removeprefix("if 1:\n"), text)
        return _INLINE.sub(lambda match: f"``{attempted(match[1])}``", text)

    def _replaced(self, match: re.Match[str]) -> str:
        self._used.add(match[0])
        return REPLACED[match[0]]


def _with_parents(tree: ast.AST) -> Iterator[tuple[ast.stmt | ast.expr, ast.AST]]:
    """Every statement and expression, with what it is in; what a lambda does is left to who calls it."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.stmt | ast.expr):
            yield child, tree
        if not isinstance(child, ast.Lambda):
            yield from _with_parents(child)


def _offset(lines: list[str], line: int, column: int) -> int:
    """Where a place is in the text: `ast` counts columns in bytes."""
    return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:column].decode())


def formatted(text: str, path: Path) -> str:
    """The text as the file at ``path``: imports sorted, lines wrapped."""
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["check", "--quiet", "--fix-only", "--select", "I"], ["format"]):
        call = [str(ruff), *command, "--stdin-filename", str(path), "-"]
        text = subprocess.run(call, input=text, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
    return text


def main(room: Path, *, check: bool) -> int:
    """Write the files of a room, or compare them. Returns 1 when something is wrong."""
    writer = Writer({path.name: path.read_text("utf-8") for path in sorted((room / "blocking").glob("*.py"))})
    wanted = {room / "aio" / name: text for name, text in writer.files().items()}
    wrong = [f"a rule that nothing needs: {rule}" for rule in writer.unused]
    for path in sorted({*wanted, *(room / "aio").glob("*.py")}):
        there = path.read_text("utf-8") if path.exists() else ""
        text = formatted(wanted[path], path) if path in wanted else ""
        if check:
            names = path.name, f"{path.name}, as generated"
            wrong += difflib.unified_diff(there.splitlines(), text.splitlines(), *names, lineterm="")
        elif not text:
            path.unlink()
        elif text != there:
            path.write_text(text, "utf-8")
    if wrong:
        print(*wrong, "The asyncio face is not as generated: see scripts/async_face.py", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(ROOM, check="--check" in sys.argv[1:]))
