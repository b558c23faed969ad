"""How conditions of statements are read: in the order in which they are worked out. It must not know statements."""

from __future__ import annotations

from typing import Final

from dynamorm.engine.expressions.grammar import At, Made, Operand, Test
from dynamorm.engine.partiql.tokens import malformed
from dynamorm.engine.partiql.trees import Where, alone, joined, negated
from dynamorm.engine.partiql.values import Values
from dynamorm.engine.refusal import invalid

MAX_IN: Final = 100

_COMPARATORS: Final = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TESTS: Final = {"attribute_type": 2, "begins_with": 2, "contains": 2, "attribute_exists": 1, "attribute_not_exists": 1}
"""Functions that are true or false, and how many operands they take."""
_RANK: Final = {"OR": 1, "AND": 2, "NOT": 3}


class Conditions(Values):
    """Reads conditions."""

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
                    joined(output, waiting.pop())
                waiting.pop()
                depth -= 1
            word = reader.word
            if word not in ("AND", "OR"):
                break
            reader.take()
            while waiting and waiting[-1] != "(" and _RANK[waiting[-1]] >= _RANK[word]:
                joined(output, waiting.pop())
            waiting.append(word)
        if depth:
            raise reader.wrong()
        while waiting:
            joined(output, waiting.pop())
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
            return alone(Test(_COMPARATORS[token.text], (first, self.operand())))
        if reader.says("IS"):
            return self.kind_of(first)
        is_negated = reader.says("NOT")
        if reader.says("BETWEEN"):
            low = self.operand()
            reader.demand("AND")
            test = alone(Test("BETWEEN", (first, low, self.operand())))
        elif reader.says("IN"):
            test = alone(Test("IN", (first, *self.choices())))
        else:
            raise reader.wrong()
        return negated(test) if is_negated else test

    def function(self, name: str) -> Where:
        """A function that is true or false."""
        count = _TESTS[name]
        operands = self.arguments(count)
        if count == 1 and not isinstance(operands[0], At):
            raise malformed(f"{name} takes a path")
        return alone(Test(name, operands))

    def kind_of(self, first: Operand) -> Where:
        """``IS [NOT] MISSING`` and ``IS [NOT] NULL``."""
        reader = self.reader
        is_negated = reader.says("NOT")
        if not isinstance(first, At):
            raise reader.wrong()
        if reader.says("MISSING"):
            return alone(Test("attribute_exists" if is_negated else "attribute_not_exists", (first,)))
        reader.demand("NULL")
        null = alone(Test("attribute_type", (first, self.given({"S": "NULL"}))))
        return negated(null) if is_negated else null

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
