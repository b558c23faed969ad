"""The grammar of PartiQL for DynamoDB; text in, trees out. It must not know tables, parameters or items.

::

    statement = select | insert | update | delete | "EXISTS" "(" select ")"
    select    = "SELECT" ("*" | path { "," path }) "FROM" table [ "." index ] [ "WHERE" condition ]
                [ "ORDER" "BY" path [ "ASC" | "DESC" ] { "," ... } ]
    insert    = "INSERT" "INTO" table "VALUE" value
    update    = "UPDATE" table { "SET" path "=" term { "," ... } | "REMOVE" path } "WHERE" condition
                [ "RETURNING" ("ALL" | "MODIFIED") ("OLD" | "NEW") "*" ]
    delete    = "DELETE" "FROM" table "WHERE" condition [ "RETURNING" "ALL" "OLD" "*" ]
    condition = ["NOT"] ( test | "(" condition ")" ) { ("AND" | "OR") condition }
    test      = operand ("=" | "<>" | "!=" | "<" | "<=" | ">" | ">=") operand | operand ["NOT"] "BETWEEN" operand "AND" operand
              | operand ["NOT"] "IN" ( "[" | "(" ) operand { "," operand } ( "]" | ")" ) | path "IS" ["NOT"] ("MISSING" | "NULL")
              | ("attribute_type" | "begins_with" | "contains") "(" operand "," operand ")"
              | ("attribute_exists" | "attribute_not_exists") "(" path ")"
    operand   = path | value | "size" "(" path ")"
    path      = name { "." name | "[" number "]" | "[" text "]" }
    value     = "?" | text | number | TRUE | FALSE | NULL | "[" values "]" | "{" text ":" value ... "}" | "<<" values ">>" | "(" value ")"
    term      = source { ("+" | "-") source }
    source    = path | value | "(" term ")" | ("list_append" | "if_not_exists") "(" term "," term ")"
              | ("set_add" | "set_delete") "(" path "," term ")", of the path that is set, and nothing else

Statements may end with ";".

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.select.html and its neighbours.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from dynamorm.engine.expressions.grammar import At, Condition, Given, Made, Operand, Path, Test
from dynamorm.engine.partiql.tokens import KEYWORDS, Reader, malformed
from dynamorm.engine.refusal import Refusal, invalid

MAX_IN: Final = 100
MAX_DEPTH: Final = 40
"""Levels of values in values, of which no item has more than 32."""

_COMPARATORS: Final = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TESTS: Final = {"attribute_type": 2, "begins_with": 2, "contains": 2, "attribute_exists": 1, "attribute_not_exists": 1}
"""Functions that are true or false, and how many operands they take."""
_SOURCES: Final = frozenset({"list_append", "if_not_exists"})
_OF_SETS: Final = frozenset({"set_add", "set_delete"})
_RANK: Final = {"OR": 1, "AND": 2, "NOT": 3}


class Parameter(NamedTuple):
    """A value that the request brings: its place among the parameters."""

    place: int


Template: TypeAlias = Any
"""A value in DynamoDB's JSON, in which parameters may stand in the places of values."""


class Where(NamedTuple):
    """A condition: its parts that ``AND`` joins, and the whole."""

    parts: tuple[Condition, ...]
    whole: Condition


class Statement(NamedTuple):
    """A statement. ``kind``: SELECT, INSERT, UPDATE, DELETE or EXISTS; names and values stand under placeholders."""

    kind: str
    table: str
    names: dict[str, str]
    values: dict[str, Template]
    parameters: int
    of_index: str | None = None
    paths: tuple[Path, ...] | None = None
    where: Where | None = None
    order: tuple[tuple[str, bool], ...] = ()
    item: Template = None
    set: tuple[tuple[Path, Operand], ...] = ()
    remove: tuple[Path, ...] = ()
    returning: str | None = None


@lru_cache(1024)
def parsed(text: str) -> Statement:
    """The statement that a text says. Raises: Refusal."""
    return _Parser(text).statement()


