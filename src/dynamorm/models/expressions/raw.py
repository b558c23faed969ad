"""`raw`: an update or a condition in DynamoDB's own text, read into the same trees as those of paths.

So it is checked, encoded, joined with others and written again as they are: no text of a caller reaches DynamoDB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final, get_args

from dynamorm.errors import ValidationError
from dynamorm.models.schema.schema import SCHEMAS, Field, Schema

from .elements import Elements
from .path import Path, Size, Sum
from .raw_text import NAME, VALUE, Text
from .tree import Condition, Update, refuse

_CLAUSES: Final = frozenset({"SET", "REMOVE", "ADD", "DELETE"})
_COMPARED: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def raw(
    text: str,
    /,
    *,
    names: Mapping[str, Path[Any] | str] | None = None,
    values: Mapping[str, Any] | None = None,
    model: type[Any] | None = None,
) -> Any:
    """An expression in DynamoDB's own text, for a verb: an update where it begins with SET, REMOVE, ADD or DELETE, else a condition.

    ``names`` are the placeholders of attributes, ``{"#a": Payment.amount}``; with a ``model`` they may be stored names, and such
    names may stand in the text. ``values`` are the placeholders of values, which are given as Python values.
    The text is read here, and means what the methods of paths mean: what is missing, versions, unique and encrypted attributes
    are as with them, and what they refuse is refused.

    Raises: ValidationError for a text that is no expression, or that no method of a path says; for a placeholder that is not
    given, or not used; and for an attribute that the model does not have.

    Example: ``db.update(payment, raw("SET #a = #a + :n REMOVE #t", names={"#a": Payment.amount, "#t": Payment.note}, values={":n": 5}))``
    """
    if not isinstance(text, str):
        raise ValidationError(f"raw takes the text of an expression, got {type(text).__name__}")
    try:
        return _Reader(text, names, values, model).read()
    except RecursionError:
        raise ValidationError("raw: the text is nested too deep") from None


class _Function:
    """What an update computes from: ``if_not_exists`` and ``list_append``, with their operands."""

    def __init__(self, name: str, operands: tuple[Any, Any]) -> None:
        self.name = name
        self.operands = operands


class _Value:
    """A value that was given."""

    def __init__(self, value: Any) -> None:
        self.value = value


class _Reader:
    def __init__(self, text: str, names: Any, values: Any, model: Any) -> None:
        self._text = Text(text)
        self._names = _given("names", names, NAME)
        self._values = _given("values", values, VALUE)
        self._unused = {*self._names, *self._values}
        self._schema: Schema | None = None
        if model is not None:
            self._schema = SCHEMAS.get(model) if isinstance(model, type) else None
            if self._schema is None:
                raise ValidationError("raw: model takes the class of a model", field="model")

    def read(self) -> Update | Condition:
        """The update or the condition."""
        found = self._update() if self._text.word in _CLAUSES else self._either()
        if self._text.next:
            raise self._text.wrong("it goes on where it should end")
        if self._unused:
            raise ValidationError(f"raw: {', '.join(sorted(self._unused))} is given and not used in the text")
        return found

    # Conditions

    def _either(self) -> Condition:
        found = self._both()
        while self._text.skip("OR"):
            found |= self._both()
        return found

    def _both(self) -> Condition:
        found = self._negated()
        while self._text.skip("AND"):
            found &= self._negated()
        return found

    def _negated(self) -> Condition:
        if self._text.skip("NOT"):
            return ~self._negated()
        if self._text.skip("("):
            found = self._either()
            self._text.expect(")")
            return found
        return self._test()

    def _test(self) -> Condition:
        text = self._text
        if text.calls and text.next != "size":
            return self._function()
        left = self._operand()
        if text.next in _COMPARED:
            op = text.take()
            right = self._operand()
            if isinstance(left, _Value):
                left, right, op = right, left, _TURNED.get(op, op)
            if isinstance(left, _Value) or (isinstance(right, Size) and isinstance(left, Size)):
                raise text.wrong("two values, or two sizes, are compared; one side is an attribute")
            if isinstance(right, Size):
                left, right, op = right, left, _TURNED.get(op, op)
            found: Condition = _COMPARED[op](left, _plain(right))
            return found
        if isinstance(left, _Value):
            raise text.wrong("a value stands where an attribute belongs")
        if text.skip("BETWEEN"):
            low = self._operand()
            text.expect("AND")
            between: Condition = left.between(_plain(low), _plain(self._operand()))
            return between
        if text.skip("IN") and isinstance(left, Path):
            text.expect("(")
            others = [_plain(self._operand())]
            while text.skip(","):
                others.append(_plain(self._operand()))
            text.expect(")")
            return left.in_(others)
        raise text.wrong("a comparison is missing")

    def _function(self) -> Condition:
        text = self._text
        name = text.take()
        text.expect("(")
        path = self._path()
        tests: dict[str, Callable[[Any], Condition]] = {
            "begins_with": path.begins_with,
            "contains": path.contains,
            "attribute_type": path.attribute_type,
        }
        if name in {"attribute_exists", "attribute_not_exists"}:
            found = path.exists() if name == "attribute_exists" else path.not_exists()
        elif name in tests:
            text.expect(",")
            found = tests[name](_plain(self._operand()))
        else:
            raise text.wrong("there is no such function of conditions" + _nearest(name, [*tests, "attribute_exists"]))
        text.expect(")")
        return found

    def _operand(self) -> Any:
        """A value, a path, or the size of one."""
        text = self._text
        if text.next[:1] == ":":
            return self._value()
        if text.calls:
            if text.take() != "size":
                raise text.wrong("this function is not compared")
            text.expect("(")
            path = self._path()
            text.expect(")")
            return path.size()
        return self._path()

    # Updates

    def _update(self) -> Update:
        text = self._text
        clauses: dict[str, Callable[[], Update]] = {
            "SET": self._set,
            "REMOVE": lambda: self._path().remove(),
            "ADD": lambda: self._path().add(self._value().value),
            "DELETE": lambda: self._path().delete(self._value().value),
        }
        found: list[Update] = []
        while text.next:
            if text.word not in clauses:
                raise text.wrong("SET, REMOVE, ADD or DELETE is missing, or stands there twice")
            clause = clauses.pop(text.take().upper())
            found.append(clause())
            while text.skip(","):
                found.append(clause())
        first, *others = found
        return Update(first.kind, first.path, first.value, first.start, first.where, (*first.also, *others))

    def _set(self) -> Update:
        text = self._text
        target = self._path()
        text.expect("=")
        left = self._source()
        if text.next in {"+", "-"}:
            op = text.take()
            return self._sum(target, op, left, self._source())
        if isinstance(left, _Function):
            return self._made(target, left)
        return target.set(_plain(left))

    def _sum(self, target: Path[Any], op: str, left: Any, right: Any) -> Update:
        if isinstance(left, _Function) and left.name == "if_not_exists":
            place, start = left.operands
            if place.stored == target.stored and isinstance(start, _Value) and isinstance(right, _Value):
                number = right.value
                if isinstance(number, bool) or not isinstance(number, (int, float, Decimal)):
                    raise refuse(target, "only a number is added, or taken away")
                return target.add(-number if op == "-" else number, start=start.value)
        if isinstance(left, _Function) or isinstance(right, _Function):
            raise refuse(
                target,
                "a sum of if_not_exists(...) is that of the attribute itself, with a value: a = if_not_exists(a, :s) + :n",
            )
        if isinstance(left, _Value) and isinstance(right, _Value):
            raise refuse(target, "is set to a sum of two values: give the sum")
        if isinstance(left, _Value):
            return target.set(left.value + right if op == "+" else left.value - right)
        return target.set(left + _plain(right) if op == "+" else left - _plain(right))

    def _made(self, target: Path[Any], made: _Function) -> Update:
        left, right = made.operands
        if made.name == "if_not_exists":
            if left.stored != target.stored or isinstance(right, _Function):
                raise refuse(target, "if_not_exists takes the attribute that is set, and a value or another attribute")
            return target.if_not_exists(_plain(right))
        if isinstance(left, _Function) and isinstance(right, _Value):
            place, start = left.operands
            if (
                left.name == "if_not_exists"
                and place.stored == target.stored
                and isinstance(start, _Value)
                and start.value in ([], ())
            ):
                return target.extend_or_create(right.value)
        if isinstance(left, _Function) or isinstance(right, _Function):
            raise refuse(
                target, "list_append takes attributes and lists, or if_not_exists(a, :empty) of the list that is set"
            )
        if isinstance(left, Path):
            own = left.stored == target.stored and isinstance(right, _Value)
            return target.extend(right.value) if own else target.set(left.concat(_plain(right)))
        if not isinstance(right, Path):
            raise refuse(target, "is set to two lists of values: give one")
        if right.stored == target.stored:
            checked: Any = target.extend(left.value).value
            return Update("extend", target, Elements(checked.values, in_front=True))
        right.concat(left.value)  # it is a list
        return target.set(Sum("list_append", (left.value, right)))

    def _source(self) -> Any:
        text = self._text
        if text.next[:1] == ":":
            return self._value()
        if not text.calls:
            return self._path()
        name = text.take()
        if name not in {"if_not_exists", "list_append"}:
            raise text.wrong("there is no such function of updates")
        text.expect("(")
        first = self._path() if name == "if_not_exists" else self._source()
        text.expect(",")
        second = self._source()
        text.expect(")")
        return _Function(name, (first, second))

    # Names and values

    def _value(self) -> _Value:
        token = self._text.next
        if token[:1] != ":":
            raise self._text.wrong("a placeholder of a value is missing, such as :v")
        if token not in self._values:
            raise self._text.wrong(f"the text names {token}, which is not among values")
        self._unused.discard(self._text.take())
        return _Value(self._values[token])

    def _path(self) -> Path[Any]:
        text = self._text
        if text.next[:1] != "#" and not (text.next[:1].isalpha() or text.next[:1] == "_"):
            number = text.next[:1].isdigit()
            raise text.wrong(
                "a value is given by a placeholder, such as :v" if number else "the name of an attribute is missing"
            )
        found = self._name()
        if not isinstance(found, Path):
            found = self._field(found)
        while True:
            if text.skip("."):
                part = self._name()
                found = found[part if isinstance(part, Path) else _inside(found, part)]
            elif text.skip("["):
                index = text.take()
                if not index.isdigit():
                    raise text.wrong("the number of an element is missing")
                found = found[int(index)]
                text.expect("]")
            else:
                return found

    def _name(self) -> Path[Any] | str:
        token = self._text.next
        if token[:1] == "#" and token not in self._names:
            raise self._text.wrong(f"the text names {token}, which is not among names")
        token = self._text.take()
        self._unused.discard(token)
        found: Path[Any] | str = self._names.get(token, token)
        return found

    def _field(self, name: str) -> Path[Any]:
        if self._schema is None:
            raise ValidationError(
                "raw: of a name alone nobody knows whose attribute it is: say names={'#a': Payment.amount}, or model=Payment",
                field="names",
            )
        return Path(_stored_as(self._schema, name))


def _given(what: str, given: Any, form: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValidationError(f"raw: {what} takes a mapping of placeholders, got {type(given).__name__}", field=what)
    for key, value in given.items():
        if not isinstance(key, str) or form.fullmatch(key) is None:
            raise ValidationError(f"raw: a placeholder of {what} is as {'#a' if what == 'names' else ':v'}", field=what)
        if what == "names" and not isinstance(value, (Path, str)):
            raise ValidationError(
                f"raw: {key} is an attribute such as Payment.amount, or its stored name; got {type(value).__name__}",
                field=what,
            )
    return dict(given)


def _stored_as(schema: Schema, name: str) -> Field:
    """The field of a stored name, or of its own. Raises: ValidationError."""
    field = next((one for one in schema.fields.values() if one.stored == name), schema.fields.get(name))
    if field is None:
        raise ValidationError(
            f"raw: {schema.name} has no attribute of that name{_nearest(name, schema.fields)}", field="names"
        )
    return field


def _inside(path: Path[Any], name: str) -> Any:
    """What a name is inside an attribute: a field of the model that lies there, else the key of a map."""
    found = getattr(path.parts[-1], "annotation", None)
    for one in (found, *get_args(found)):
        schema = SCHEMAS.get(one) if isinstance(one, type) else None
        if schema is not None:
            return Path(_stored_as(schema, name))
    return name


def _plain(operand: Any) -> Any:
    return operand.value if isinstance(operand, _Value) else operand


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f": did you mean {near[0]}?" if near else ""
