"""PartiQL statements: bound parameters, whole results, writes exactly once. Returns flows.

A write is sent as a transaction of one statement, whose token makes every attempt the same write. Versions, unique
attributes and everything else the library keeps are not looked after: a statement does what it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.arguments import check_count
from dynamorm.codec.replies.statements import parameter, plain_item, read_responses, read_statement
from dynamorm.codec.replies.table_description import read_table
from dynamorm.codec.strict import dumps, json_of
from dynamorm.effects import Flow
from dynamorm.errors import (
    AlreadyExists,
    CancellationReason,
    ConditionFailed,
    MalformedResponse,
    ModelError,
    Outcome,
    TransactionCancelled,
    ValidationError,
)
from dynamorm.models.schema.schema import SCHEMAS, RuledOption
from dynamorm.ops.calls.op import Op, Safety
from dynamorm.ops.reads.preparing import prepare_each
from dynamorm.ops.requests import ModelRequests
from dynamorm.ops.writes.tokened import Tokened, spending
from dynamorm.ops.writes.transaction_limits import check_token
from dynamorm.wire.reply import ServiceFault

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

MAX_STATEMENT: Final = 8192
"""Characters. Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExecuteStatement.html"""
MAX_STATEMENTS: Final = 100
"""Of one transaction. Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExecuteTransaction.html"""

_GROWTH: Final = 4
"""By how much more each page looks at, while a limit is not reached: a filter may leave little of it."""

_PARTS: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\{table\}|\?""", re.DOTALL)
_TABLE: Final = re.compile(r'\b(?:FROM|INTO|UPDATE)(?:\s*"([^"]+)"|\s+([\w.-]+))(?:\."([^"]+)")?', re.IGNORECASE)
"""Looked for in a statement without its literals and comments, in which another word might stand."""
_VERB: Final = re.compile(r"\s*(\w*)")
_WHOLE: Final = re.compile(r"\s*SELECT\s+\*\s+FROM\b", re.IGNORECASE)
_VERBS: Final = {"SELECT": True, "EXISTS": True, "INSERT": False, "UPDATE": False, "DELETE": False}


class Statement:
    """One statement with its parameters, checked: ``reads`` or writes, of which ``table`` and ``index``."""

    __slots__ = ("index", "plan", "reads", "table", "text", "values")

    def __init__(self, context: Context, text: Any, values: tuple[Any, ...], model: Any) -> None:
        self.plan: ModelRequests | None = None if model is None else context.plan(model)
        if not isinstance(text, str) or not text.strip():
            raise ValidationError("a PartiQL statement is a text, such as 'SELECT * FROM \"payments\" WHERE id = ?'")
        verb = _VERB.match(text)[1].upper()  # type: ignore[index] # it matches any text
        if verb not in _VERBS:
            raise ValidationError("a PartiQL statement begins with SELECT, INSERT, UPDATE or DELETE")
        self.reads: bool = _VERBS[verb]
        if context.scope:
            raise ValidationError(
                "a PartiQL statement is not bound to the scope of a view: use the database that the view was made of"
            )
        if context.finishers and not self.reads:
            raise ValidationError(
                f"the plugin {context.finishers[0][0]} adds to each transaction, which a PartiQL statement passes by: use the"
                " verbs"
            )
        count = 0

        def part(match: re.Match[str]) -> str:
            nonlocal count
            piece = match.group()
            count += piece == "?"
            if piece != "{table}":
                return piece
            if self.plan is None:
                raise ValidationError("{table} stands for the table of a model: give model=", field="model")
            return f'"{self.plan.table}"'

        self.text: str = _PARTS.sub(part, text)
        if len(self.text) > MAX_STATEMENT:
            raise ValidationError(f"the statement has {len(self.text)} characters, the limit is {MAX_STATEMENT}")
        if count != len(values):
            raise ValidationError(f"the statement has {count} times ?, and {len(values)} parameters were given")
        named = _TABLE.search(_PARTS.sub(_names_alone, self.text))
        self.table: str = "" if named is None else named[1] or named[2]
        self.index: str | None = None if named is None else named[3]
        self.values: list[dict[str, Any]] = [parameter(value, place) for place, value in enumerate(values)]
        if not self.reads:
            for look in context.statements:
                look(self.table, self.text, self.values)
            _check_rules(context, self)

    def check_model(self) -> None:
        """Refuse a result that would make objects of a part of an item, or of another model's."""
        plan = self.plan
        if plan is None:
            return
        name = plan.codec.schema.name
        if self.table != plan.table:
            raise ValidationError(
                f"the statement is about another table than {name}'s: write {{table}} in its place", field="model"
            )
        index = plan.codec.schema.indexes.get(self.index) if self.index else None
        index = index or next(
            (candidate for candidate in plan.codec.schema.indexes.values() if candidate.name == self.index), None
        )
        if not _WHOLE.match(self.text) or (self.index and (index is None or index.projection != "ALL")):
            raise ValidationError(
                f"objects of {name} need whole items, that is * of the table, or of an index that projects ALL; without model="
                " there are dicts",
                field="model",
            )

    def request(self) -> dict[str, Any]:
        """As it is sent."""
        return {"Statement": self.text, **({"Parameters": self.values} if self.values else {})}

    def result(self, raw: bytes) -> Any:
        """One item, as an object of the model or a dict."""
        return plain_item(raw) if self.plan is None else self.plan.codec.decode_shown(raw)


