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
from typing import Any, Final

from dynamorm.engine.expressions.grammar import At, Made, Operand, Path
from dynamorm.engine.partiql.conditions import Conditions
from dynamorm.engine.partiql.tokens import malformed
from dynamorm.engine.partiql.trees import Statement
from dynamorm.engine.partiql.values import MAX_DEPTH
from dynamorm.engine.refusal import invalid

_SOURCES: Final = frozenset({"list_append", "if_not_exists"})
_OF_SETS: Final = frozenset({"set_add", "set_delete"})


@lru_cache(1024)
def parsed(text: str) -> Statement:
    """The statement that a text says. Raises: Refusal."""
    return _Parser(text).statement()


class _Parser(Conditions):
    """Reads one statement."""

    terms = 0

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
