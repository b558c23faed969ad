"""Requests of the time before expressions, said by expressions. It must not know what either mean.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html
"""

from __future__ import annotations

from typing import Any, Final

from dynamorm.engine.refusal import invalid, wrong_parameter

LEGACY: Final = frozenset(
    {
        "AttributeUpdates",
        "AttributesToGet",
        "ConditionalOperator",
        "Expected",
        "KeyConditions",
        "QueryFilter",
        "ScanFilter",
    }
)

_EXPRESSIONS: Final = (
    "ConditionExpression", "FilterExpression", "KeyConditionExpression", "ProjectionExpression", "UpdateExpression",
    "ExpressionAttributeNames", "ExpressionAttributeValues",
)  # fmt: skip
_FORMS: Final = {
    "EQ": (1, "{0} = {1}"),
    "NE": (1, "{0} <> {1}"),
    "LE": (1, "{0} <= {1}"),
    "LT": (1, "{0} < {1}"),
    "GE": (1, "{0} >= {1}"),
    "GT": (1, "{0} > {1}"),
    "NOT_NULL": (0, "attribute_exists({0})"),
    "NULL": (0, "attribute_not_exists({0})"),
    "CONTAINS": (1, "contains({0}, {1})"),
    "NOT_CONTAINS": (1, "NOT contains({0}, {1})"),
    "BEGINS_WITH": (1, "begins_with({0}, {1})"),
    "BETWEEN": (2, "{0} BETWEEN {1} AND {2}"),
}
"""How many values an operator takes, and the expression that says the same."""


class _Words:
    """The placeholders of a request that is said anew."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, name: str) -> str:
        """The placeholder of a name."""
        key = f"#n{len(self.names)}"
        self.names[key] = name
        return key

    def value(self, value: Any) -> str:
        """The placeholder of a value."""
        key = f":v{len(self.values)}"
        self.values[key] = value
        return key

    def test(self, name: str, operator: str, values: list[Any]) -> str:
        """The expression of one test. Raises: Refusal."""
        count, form = _FORMS.get(operator, (len(values) or 1, ""))
        if len(values) != count:
            raise wrong_parameter(f"Invalid number of argument(s) for the {operator} ComparisonOperator")
        path = self.name(name)
        if operator == "IN":
            return f"{path} IN ({', '.join(map(self.value, values))})"
        return form.format(path, *map(self.value, values))


def modern(request: dict[str, Any]) -> None:
    """Say a request anew, in place, with expressions alone. Raises: Refusal where it mixes both, or is none."""
    older = {name: request.pop(name) for name in LEGACY & request.keys()}
    older = {name: value for name, value in older.items() if value is not None}
    if not older:
        return
    newer = [name for name in _EXPRESSIONS if request.get(name) is not None]
    if newer:
        shown = [name for name in newer if name.endswith("Expression")]
        raise invalid(
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters:"
            f" {{{', '.join(sorted(older))}}} Expression parameters: {{{', '.join(shown or newer)}}}"
        )
    words = _Words()
    joined = f" {older.pop('ConditionalOperator', 'AND')} "
    if older.get("Expected"):
        request["ConditionExpression"] = joined.join(_expected(words, *one) for one in older["Expected"].items())
    if older.get("AttributeUpdates"):
        request["UpdateExpression"] = _update(words, older["AttributeUpdates"])
    if "AttributesToGet" in older:
        _read(request, words, older["AttributesToGet"])
    for member, expression, by in (
        ("KeyConditions", "KeyConditionExpression", " AND "),
        ("QueryFilter", "FilterExpression", joined),
        ("ScanFilter", "FilterExpression", joined),
    ):
        if older.get(member):
            request[expression] = by.join(_compared(words, *one) for one in older[member].items())
    if words.names:
        request["ExpressionAttributeNames"] = words.names
    if words.values:
        request["ExpressionAttributeValues"] = words.values


def _read(request: dict[str, Any], words: _Words, names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise wrong_parameter("Duplicate value in attribute name")
    request["ProjectionExpression"] = ", ".join(map(words.name, names))


def _compared(words: _Words, name: str, condition: dict[str, Any]) -> str:
    return words.test(name, condition["ComparisonOperator"], condition.get("AttributeValueList") or [])


def _expected(words: _Words, name: str, condition: dict[str, Any]) -> str:
    operator, exists, value = condition.get("ComparisonOperator"), condition.get("Exists"), condition.get("Value")
    if operator is not None:
        if exists is not None:
            raise wrong_parameter(f"Exists and ComparisonOperator cannot be used together for Attribute: {name}")
        values = condition.get("AttributeValueList")
        return words.test(name, operator, ([] if value is None else [value]) if values is None else values)
    if exists is False:
        if value is not None:
            raise wrong_parameter(f"Value cannot be used when Exists is set to false for Attribute: {name}")
        return words.test(name, "NULL", [])
    if value is None:
        raise wrong_parameter(
            f"Value must be provided when Exists is {'true' if exists else 'null'} for Attribute: {name}"
        )
    return words.test(name, "EQ", [value])


def _update(words: _Words, updates: dict[str, dict[str, Any]]) -> str:
    parts: dict[str, list[str]] = {}
    for name, one in updates.items():
        action, value = one.get("Action") or "PUT", one.get("Value")
        if value is None:
            if action != "DELETE":
                raise wrong_parameter(f"Only DELETE action is allowed when no attribute value is specified: {name}")
            parts.setdefault("REMOVE", []).append(words.name(name))
        elif action == "PUT":
            parts.setdefault("SET", []).append(f"{words.name(name)} = {words.value(value)}")
        else:
            parts.setdefault(action, []).append(f"{words.name(name)} {words.value(value)}")
    return " ".join(f"{section} {', '.join(found)}" for section, found in parts.items())