def _names_alone(match: re.Match[str]) -> str:
    """Of the parts of a statement: a name in quotes stays, a literal or a comment does not."""
    piece = match.group()
    return piece if piece[0] in '"?{' else " "


def _check_rules(context: Context, statement: Statement) -> None:
    """Refuse a write to a table whose models have rules of plugins or options, which no statement passes by. Raises: ValidationError."""
    name = statement.table.rpartition("/")[2]  # of an ARN, too
    prefix = context.config.table_prefix
    for schema in tuple(SCHEMAS.values()):  # of all models of the program: a rule holds before its model is used, too
        if schema.table is None:
            continue
        stored_schema = schema
        with suppress(ModelError):  # it cannot be used on this database, but its table may be written here
            stored_schema = context.registry.changed(schema)  # a plugin may have given it another table
        if name and not any(name == prefix + (of.table or "") for of in (schema, stored_schema)):
            continue
        for field in stored_schema.fields.values():
            if field.options and field.option(RuledOption) is not None:
                raise ValidationError(
                    f"{schema.name}.{field.name} has a rule for the writes of its model, which a PartiQL statement passes by:"
                    " use the verbs",
                    table=statement.table or None,
                )
        for plugin, rule_of in context.write_rules:
            rule = rule_of(stored_schema)
            if rule is not None and not rule.allows_statement(statement.text, statement.values):
                raise ValidationError(
                    f"the plugin {plugin} has a rule for the writes of {schema.name}, which a PartiQL statement passes by: use"
                    " the verbs, or a database without the plugin",
                    table=statement.table or None,
                )


def execute(
    context: Context, text: Any, values: tuple[Any, ...], *, model: Any, consistent: bool, limit: Any
) -> Flow[list[Any]]:
    """Run one statement; everything it finds."""
    statement = Statement(context, text, values, model)
    if not statement.reads:
        if consistent or limit is not None:
            raise ValidationError("consistent and limit are for SELECT")
        return _written(context, [statement], None)
    if limit is not None:
        check_count("limit", limit)
    statement.check_model()
    return _found(context, statement, consistent=consistent, limit=limit)


def _found(context: Context, statement: Statement, *, consistent: bool, limit: int | None) -> Flow[list[Any]]:
    request = statement.request()
    if consistent:
        request["ConsistentRead"] = True
    results: list[Any] = []
    seen: set[str] = set()
    size = limit
    while True:
        if size is not None:
            request["Limit"] = size
            size *= _GROWTH
        op = Op("ExecuteStatement", statement.table, _json(request), read_statement)
        op.prepare = None if statement.plan is None else statement.plan.prepare
        raws, token = yield from context.call(op)
        for raw in raws:
            if (result := statement.result(raw)) is not None:
                results.append(result)
            if len(results) == limit:
                return results
        if token is None:
            return results
        if token in seen:
            raise MalformedResponse(
                "the same page was given twice",
                outcome=Outcome.NOT_APPLIED,
                operation="ExecuteStatement",
                table=statement.table,
            )
        seen.add(token)
        request["NextToken"] = token


