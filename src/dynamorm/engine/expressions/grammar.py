"""One grammar for all expressions; text in, trees out. It must not know names, values or items.

::

    condition  = ["NOT"] ( test | "(" condition ")" ) { ("AND" | "OR") condition }        NOT before AND before OR
    test       = operand ("=" | "<>" | "<" | "<=" | ">" | ">=") operand
               | operand "BETWEEN" operand "AND" operand
               | operand "IN" "(" operand { "," operand } ")"            100 at most
               | ("attribute_exists" | "attribute_not_exists") "(" path ")"
               | ("attribute_type" | "begins_with" | "contains") "(" operand "," operand ")"
    operand    = path | value | "size" "(" operand ")"
    path       = part { "." part | "[" number "]" }
    part       = name | #name                                            no reserved word
    projection = path { "," path }
    update     = { "SET" path "=" term {...} | "REMOVE" path {...} | "ADD" path value {...} | "DELETE" path value {...} }
    term       = source [ ("+" | "-") source ]
    source     = path | value | "if_not_exists" "(" path "," source ")" | "list_append" "(" source "," source ")", which no other function takes

Keywords are written in any case, names of functions as they are. A condition comes out in the order in which it is worked out
(operands before their operator), so that no depth of parentheses is a depth of calls.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from dynamorm.engine.expressions.reserved import RESERVED
from dynamorm.engine.expressions.tokens import Reader

Path: TypeAlias = tuple[Any, ...]
"""Names, of which a placeholder begins with #, and indexes of lists."""

MAX_OPERATORS: Final = 300
MAX_IN: Final = 100
MAX_PATH: Final = 32

COMPARATORS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
_PAIRS: Final = frozenset({"attribute_type", "begins_with", "contains"})
_KNOWN: Final = frozenset({"attribute_exists", "attribute_not_exists", "size", *_PAIRS})


class At(NamedTuple):
    """An operand: what stands at a path."""

    path: Path


class Given(NamedTuple):
    """An operand: a value of the request, by its placeholder."""

    name: str


class Made(NamedTuple):
    """An operand: what a function makes of others: size, if_not_exists, list_append, + and -."""

    function: str
    operands: tuple[Any, ...]


Operand: TypeAlias = "At | Given | Made"


class Test(NamedTuple):
    """A condition that is true or false of an item."""

    op: str
    operands: tuple[Operand, ...]


Condition: TypeAlias = "tuple[Test | str, ...]"
"""Tests, and ``AND``, ``OR``, ``NOT`` behind what they are of."""


class Update(NamedTuple):
    """The parts of an update: what is set, removed, added, deleted."""

    set: tuple[tuple[Path, Operand], ...]
    remove: tuple[Path, ...]
    add: tuple[tuple[Path, str], ...]
    delete: tuple[tuple[Path, str], ...]


_RANK: Final = {"OR": 1, "AND": 2, "NOT": 3}


@lru_cache(4096)
def condition(text: str, kind: str) -> Condition:
    """The condition a text says. Raises: Refusal."""
    reader = Reader(text, kind)
    output: list[Test | str] = []
    waiting: list[tuple[str, int]] = []  # operators and open parentheses, with their places
    closed: dict[int, int] = {}
    operators = 0
    while True:
        while True:  # before an operand
            if reader.word == "NOT":
                waiting.append(("NOT", reader.place))
                operators += 1
            elif reader.next.text == "(" and reader.next.kind == "mark":
                waiting.append(("(", reader.place))
            else:
                break
            reader.take()
        test, cost = _test(reader)
        output.append(test)
        operators += cost
        while True:  # behind an operand
            if reader.skip(")"):
                while waiting and waiting[-1][0] != "(":
                    output.append(waiting.pop()[0])
                if not waiting:
                    reader.place -= 1
                    raise reader.syntax()
                begin, end = waiting.pop()[1], reader.place - 1
                if closed.get(begin + 1) == end - 1:
                    raise reader.wrong("The expression has redundant parentheses;")
                closed[begin] = end
                continue
            break
        word = reader.word
        if word in ("AND", "OR"):
            while waiting and waiting[-1][0] != "(" and _RANK[waiting[-1][0]] >= _RANK[word]:
                output.append(waiting.pop()[0])
            waiting.append((word, reader.place))
            reader.take()
            operators += 1
        elif reader.next.kind == "end":
            break
        else:
            raise reader.syntax()
    while waiting:
        op = waiting.pop()[0]
        if op == "(":
            raise reader.syntax()
        output.append(op)
    return _bounded(reader, operators, tuple(output))


