"""Reads the tokens of an expression in DynamoDB's own text. What stands in it is named by its place, never repeated."""

from __future__ import annotations

import re
from typing import Final

from dynamorm.errors import ExpressionTooLarge, ValidationError

from .check import MAX_TEXT

_TOKEN: Final = re.compile(r"\s*(<>|<=|>=|[=<>()\[\],.+-]|[#:]?[A-Za-z0-9_]+)")
NAME: Final = re.compile(r"#[A-Za-z0-9_]+")
"""A placeholder of a name."""
VALUE: Final = re.compile(r":[A-Za-z0-9_]+")
"""A placeholder of a value."""


class Text:
    """The tokens of one text, read from left to right."""

    def __init__(self, text: str) -> None:
        if len(text.encode(errors="replace")) > MAX_TEXT:
            raise ExpressionTooLarge(f"raw: the text has {len(text)} characters, the limit is {MAX_TEXT} bytes")
        self._tokens: list[tuple[str, int]] = []
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._wrong("there is what no expression has", len(text) - len(text[at:].lstrip()))
            self._tokens.append((match[1], match.start(1)))
            at = match.end()
        self._tokens.append(("", end))
        self._place = 0

    @property
    def next(self) -> str:
        """The next token; the empty text at the end."""
        return self._tokens[self._place][0]

    @property
    def word(self) -> str:
        """The next token in capitals, to compare it with a word of the grammar."""
        return self.next.upper()

    @property
    def calls(self) -> bool:
        """Whether the next token is the name of a function: a parenthesis follows."""
        token = self.next
        return token[:1].isalpha() and self._tokens[self._place + 1][0] == "("

    def take(self) -> str:
        """The next token, which is read."""
        token = self.next
        if not token:
            raise self.wrong("it ends too early")
        self._place += 1
        return token

    def skip(self, token: str) -> bool:
        """Whether the next token is this one; then it is read."""
        found = self.word == token
        if found:
            self._place += 1
        return found

    def expect(self, token: str) -> None:
        """Read this token. Raises: ValidationError."""
        if not self.skip(token):
            raise self.wrong(f"a {token!r} is missing")

    def wrong(self, problem: str) -> ValidationError:
        """The error about what comes next."""
        return self._wrong(problem, self._tokens[self._place][1])

    @staticmethod
    def _wrong(problem: str, at: int) -> ValidationError:
        return ValidationError(f"raw: {problem}, at character {at + 1} of the text")
