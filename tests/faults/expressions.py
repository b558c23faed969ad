"""The conditions and updates that the library sends, evaluated on wire values the way DynamoDB does."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, TypeAlias

Item: TypeAlias = dict[str, Any]

_TOKEN = re.compile(r"\s*(#\w+|:\w+|<>|<=|>=|[=<>(),+-]|[A-Za-z_]\w*)")
_CLAUSES = {"SET", "REMOVE", "ADD"}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "<>": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


class Expression:
    """One expression of a request, over top-level attributes: all that the models of these tests need."""

    def __init__(self, text: str, body: dict[str, Any]) -> None:
        self._names: dict[str, str] = body.get("ExpressionAttributeNames", {})
        self._values: dict[str, Any] = body.get("ExpressionAttributeValues", {})
        self._tokens = _TOKEN.findall(text)
        assert "".join(self._tokens) == re.sub(r"\s", "", text), f"not understood: {text}"
        self._at = 0
        self._item: Item = {}

    def holds(self, item: Item) -> bool:
        """Whether a condition holds for an item."""
        self._at, self._item = 0, item
        found = self._either()
        assert self._at == len(self._tokens), self._tokens
        return found

    def updated(self, item: Item) -> Item:
        """The item after an update expression."""
        self._at, self._item = 0, item
        new = dict(item)
        for clause, name in self._assignments():
            if clause == "REMOVE":
                new.pop(name, None)
            elif clause == "SET":
                self._take("=")
                new[name] = self._sum()
            else:
                new[name] = added(item.get(name, {"N": "0"}), self._operand(), 1)
        return new

    def _assignments(self) -> Iterator[tuple[str, str]]:
        clause = ""
        while self._at < len(self._tokens):
            token = self._next()
            if token in _CLAUSES:
                clause, token = token, self._next()
            elif token == ",":
                token = self._next()
            yield clause, self._names[token]

    def _next(self) -> str:
        self._at += 1
        return str(self._tokens[self._at - 1])

    def _peek(self) -> str:
        return str(self._tokens[self._at]) if self._at < len(self._tokens) else ""

    def _take(self, *wanted: str) -> None:
        assert self._next() in wanted, (self._tokens, self._at)

    def _either(self) -> bool:
        found = self._both()
        while self._peek() == "OR":
            self._take("OR")
            found = self._both() or found
        return found

    def _both(self) -> bool:
        found = self._term()
        while self._peek() == "AND":
            self._take("AND")
            found = self._term() and found
        return found

    def _term(self) -> bool:
        if self._peek() in {"attribute_exists", "attribute_not_exists"}:
            wanted = self._next() == "attribute_exists"
            self._take("(")
            found = self._names[self._next()] in self._item
            self._take(")")
            return found is wanted
        if self._peek() == "attribute_type":
            self._take("attribute_type")
            self._take("(")
            value = self._operand()
            self._take(",")
            kind = self._operand()["S"]
            self._take(")")
            return value is not None and kind in value
        if self._peek() == "(":
            self._take("(")
            found = self._either()
            self._take(")")
            return found
        left = self._operand()
        compare = _COMPARE[self._next()]
        right = self._operand()
        if left is None or right is None or next(iter(left)) != next(iter(right)):
            return False
        return compare(plain(left), plain(right))

    def _sum(self) -> Any:
        found = self._operand()
        while self._peek() in {"+", "-"}:
            sign = 1 if self._next() == "+" else -1
            found = added(found, self._operand(), sign)
        return found

    def _operand(self) -> Any:
        token = self._next()
        if token == "if_not_exists":
            self._take("(")
            found = self._item.get(self._names[self._next()])
            self._take(",")
            other = self._operand()
            self._take(")")
            return other if found is None else found
        if token == "list_append":
            self._take("(")
            first = self._operand()
            self._take(",")
            second = self._operand()
            self._take(")")
            return {"L": first["L"] + second["L"]}
        return self._values[token] if token.startswith(":") else self._item.get(self._names[token])


def added(a: Any, b: Any, sign: int) -> Item:
    """The sum (or difference) of two numbers as wire values."""
    return {"N": str(plain(a) + sign * plain(b))}


def wire(value: Any) -> dict[str, str]:
    """The wire value of a text, a whole number or bytes."""
    if isinstance(value, bytes):
        return {"B": b64encode(value).decode()}
    return {"N": str(value)} if isinstance(value, int) else {"S": value}


def plain(value: Any) -> Any:
    """What a wire value stands for, fit to be compared."""
    ((tag, text),) = value.items()
    return Decimal(text) if tag == "N" else text