def _bounded(reader: Reader, operators: int, output: Condition) -> Condition:
    if operators > MAX_OPERATORS:
        raise reader.wrong(
            f"The expression contains too many operators; operator count: {operators}, maximum: {MAX_OPERATORS}"
        )
    return output


def _test(reader: Reader) -> tuple[Test, int]:
    """One test, and how many operators it counts for."""
    token = reader.next
    name = token.text
    if token.kind == "word" and _calls(reader) and name != "size":
        if name not in _KNOWN:
            raise reader.wrong(f"Invalid function name; function: {name}")
        reader.take()
        operands = _arguments(reader, name)
        return Test(name, operands), 1
    first = _operand(reader)
    token = reader.next
    if token.kind == "mark" and token.text in COMPARATORS:
        reader.take()
        return Test(token.text, (first, _operand(reader))), 1
    if reader.word == "BETWEEN":
        reader.take()
        low = _operand(reader)
        if not reader.says("AND"):
            raise reader.syntax()
        reader.take()
        return Test("BETWEEN", (first, low, _operand(reader))), 1
    if reader.word == "IN":
        reader.take()
        reader.expect("(")
        others = [_operand(reader)]
        while reader.skip(","):
            others.append(_operand(reader))
        reader.expect(")")
        if len(others) > MAX_IN:
            raise reader.wrong(f"The IN operator is provided with too many operands; number of operands: {len(others)}")
        return Test("IN", (first, *others)), len(others)
    raise reader.syntax()


def _calls(reader: Reader) -> bool:
    """Whether the next token is the name of a function: a parenthesis follows."""
    return reader.next.text[0] not in "#:" and reader.tokens[reader.place + 1].text == "("


def _arguments(reader: Reader, function: str) -> tuple[Operand, ...]:
    reader.expect("(")
    operands = [_operand(reader)]
    while reader.skip(","):
        operands.append(_operand(reader))
    reader.expect(")")
    count = 2 if function in _PAIRS else 1
    if len(operands) != count:
        raise reader.wrong(
            "Incorrect number of operands for operator or function;"
            f" operator or function: {function}, number of operands: {len(operands)}"
        )
    if count == 1 and function != "size" and not isinstance(operands[0], At):
        raise reader.wrong(f"Operator or function requires a document path; operator or function: {function}")
    return tuple(operands)


def _operand(reader: Reader) -> Operand:
    token = reader.next
    if token.kind != "word":
        raise reader.syntax()
    if token.text[0] == ":":
        return Given(reader.take().text)
    if _calls(reader):
        if token.text != "size":
            known = token.text in _KNOWN
            said = (
                "The function is not allowed to be used this way in an expression" if known else "Invalid function name"
            )
            raise reader.wrong(f"{said}; function: {token.text}")
        reader.take()
        return Made("size", _arguments(reader, "size"))
    return At(_path(reader))


def _path(reader: Reader) -> Path:
    parts: list[Any] = [_part(reader)]
    while True:
        if reader.skip("."):
            parts.append(_part(reader))
        elif reader.skip("["):
            if reader.next.kind != "index":
                raise reader.syntax()
            index = reader.take().text
            if len(index) > 9:
                raise reader.wrong("List index is not within the allowable range; index: [" + index[:20] + "]")
            parts.append(int(index))
            reader.expect("]")
        else:
            break
    if len(parts) > MAX_PATH:
        raise reader.wrong("The document path has too many nesting elements; nesting levels: " + str(len(parts)))
    return tuple(parts)


