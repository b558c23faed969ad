"""How names, paths and values of statements are read. It must not know statements."""

from __future__ import annotations

from typing import Any, Final

from dynamorm.engine.expressions.grammar import Given, Path
from dynamorm.engine.partiql.tokens import KEYWORDS, Reader, malformed
from dynamorm.engine.partiql.trees import Members, Parameter, Template
from dynamorm.engine.refusal import Refusal, invalid

MAX_DEPTH: Final = 40
"""Levels of values in values, of which no item has more than 32; and sums and functions of one statement."""


class Values:
    """Reads a statement's names and values, which stand under placeholders."""

    def __init__(self, text: str) -> None:
        self.reader: Reader = Reader(text)
        self.names: dict[str, str] = {}
        self.values: dict[str, Template] = {}
        self.parameters: int = 0
        self._known: dict[str, str] = {}

    def listed(self, read: Any) -> list[Any]:
        """One or more, with commas between them."""
        found = [read()]
        while self.reader.skip(","):
            found.append(read())
        return found

    def names_something(self) -> bool:
        """Whether a path comes next."""
        token = self.reader.next
        return token.kind == "name" or (token.kind == "word" and token.text.upper() not in KEYWORDS)

    def path(self) -> Path:
        """A path, under placeholders."""
        reader = self.reader
        parts: list[Any] = [self.placeholder(reader.name())]
        while True:
            if reader.skip("."):
                parts.append(self.placeholder(reader.name()))
            elif reader.sees("["):
                reader.take()
                token = reader.take()
                if token.kind == "text":
                    parts.append(self.placeholder(token.text))
                elif token.kind == "number" and token.text.isdecimal() and len(token.text) < 10:
                    parts.append(int(token.text))
                else:
                    reader.place -= 1
                    raise reader.wrong()
                reader.expect("]")
            else:
                return tuple(parts)

    def placeholder(self, name: str) -> str:
        """The placeholder of a name."""
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = f"#n{len(self.names)}"
            self.names[found] = name
        return found

    def given(self, value: Template) -> Given:
        """The placeholder of a value."""
        name = f":v{len(self.values)}"
        self.values[name] = value
        return Given(name)

    def calls(self) -> bool:
        """Whether the next token is the name of a function: a parenthesis follows."""
        behind = self.reader.tokens[self.reader.place + 1]
        return behind.kind == "mark" and behind.text == "("

    def value(self, depth: int = 0) -> Template:
        """A value."""
        reader = self.reader
        if depth > MAX_DEPTH:
            raise malformed("values are nested too deeply")
        token = reader.next
        if token.kind == "text":
            return {"S": reader.take().text}
        if token.kind == "number":
            return {"N": reader.take().text}
        if token.kind == "word":
            return self.constant()
        for mark, read in (("?", self.parameter), ("-", self.negative), ("+", self.positive)):
            if reader.skip(mark):
                return read()
        if reader.skip("("):
            found = self.value(depth + 1)
            reader.expect(")")
            return found
        if reader.skip("["):
            return {"L": self.elements("]", depth)}
        if reader.skip("<<"):
            return self.of_set(self.elements(">>", depth))
        if reader.skip("{"):
            return {"M": self.entries(depth)}
        raise reader.wrong()

    def constant(self) -> Template:
        """TRUE, FALSE or NULL."""
        found = {"TRUE": {"BOOL": True}, "FALSE": {"BOOL": False}, "NULL": {"NULL": True}}.get(self.reader.word)
        if found is None:
            raise self.reader.wrong()
        self.reader.take()
        return found

    def parameter(self) -> Parameter:
        """``?``."""
        self.parameters += 1
        return Parameter(self.parameters - 1)

    def negative(self) -> Template:
        """A number with a minus."""
        return {"N": f"-{self.positive()['N']}"}

    def positive(self) -> Template:
        """A number behind its sign."""
        if self.reader.next.kind != "number":
            raise self.reader.wrong()
        return {"N": self.reader.take().text}

    def elements(self, closing: str, depth: int) -> list[Template]:
        """The elements of a list or a set."""
        if self.reader.skip(closing):
            return []
        found = self.listed(lambda: self.value(depth + 1))
        self.reader.expect(closing)
        return found

    def of_set(self, elements: list[Template]) -> Template:
        """A set of these elements."""
        tags = {"?" if isinstance(one, Parameter) else next(iter(one)) for one in elements}
        if len(tags) != 1 or not tags <= {"S", "N", "B", "?"}:
            raise _mixed()
        return Members(tuple(elements))

    def entries(self, depth: int) -> dict[str, Template]:
        """The entries of a map."""
        found: dict[str, Template] = {}
        if self.reader.skip("}"):
            return found
        while True:
            token = self.reader.take()
            if token.kind != "text":
                self.reader.place -= 1
                raise self.reader.wrong()
            if token.text in found:
                raise invalid("a name comes twice in one map")
            self.reader.expect(":")
            found[token.text] = self.value(depth + 1)
            if not self.reader.skip(","):
                break
        self.reader.expect("}")
        return found


def _mixed() -> Refusal:
    return invalid("a set has one or more members, all of them texts, numbers or binaries")
