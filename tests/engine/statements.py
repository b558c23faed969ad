"""Random PartiQL statements, and what two engines may answer differently: each kind by a named rule with its authority."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

from .conftest import index, table
from .sequences import CANCELLED, error, plain

TABLE = table(
    "wide",
    "pk",
    "sk",
    types={"sk": "N", "g": "S", "s": "S"},
    on_global=(index("all", "g"),),
    on_local=(index("local", "pk", "s", projection="KEYS_ONLY"),),
)
VALUES = (
    "'a'", "'ab'", "''", "1", "-2.5", "1e2", "TRUE", "false", "NULL", "[]", "[1, 'a']", "{}", "{'a': 1, 'b': [1]}", "<<'a', 'b'>>", "<<1, 2>>",
)  # fmt: skip
NAMES = ("v", "w", "m", "l", "t")
PATHS = (*NAMES, "m.a", "m.b[0]", "l[0]", "l[9]", "zz")


class Statements:
    """Requests drawn one after another. ``rng`` decides everything."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def request(self) -> tuple[str, dict[str, Any]]:
        """An operation and its request."""
        kind = self.rng.choice(("one",) * 8 + ("batch", "reads", "writes"))
        if kind == "one":
            request: dict[str, Any] = {"Statement": self.statement()}
            # Items with one key of an index have no order, so which of them come first is nobody's promise.
            limited = request["Statement"].startswith("SELECT") and '"wide".' not in request["Statement"]
            if limited and self.rng.random() < 0.2:
                request["Limit"] = self.rng.randint(1, 4)
            return "ExecuteStatement", request
        if kind == "batch":
            draw = self.read if self.rng.random() < 0.4 else self.write
            # DynamoDB Local refuses two statements of one item, and carries the first one out.
            distinct = {_key(one): one for one in self.some(draw)}
            return "BatchExecuteStatement", {"Statements": [{"Statement": one} for one in distinct.values()]}
        draw = self.read if kind == "reads" else self.write
        return "ExecuteTransaction", {"TransactStatements": [{"Statement": one} for one in self.some(draw)]}

    def some(self, draw: Any) -> list[str]:
        return [draw() for _ in range(self.rng.randint(1, 3))]

    def statement(self) -> str:
        return self.select() if self.rng.random() < 0.5 else self.write()

    def key(self) -> str:
        return f"pk = '{self.rng.choice('xy')}' AND sk = {self.rng.randint(-1, 3)}"

    def condition(self) -> str:
        rng = self.rng
        parts = [self.test() for _ in range(rng.choice((1, 1, 2, 3)))]
        text = parts[0]
        for part in parts[1:]:
            text = f"{text} {rng.choice(('AND', 'OR'))} {rng.choice(('', 'NOT '))}{part}"
        return f"({text})"

    def test(self) -> str:
        rng, path = self.rng, self.rng.choice(PATHS)
        kind = rng.random()
        if kind < 0.4:
            return f"{path} {rng.choice(('=', '<>', '<', '<=', '>', '>='))} {rng.choice(VALUES)}"
        if kind < 0.5:
            return f"{path} IS {rng.choice(('', 'NOT '))}{rng.choice(('MISSING', 'NULL'))}"
        if kind < 0.6:
            return f"{rng.choice(('begins_with', 'contains'))}({path}, {rng.choice(VALUES)})"
        if kind < 0.7:
            return f"size({path}) {rng.choice(('=', '<', '>='))} {rng.randint(0, 3)}"
        if kind < 0.8:
            return f"{path} {rng.choice(('', 'NOT '))}IN [{rng.choice(VALUES)}, {rng.choice(VALUES)}]"
        if kind < 0.9:
            low, high = sorted((rng.randint(-3, 3), rng.randint(-3, 3)))
            return f"{path} {rng.choice(('', 'NOT '))}BETWEEN {low} AND {high}"
        return f"attribute_type({path}, '{rng.choice(('S', 'N', 'L', 'M', 'NULL', 'SS'))}')"

    def select(self) -> str:
        rng = self.rng
        columns = "*" if rng.random() < 0.5 else ", ".join(rng.sample(PATHS, rng.randint(1, 2)))
        where = rng.choice(("scan", "pk", "pk", "key", "range", "in", "all", "local"))
        source, test = "wide", ""
        if where == "all":
            source, test = '"wide"."all"', f"g = '{rng.choice('gh')}'"
        elif where == "local":
            source, test = '"wide"."local"', f"pk = '{rng.choice('xy')}' AND begins_with(s, 's')"
        elif where == "key":
            test = self.key()
        elif where == "range":
            test = f"pk = 'x' AND sk {rng.choice(('<', '<=', '>', '>='))} {rng.randint(-2, 4)}"
        elif where == "in":
            test = "pk IN ['x', 'y']"
        elif where == "pk":
            test = f"pk = '{rng.choice('xyz')}'"
        parts = [one for one in (test, self.condition() if rng.random() < 0.4 else "") if one]
        text = f"SELECT {columns} FROM {source}" + (f" WHERE {' AND '.join(parts)}" if parts else "")
        return text + (" ORDER BY sk" if where in ("pk", "range") and rng.random() < 0.2 else "")

    def read(self) -> str:
        columns = self.rng.choice(("*", "v", "m.a", "sk, v"))
        key = self.key() if self.rng.random() < 0.95 else "pk = 'x'"
        return f"SELECT {columns} FROM wide WHERE {key}"

    def write(self) -> str:
        return self.rng.choice((self.insert, self.insert, self.update, self.update, self.update, self.delete))()

    def insert(self) -> str:
        rng = self.rng
        entries = [f"'pk': '{rng.choice('xy')}'", f"'sk': {rng.randint(-1, 3)}"]
        entries += [f"'{name}': {rng.choice(VALUES)}" for name in NAMES if rng.random() < 0.6]
        entries += [f"'g': '{rng.choice('gh')}'"] if rng.random() < 0.7 else []
        entries += [f"'s': '{rng.choice('st')}'"] if rng.random() < 0.7 else []
        return f"INSERT INTO wide VALUE {{{', '.join(entries)}}}"

    def update(self) -> str:
        rng, parts = self.rng, []
        for path in rng.sample(PATHS, rng.choice((1, 1, 2))):
            kind = rng.random()
            if kind < 0.4:
                parts.append(f"SET {path} = {rng.choice(VALUES)}")
            elif kind < 0.55:
                parts.append(f"SET {path} = {path} {rng.choice('+-')} {rng.choice(('1', '2.5'))}")
            elif kind < 0.62:
                parts.append(f"SET {path} = {rng.choice(NAMES)}")
            elif kind < 0.7:
                parts.append(f"SET {path} = list_append({path}, ['z'])")
            elif kind < 0.78:
                parts.append(f"SET {path} = {rng.choice(('set_add', 'set_delete'))}({path}, <<'a', 'q'>>)")
            elif kind < 0.84:
                parts.append(f"SET {path} = if_not_exists({path}, {rng.choice(VALUES)})")
            else:
                parts.append(f"REMOVE {path}")
        returning = rng.choice(("", "", " RETURNING ALL OLD *", " RETURNING ALL NEW *", " RETURNING MODIFIED NEW *"))
        condition = f" AND {self.condition()}" if rng.random() < 0.3 else ""
        return f"UPDATE wide {' '.join(parts)} WHERE {self.key()}{condition}{returning}"

    def delete(self) -> str:
        condition = f" AND {self.condition()}" if self.rng.random() < 0.3 else ""
        return f"DELETE FROM wide WHERE {self.key()}{condition}{self.rng.choice(('', ' RETURNING ALL OLD *'))}"