class _Parser:
    """Reads one statement."""

    def __init__(self, text: str) -> None:
        self.reader = Reader(text)
        self.names: dict[str, str] = {}
        self.values: dict[str, Template] = {}
        self.parameters = 0
        self.terms = 0
        self._known: dict[str, str] = {}

    def statement(self) -> Statement:
        """The whole statement."""
        reader = self.reader
        kinds = {
            "SELECT": self.select, "INSERT": self.insert, "UPDATE": self.update, "DELETE": self.delete, "EXISTS": self.exists,
        }  # fmt: skip
        read = kinds.get(reader.word)
        if read is None:
            raise reader.wrong()
        found = read()
        reader.skip(";")
        if reader.next.kind != "end":
            raise reader.wrong()
        return found

    def made(self, kind: str, table: str, **parts: Any) -> Statement:
        """A statement of what was read."""
        return Statement(kind, table, self.names, self.values, self.parameters, **parts)

    def exists(self) -> Statement:
        """``EXISTS(SELECT ...)``."""
        self.reader.take()
        self.reader.expect("(")
        found = self.select()
        self.reader.expect(")")
        return found._replace(kind="EXISTS")

    def select(self) -> Statement:
        """``SELECT ...``."""
        reader = self.reader
        reader.demand("SELECT")
        paths = None
        if not reader.skip("*"):
            paths = tuple(self.listed(self.path))
        reader.demand("FROM")
        table = reader.name()
        index = reader.name() if reader.skip(".") else None
        where = self.where() if reader.says("WHERE") else None
        order: list[tuple[str, bool]] = []
        if reader.says("ORDER", "BY"):
            order = self.listed(self.ordered)
        return self.made("SELECT", table, of_index=index, paths=paths, where=where, order=tuple(order))

    def ordered(self) -> tuple[str, bool]:
        """One name of an ORDER BY, and whether downwards."""
        name = self.reader.name()
        return name, self.reader.says("DESC") or (self.reader.says("ASC") and False)

    def insert(self) -> Statement:
        """``INSERT INTO ...``."""
        self.reader.demand("INSERT", "INTO")
        table = self.reader.name()
        self.reader.demand("VALUE")
        if not self.reader.sees("{"):
            raise invalid("An item is a map: INSERT INTO table VALUE {'name': value}")
        return self.made("INSERT", table, item=self.value())

    def update(self) -> Statement:
        """``UPDATE ...``."""
        reader = self.reader
        reader.demand("UPDATE")
        table = reader.name()
        written: list[tuple[Path, Operand]] = []
        removed: list[Path] = []
        while True:
            if reader.says("SET"):
                written += self.listed(self.assignment)
            elif reader.says("REMOVE"):
                removed.append(self.path())
            else:
                break
        if not written and not removed:
            raise reader.wrong()
        reader.demand("WHERE")
        where = self.where()
        return self.made(
            "UPDATE", table, where=where, set=tuple(written), remove=tuple(removed), returning=self.returning()
        )

    def assignment(self) -> tuple[Path, Operand]:
        """``path = term``."""
        path = self.path()
        self.reader.expect("=")
        token = self.reader.next
        if token.kind == "word" and token.text.lower() in _OF_SETS and self.calls():
            return path, self.changed_set(path)
        return path, self.sum()

    def changed_set(self, path: Path) -> Operand:
        """``set_add(path, set)`` and ``set_delete(path, set)``."""
        function = self.reader.take().text.lower()
        left, right = self.pair()
        if left != At(path):
            raise invalid(f"The first argument to {function.upper()} must equal the assignment value")
        return Made(function, (left, right))

    def delete(self) -> Statement:
        """``DELETE FROM ...``."""
        self.reader.demand("DELETE", "FROM")
        table = self.reader.name()
        self.reader.demand("WHERE")
        where = self.where()
        returning = self.returning()
        if returning not in (None, "ALL_OLD"):
            raise invalid("A DELETE statement returns ALL OLD * or nothing")
        return self.made("DELETE", table, where=where, returning=returning)

    def returning(self) -> str | None:
        """What a write answers, by the name that UpdateItem has for it."""
        reader = self.reader
        if not reader.says("RETURNING"):
            return None
        for words, name in (
            (("ALL", "OLD"), "ALL_OLD"),
            (("ALL", "NEW"), "ALL_NEW"),
            (("MODIFIED", "OLD"), "UPDATED_OLD"),
            (("MODIFIED", "NEW"), "UPDATED_NEW"),
        ):
            if reader.says(*words):
                reader.expect("*")
                return name
        raise reader.wrong()

    def listed(self, read: Any) -> list[Any]:
        """One or more, with commas between them."""
        found = [read()]
        while self.reader.skip(","):
            found.append(read())
        return found

    # Conditions: the order in which they are worked out, and the parts that AND joins.

    def where(self) -> Where:
        """A condition."""
        reader = self.reader
        output: list[Where] = []
        waiting: list[str] = []
        depth = 0
        while True:
            while True:  # before an operand
                if reader.says("NOT"):
                    waiting.append("NOT")
                elif reader.sees("("):
                    reader.take()
                    waiting.append("(")
                    depth += 1
                else:
                    break
            output.append(self.test())
            while depth and reader.skip(")"):
                while waiting[-1] != "(":
                    _joined(output, waiting.pop())
                waiting.pop()
                depth -= 1
            word = reader.word
            if word not in ("AND", "OR"):
                break
            reader.take()
            while waiting and waiting[-1] != "(" and _RANK[waiting[-1]] >= _RANK[word]:
                _joined(output, waiting.pop())
            waiting.append(word)
        if depth:
            raise reader.wrong()
        while waiting:
            _joined(output, waiting.pop())
        return output[0]

    def test(self) -> Where:
        """One test."""
        reader = self.reader
        token = reader.next
        function = token.text.lower() if token.kind == "word" else ""
        if function in _TESTS and self.calls():
            reader.take()
            return self.function(function)
        first = self.operand()
        token = reader.next
        if token.kind == "mark" and token.text in _COMPARATORS:
            reader.take()
            return _alone(Test(_COMPARATORS[token.text], (first, self.operand())))
        if reader.says("IS"):
            return self.kind_of(first)
        negated = reader.says("NOT")
        if reader.says("BETWEEN"):
            low = self.operand()
            reader.demand("AND")
            test = _alone(Test("BETWEEN", (first, low, self.operand())))
        elif reader.says("IN"):
            test = _alone(Test("IN", (first, *self.choices())))
        else:
            raise reader.wrong()
        return _negated(test) if negated else test

    def function(self, name: str) -> Where:
        """A function that is true or false."""
        count = _TESTS[name]
        operands = self.arguments(count)
        if count == 1 and not isinstance(operands[0], At):
            raise malformed(f"{name} takes a path")
        return _alone(Test(name, operands))

    def kind_of(self, first: Operand) -> Where:
        """``IS [NOT] MISSING`` and ``IS [NOT] NULL``."""
        reader = self.reader
        negated = reader.says("NOT")
        if not isinstance(first, At):
            raise reader.wrong()
        if reader.says("MISSING"):
            return _alone(Test("attribute_exists" if negated else "attribute_not_exists", (first,)))
        reader.demand("NULL")
        null = _alone(Test("attribute_type", (first, self.given({"S": "NULL"}))))
        return _negated(null) if negated else null

    def choices(self) -> list[Operand]:
        """What follows ``IN``."""
        reader = self.reader
        closing = "]" if reader.skip("[") else ")"
        if closing == ")":
            reader.expect("(")
        found = self.listed(self.operand)
        reader.expect(closing)
        if len(found) > MAX_IN:
            raise invalid(f"IN takes {MAX_IN} values at most")
        return found

    def calls(self) -> bool:
        """Whether the next token is the name of a function: a parenthesis follows."""
        behind = self.reader.tokens[self.reader.place + 1]
        return behind.kind == "mark" and behind.text == "("

    def arguments(self, count: int) -> tuple[Operand, ...]:
        """The operands of a function."""
        self.reader.expect("(")
        found = self.listed(self.operand)
        self.reader.expect(")")
        if len(found) != count:
            raise malformed(f"a function takes {count} operands, not {len(found)}")
        return tuple(found)

    def operand(self) -> Operand:
        """A path, a value or a size."""
        token = self.reader.next
        if token.kind == "word" and token.text.lower() == "size" and self.calls():
            self.reader.take()
            return Made("size", self.arguments(1))
        return At(self.path()) if self.names_something() else self.given(self.value())

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

    # What updates assign

    def sum(self) -> Operand:
        """``source {(+ | -) source}``."""
        found = self.source()
        while self.reader.sees("+") or self.reader.sees("-"):
            self.count()
            found = Made(self.reader.take().text, (found, self.source()))
        return found

    def count(self) -> None:
        """Bound how deep terms lie in one another. Raises: Refusal."""
        self.terms += 1
        if self.terms > MAX_DEPTH:
            raise malformed(f"a statement has {MAX_DEPTH} sums and functions at most")

    def source(self) -> Operand:
        """What is assigned, or a part of it."""
        if self.reader.skip("("):
            self.count()
            found = self.sum()
            self.reader.expect(")")
            return found
        token = self.reader.next
        function = token.text.lower() if token.kind == "word" else ""
        if function in _SOURCES and self.calls():
            self.count()
            self.reader.take()
            left, right = self.pair()
            if function == "if_not_exists" and not isinstance(left, At):
                raise malformed("if_not_exists takes a path")
            return Made(function, (left, right))
        return At(self.path()) if self.names_something() else self.given(self.value())

    def pair(self) -> tuple[Operand, Operand]:
        """Two operands of a function."""
        self.reader.expect("(")
        left = self.sum()
        self.reader.expect(",")
        right = self.sum()
        self.reader.expect(")")
        return left, right

    # Values

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


class Members(NamedTuple):
    """The members of a set, whose type is known when the parameters are."""

    elements: tuple[Template, ...]


def _mixed() -> Refusal:
    return invalid("a set has one or more members, all of them texts, numbers or binaries")


def _alone(test: Test) -> Where:
    return Where(((test,),), (test,))


def _negated(where: Where) -> Where:
    whole = (*where.whole, "NOT")
    return Where((whole,), whole)


def _joined(output: list[Where], word: str) -> None:
    """Put an operator behind what it is of."""
    right = output.pop()
    if word == "NOT":
        output.append(_negated(right))
        return
    left = output.pop()
    whole = (*left.whole, *right.whole, word)
    output.append(Where((*left.parts, *right.parts) if word == "AND" else (whole,), whole))
