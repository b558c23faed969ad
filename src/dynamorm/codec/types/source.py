"""Collects the text and the names of generated code, and compiles it into functions kept in linecache."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

_serial = count(1)
_IDENTIFIER = re.compile(r"\W")
_VARIABLE = re.compile(r"[a-z]\d*|raw")
"""The variables of generated code, whose names no class may take from them."""


class Source:
    """Generated code under construction.

    ``careful`` code is the same text bound to slower functions that explain what is wrong; it runs only after the
    fast code has failed.
    """

    def __init__(self, *, careful: bool = False) -> None:
        self.careful = careful
        self.names: dict[str, Any] = {}
        self._parts: list[str] = []
        self._functions: dict[Any, str] = {}
        self._bound: dict[tuple[str, int], str] = {}

    def bind(self, hint: str, value: Any, careful: Any = None) -> str:
        """A name that stands for ``value`` in the code (for ``careful`` in careful code, when that is given)."""
        if self.careful and careful is not None:
            value = careful
        key = (hint, id(value))
        name = self._bound.get(key)
        if name is None:
            plain = _IDENTIFIER.sub("_", hint)
            if _VARIABLE.fullmatch(plain):
                plain += "_"
            name = plain
            serial = 2
            while name in self.names:
                name = f"{plain}_{serial}"
                serial += 1
            self._bound[key] = name
            self.names[name] = value
        return name

    def function(self, key: Any, hint: str, body: Callable[[], tuple[str, Iterable[str]]]) -> str:
        """The name of a function made once per ``key``. ``body`` returns its arguments and lines.

        The name exists before the body is made, so that a recursive type can call itself.
        """
        name = self._functions.get(key)
        if name is None:
            name = self.bind(hint, object())
            self._functions[key] = name
            arguments, lines = body()
            self.define(name, arguments, lines)
        return name

    def define(self, name: str, arguments: str, lines: Iterable[str]) -> None:
        """Add a function."""
        text = "".join(f"    {line}\n" for line in lines)
        self._parts.append(f"def {name}({arguments}):\n{text}")

    def compile(self, title: str) -> str:
        """Compile everything into `names` and return the text."""
        text = "\n\n".join(self._parts)
        filename = f"<dynamorm codec {title} {next(_serial)}>"
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        exec(compile(text, filename, "exec"), self.names)
        return text
