"""The tokens of expressions. It must not know grammar.

::

    name         letter { letter | digit | "_" }
    #name, :name a placeholder of a name, of a value
    number       digit { digit }, only as the index of a list
    marks        <> <= >= = < > ( ) [ ] , . + -

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.Attributes.html
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from dynamorm.engine.refusal import Refusal, invalid

MAX_EXPRESSION: Final = 4096

_scan = re.compile(r"\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_]*|[#:][A-Za-z0-9_]+)|(?P<index>[0-9]+)|(?P<mark><>|<=|>=|[=<>()\[\],.+-])|(?P<end>\Z))")  # fmt: skip


class Token(NamedTuple):
    """A token: its text, whether it is a word, an index, a mark or the end, and where it stands."""

    text: str
    kind: str
    at: int


class Reader:
    """Reads an expression token by token. ``kind`` is what the expression is for: ConditionExpression and so on."""

    __slots__ = ("kind", "place", "text", "tokens")

    kind: str
    place: int
    text: str
    tokens: list[Token]

    def __init__(self, text: str, kind: str) -> None:
        self.text, self.kind = text, kind
        self.place = 0
        size = len(text) if text.isascii() else len(text.encode())
        if not text:
            raise self.wrong("The expression can not be empty;")
        if size > MAX_EXPRESSION:
            raise self.wrong(f"Expression size has exceeded the maximum allowed size; expression size: {size}")
        self.tokens = self._tokens()
        if len(self.tokens) == 1:
            raise self.wrong("The expression can not be empty;")

    def _tokens(self) -> list[Token]:
        found: list[Token] = []
        at, text = 0, self.text
        while True:
            match = _scan.match(text, at)
            if match is None:
                rest = text[at:].lstrip()
                raise self.wrong(f'Syntax error; token: "{rest[:1]}", near: "{rest[:20]}"')
            kind = match.lastgroup or "end"
            found.append(Token(match[kind], kind, match.start(kind)))
            if kind == "end":
                return found
            at = match.end()

    @property
    def next(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.place]

    def says(self, word: str) -> bool:
        """Whether this word comes next, in any case."""
        return self.word == word

    @property
    def word(self) -> str:
        """The token that comes next in capitals, where it is a word."""
        token = self.tokens[self.place]
        return token.text.upper() if token.kind == "word" else ""

    def take(self) -> Token:
        """Go on behind the next token."""
        token = self.tokens[self.place]
        self.place += 1
        return token

    def skip(self, mark: str) -> bool:
        """Go on behind this mark, where it comes next."""
        token = self.tokens[self.place]
        if token.kind == "mark" and token.text == mark:
            self.place += 1
            return True
        return False

    def expect(self, mark: str) -> None:
        """Go on behind this mark. Raises: Refusal where it does not come next."""
        if not self.skip(mark):
            raise self.syntax()

    def syntax(self) -> Refusal:
        """What is said where the next token makes no sense."""
        token = self.next
        behind = self.tokens[min(self.place + 1, len(self.tokens) - 1)]
        near = self.text[self.tokens[max(0, self.place - 1)].at : behind.at + len(behind.text)]
        shown = "<EOF>" if token.kind == "end" else token.text
        return self.wrong(f'Syntax error; token: "{shown}", near: "{near}"')

    def wrong(self, text: str) -> Refusal:
        """A refusal of this expression."""
        return invalid(f"Invalid {self.kind}: {text}")