def _part(reader: Reader) -> str:
    token = reader.next
    if token.kind != "word" or token.text[0] == ":":
        raise reader.syntax()
    if token.text[0] != "#" and token.text.upper() in RESERVED:
        raise reader.wrong(f"Attribute name is a reserved keyword; reserved keyword: {token.text}")
    return reader.take().text


@lru_cache(4096)
def projection(text: str, kind: str = "ProjectionExpression") -> tuple[Path, ...]:
    """The paths a text lists. Raises: Refusal."""
    reader = Reader(text, kind)
    return _paths(reader, alone=True)


def _paths(reader: Reader, *, alone: bool) -> tuple[Path, ...]:
    found = [_path(reader)]
    while reader.skip(","):
        found.append(_path(reader))
    if alone and reader.next.kind != "end":
        raise reader.syntax()
    return tuple(found)


@lru_cache(4096)
def update(text: str, kind: str = "UpdateExpression") -> Update:
    """The update a text says. Raises: Refusal."""
    reader = Reader(text, kind)
    found: dict[str, tuple[Any, ...]] = {}
    while reader.next.kind != "end":
        section = reader.word
        if section not in ("SET", "REMOVE", "ADD", "DELETE"):
            raise reader.syntax()
        if section in found:
            raise reader.wrong(f'The "{section}" section can only be used once in an update expression;')
        reader.take()
        found[section] = _section(reader, section)
    count = sum(map(len, found.values()))
    if count > MAX_OPERATORS:
        raise reader.wrong(f"The expression contains too many operators; operator count: {count}")
    return Update(*(found.get(section, ()) for section in ("SET", "REMOVE", "ADD", "DELETE")))


def _section(reader: Reader, section: str) -> tuple[Any, ...]:
    if section == "REMOVE":
        return _paths(reader, alone=False)
    found: list[Any] = []
    while True:
        path = _path(reader)
        if section == "SET":
            reader.expect("=")
            found.append((path, _term(reader)))
        else:
            token = reader.next
            if token.kind != "word" or token.text[0] != ":":
                raise reader.syntax()
            found.append((path, reader.take().text))
        if not reader.skip(","):
            return tuple(found)


def _term(reader: Reader) -> Operand:
    first = _source(reader, 0)
    token = reader.next
    if token.kind == "mark" and token.text in "+-":
        reader.take()
        return Made(token.text, (first, _source(reader, 0)))
    return first


def _source(reader: Reader, depth: int) -> Operand:
    token = reader.next
    if token.kind != "word":
        raise reader.syntax()
    if token.text[0] == ":":
        return Given(reader.take().text)
    if not _calls(reader):
        return At(_path(reader))
    name = token.text
    if name not in ("if_not_exists", "list_append"):
        said = "The function is not allowed in an update expression" if name in _KNOWN else "Invalid function name"
        raise reader.wrong(f"{said}; function: {name}")
    if name == "list_append" and depth:
        raise reader.wrong(f"The function is not allowed to be used this way in an expression; function: {name}")
    if depth > MAX_PATH:  # no sense, and a depth of calls
        raise reader.wrong("The expression has too many nested functions;")
    reader.take()
    reader.expect("(")
    operands = [_source(reader, depth + 1)]
    while reader.skip(","):
        operands.append(_source(reader, depth + 1))
    reader.expect(")")
    if len(operands) != 2:
        raise reader.wrong(
            "Incorrect number of operands for operator or function;"
            f" operator or function: {name}, number of operands: {len(operands)}"
        )
    if name == "if_not_exists" and not isinstance(operands[0], At):
        raise reader.wrong("Operator or function requires a document path; operator or function: if_not_exists")
    return Made(name, tuple(operands))