_KEY = re.compile(r"pk'?[ :=]+'(.)'.{1,6}sk'?[ :=]+(-?[0-9]+)").search


def _key(statement: str) -> tuple[str, ...]:
    """The key that a statement names."""
    found = _KEY(statement)
    return (statement,) if found is None else found.groups()


def texts(request: dict[str, Any]) -> list[str]:
    """The statements of a request."""
    if "Statement" in request:
        return [request["Statement"]]
    return [one["Statement"] for one in request.get("Statements") or request["TransactStatements"]]


class Rules:
    """Compares two answers; counts what is left out, by the name of the rule."""

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        self.compared = 0

    def differ(self, operation: str, request: dict[str, Any], ours: tuple[int, Any], theirs: tuple[int, Any]) -> bool:
        """Whether two answers differ where they may not."""
        self.compared += 1
        if seen(*ours) == seen(*theirs):
            return False
        rule = self.rule(operation, request, ours, theirs)
        if rule is None:
            return True
        self.left_out[rule] += 1
        return False

    def rule(
        self, operation: str, request: dict[str, Any], ours: tuple[int, Any], theirs: tuple[int, Any]
    ) -> str | None:
        """The rule that leaves a pair of answers out, None where they are compared. See docs/engines.md."""
        statements = texts(request)
        named = error(ours[1]), error(theirs[1])
        if theirs[0] == 500:
            return "an internal failure of DynamoDB Local"
        if any(one.startswith("DELETE") and "AND (" in one for one in statements):
            return "a DELETE with a condition of an item that is not there (developer guide: success)"
        if operation == "ExecuteTransaction" and named == (CANCELLED, "ValidationException"):
            return "a fault of one write in a transaction (AWS's list of reasons)"
        if (
            operation == "ExecuteTransaction"
            and named == (CANCELLED, CANCELLED)
            and "ValidationError" in codes(ours[1])
        ):
            return "a fault beside a failed condition in a transaction (AWS stops at the fault)"
        nested = any("MODIFIED" in one and any(sign in one for sign in ".[") for one in statements)
        if nested and ours[0] == theirs[0] == 200:
            return "MODIFIED of a nested path (Parity Suite, UPDATED_NEW: the nested attribute alone)"
        if operation == "BatchExecuteStatement" and any("RETURNING" in one for one in statements):
            return "RETURNING of a DELETE in a batch (api: BatchStatementResponse)"
        return None


def codes(body: dict[str, Any]) -> list[str]:
    """The reasons of a cancelled transaction, as the service names them."""
    return [one["Code"] for one in body.get("CancellationReasons", ())]


def seen(status: int, body: dict[str, Any]) -> Any:
    """What of an answer is compared."""
    if status != 200:
        name = error(body) or str(body.get("__type", ""))
        return status, name.removesuffix("Exception")
    found = plain({name: one for name, one in body.items() if name not in ("NextToken", "LastEvaluatedKey")})
    if isinstance(found.get("Items"), list):
        found["Items"] = sorted(map(repr, map(_sorted, found["Items"])))
    for one in found.get("Responses", ()):
        one.get("Error", {}).pop("Message", None)
    return status, found, "NextToken" in body


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((name, _sorted(one)) for name, one in value.items())
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    return [_sorted(one) for one in value] if isinstance(value, list) else value