def transaction(context: Context, statements: Any, *, token: str | None) -> Flow[list[Any]]:
    """Run several statements, all of them or none; for reads, what each found."""
    if isinstance(statements, (str, bytes)) or not isinstance(statements, Iterable):
        raise ValidationError('partiql_transaction takes a list of tuples: [("UPDATE ...", parameter, ...)]')
    prepared = []
    for place, entry in enumerate(statements):
        given = entry if isinstance(entry, tuple) else (entry,)
        try:
            prepared.append(Statement(context, given[0] if given else None, given[1:], None))
        except ValidationError as error:
            error.about(f"statements[{place}]")
            raise
    if not 1 <= len(prepared) <= MAX_STATEMENTS:
        raise ValidationError(f"a transaction has 1 to {MAX_STATEMENTS} statements, this one has {len(prepared)}")
    if len({statement.reads for statement in prepared if not _is_check(statement)}) > 1:
        raise ValidationError("a PartiQL transaction either reads or writes: DynamoDB does not take both in one")
    return _written(context, prepared, check_token(token))


def _is_check(statement: Statement) -> bool:
    return statement.text.lstrip()[:6].upper() == "EXISTS"


def _written(context: Context, statements: list[Statement], given: str | None) -> Flow[list[Any]]:
    """One ExecuteTransaction, sent again with the same token until it is answered."""
    reads = all(statement.reads for statement in statements)
    token = context.random_bytes(16).hex() if given is None else given
    op = Op(
        "ExecuteTransaction",
        ", ".join(sorted({statement.table for statement in statements})),
        _json({"TransactStatements": [statement.request() for statement in statements], "ClientRequestToken": token}),
        lambda reply: read_responses(reply, len(statements), reads=reads),
        Safety.READ if reads else Safety.RESEND,
        lambda fault, _, info: _refused(fault, info),
        token=token.encode() if given else bytes.fromhex(token),
    )
    op.parts = len(statements)
    if not reads:
        spend = partial(_spending, context, statements[0])
        yield from Tokened(context, op, token, spend, _nothing_more, given=given is not None).send()
        return []
    op.prepare = prepare_each([one.plan for one in statements])
    raws = yield from context.call(op)
    return [None if raw is None else statement.result(raw) for statement, raw in zip(statements, raws, strict=True)]


def _nothing_more(_: float) -> Flow[None]:
    """A statement changes no object in memory."""
    return
    yield


_ANY_KEY: Final = {"S": {"S": "~spent"}, "N": {"N": "0"}, "B": {"B": "AA=="}}
"""The item that is looked at to spend a token. It need not exist, and a statement does not tell which one it writes."""


def _spending(context: Context, statement: Statement, token: str) -> Flow[Op]:
    """The call that spends the token. A token is one for statements and other transactions."""
    plan = statement.plan
    if plan is None:
        types = yield from _key_types(context, statement.table)
    else:
        fields = (plan.partition,) if plan.sort is None else (plan.partition, plan.sort)
        types = {field.stored: plan.key_type(field.name) for field in fields}
    key = dumps({name: _ANY_KEY[kind] for name, kind in types.items()})
    return spending(statement.table, key, tuple(types), token)


def _key_types(context: Context, table: str) -> Flow[dict[str, str]]:
    """The stored names and types of a table's key, in order."""
    description = yield from context.call(Op("DescribeTable", table, _json({"TableName": table}), read_table))
    names = [description.partition] if description.sort is None else [description.partition, description.sort]
    return {name: description.key_types[name] for name in names}


def _refused(fault: ServiceFault, info: dict[str, Any]) -> Any:
    """The transaction was cancelled; its token proves that nothing of it was applied yet."""
    codes = [(reason.code or "", reason.message) for reason in fault.cancellation]
    if fault.code == "ConditionalCheckFailedException":
        codes = [("ConditionalCheckFailed", fault.message)]
    if len(codes) == 1:
        code, text = codes[0][0].removesuffix("Exception"), codes[0][1] or fault.message
        if code == "ConditionalCheckFailed":
            raise ConditionFailed("the item is not there, or not as the statement demands", **info)
        if code == "DuplicateItem":
            raise AlreadyExists("an item with this key exists already", **info)
        if code == "ValidationError":
            raise ValidationError(text, **info).quoting(text)
    reasons = [None if code in ("", "None") else CancellationReason(code, text) for code, text in codes]
    refusal = TransactionCancelled(fault.message or "the transaction was cancelled", reasons=reasons, **info)
    raise refusal.quoting(fault.message)


def _json(request: dict[str, Any]) -> bytes:
    raw = json_of(request)
    if raw is None:
        raise ValidationError("the statement or one of its parameters is not valid Unicode")
    return raw
