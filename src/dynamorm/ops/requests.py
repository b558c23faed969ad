"""What every request of one model starts with, worked out once: JSON heads, stored names, the rules of its writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dynamorm.codec.codec import ModelCodec
from dynamorm.codec.library_attributes import LibraryAttributes
from dynamorm.codec.money import says_money
from dynamorm.codec.types.shapes import Nullable
from dynamorm.engine.sizes import item_size
from dynamorm.errors import ExpressionTooLarge, ModelError
from dynamorm.models.expressions.tree import Location
from dynamorm.models.schema.schema import SCHEMAS, Field, Schema, Unique, with_subclasses

if TYPE_CHECKING:
    from dynamorm.codec.types.fields import FieldPlan
    from dynamorm.effects import Flow
    from dynamorm.models.expressions.compile import Placeholders
    from dynamorm.ops.reads.read_rules import ReadRules
    from dynamorm.plugin import WriteRule

encode: Final[Callable[..., bytes]] = msgspec.json.encode


class ModelRequests:
    """One model on one context: its codec and the constant parts of its requests.

    ``rules`` are the model's `WriteRule`, by verb, ``read_rules`` those for what is read. ``needs_stored``: one of them must know what a write by key, or a put,
    replaces or removes. ``single_deletes``: a batch cannot delete its items.
    """

    __slots__ = (
        "_operand", "begins", "codec", "contributes", "create_tail", "created", "foresee", "given", "given_list", "given_operands", "given_texts", "guarded", "is_consistent", "kept", "key_head", "key_names", "known_sets", "looked_at", "model",
        "needs_stored", "own", "partition", "prepare", "put_head", "read_head", "read_rules", "rules", "rules_of_batch_deletes", "single_deletes", "sort", "starts", "strict", "table", "tokens", "transforms", "uniques",
        "updated", "version",
    )  # fmt: skip

    def __init__(self, codec: ModelCodec, *, tokens: bool = True, strict: bool = False) -> None:
        schema = codec.schema
        if schema.key is None or not codec.table:
            raise ModelError(
                f"{schema.name} has no table: give the class table=... and a partition_key(), or use it as a nested value"
            )
        self.codec: ModelCodec = codec
        self.own: LibraryAttributes = LibraryAttributes(codec)
        self.model: type[Any] = codec.model
        self.table: str = codec.table
        self.key_names: tuple[str, ...] = tuple(schema.fields[name].stored for name in schema.key.fields)
        self.partition: Field = schema.fields[schema.key.partition]
        self.sort: Field | None = None if schema.key.sort is None else schema.fields[schema.key.sort]
        self.version: Field | None = schema.version
        self.created: Field | None = schema.role("created_at")
        self.updated: Field | None = schema.role("updated_at")
        self.tokens: bool = tokens and schema.write_tokens
        self.strict: bool = strict if schema.strict_creates is None else schema.strict_creates
        self.kept: tuple[Field, ...] = tuple(
            field for field in schema.fields.values() if field.immutable or field.write_once or field.protected
        )
        self.guarded: bool = any(field.options and field.option(Unique) for field in schema.fields.values()) or (
            schema.discriminator is not None and _has_guarded_class(schema)
        )
        # Both are filled by `dynamorm.ops.rules`, which stands above.
        self.uniques: tuple[Any, ...] = ()
        self.rules: dict[str, tuple[WriteRule, ...]] = {}
        self.transforms: dict[str, tuple[WriteRule, ...]] = {}  # those of them that are asked at this moment
        self.contributes: dict[str, tuple[WriteRule, ...]] = {}
        self.looked_at: frozenset[str] | None = None  # by the rules of updates; None: each update is
        self.rules_of_batch_deletes: tuple[WriteRule, ...] = ()  # those of plugins
        self.needs_stored: bool = self.guarded
        # What a view gives: values of fields, by name, which need not be named in keys.
        self.given: Mapping[str, Any] = {}
        # Their texts in keys, once they were made, of values and of operands: kept and filled by `dynamorm.ops.reads.key_conditions`.
        self.given_texts: dict[str, str] = {}
        self.given_operands: dict[str, str] = {}
        self.given_list: bytes = b""  # of tokens, once it was made: by `dynamorm.ops.writes.transaction_limits`
        # These are given by the session, where plugins have rules for what is read of the model.
        self.read_rules: ReadRules | None = None
        self.foresee: Callable[[bytes, bytes | None, Collection[str]], Flow[bool]] | None = None
        self.prepare: Callable[[bytes], Flow[None]] | None = None
        self.single_deletes: bool = self.guarded
        head = b'{"TableName":' + encode(codec.table)
        self.key_head: bytes = head + b',"Key":'
        self.put_head: bytes = head + b',"Item":'
        self.is_consistent: bool = schema.consistent_reads
        self.read_head: bytes = head + b',"ConsistentRead":true,"Key":' if self.is_consistent else self.key_head
        self.starts: tuple[bytes, ...] = codec.reading.starts
        self._operand = codec.normal_operand if codec.changing else codec.encode_operand
        self.known_sets: dict[tuple[Field, ...], bytes] = {}  # kept and filled by `dynamorm.ops.updates.known_sets`
        self.begins: dict[tuple[str, tuple[Any, ...]], Any] = {}  # kept and filled by `dynamorm.ops.updates.begin`
        self.create_tail: bytes = _create_tail(self.partition)

    @property
    def history(self) -> ModelCodec:
        """The codec for what streams tell: without what is left out of reads for its time is over."""
        rules = self.read_rules
        return self.codec if rules is None or rules.history is None else rules.history

    def operand(self, path: Location, value: Any, what: str) -> dict[str, Any] | None:
        """The wire value of an expression's operand, as `dynamorm.models.expressions.compile.Encode` wants it."""
        return self._operand(path.parts, value, what)

    def update_operand(self, path: Location, value: Any, what: str) -> dict[str, Any] | None:
        """As `operand`, for a value that is stored: the field's constraints hold."""
        return self.codec.encode_update(path.parts, value, what)

    def key_type(self, name: str) -> str:
        """The wire type of a key attribute: S, N or B."""
        return self.codec.key_type(name)


def _create_tail(partition: Field) -> bytes:
    """The end of a create's body: the item must not be there."""
    said = {
        "ConditionExpression": "attribute_not_exists(#k)",
        "ExpressionAttributeNames": {"#k": partition.stored},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return b"," + encode(said)[1:]


def _has_guarded_class(schema: Schema) -> bool:
    """Whether a class below this one, whose items may be met under this one's name, has unique attributes."""
    below = (SCHEMAS.get(cls) for cls in with_subclasses(schema.model))
    return any(
        field.option(Unique)
        for schema_below in below
        if schema_below is not None
        for field in schema_below.fields.values()
    )


def check_production(plan: ModelRequests) -> None:
    """What the production preset demands of a model: a version, where it holds money; a warning where it does not.

    A model with money is created by transactions, unless it says otherwise; one with unique attributes is anyway.

    Raises: ModelError.
    """
    name, plans = plan.codec.schema.name, plan.codec.plans.values()
    money = next((field_plan.name for field_plan in plans if _is_money(field_plan)), None)
    if money is not None and plan.codec.schema.strict_creates is None:
        plan.strict = True
    if plan.version is not None:
        return
    if money is not None:
        raise ModelError(
            f"Presets.production() demands a version of models that hold money, and {name}.{money} is money:"
            " declare version: Attr[int] = version()"
        )
    import warnings

    warnings.warn(
        f"{name} has no version: of two writers the last one wins, also when it is a late repetition of an earlier"
        " write; declare version: Attr[int] = version()",
        stacklevel=2,
    )


def _is_money(field: FieldPlan) -> bool:
    shape = field.shape.inner if isinstance(field.shape, Nullable) else field.shape
    return shape.is_money or (field.shape.tag == "N" and says_money(field.name))


MAX_VALUES: Final = 2 * 1024 * 1024
"""Bytes of all names and values of a request's expressions.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""


def finish(head: bytes, subject: bytes, parameters: dict[str, Any]) -> bytes:
    """A request body from its head, its item or key, and what else it says."""
    return head + subject + (b"," + encode(parameters)[1:] if parameters else b"}")


def names(places: Placeholders) -> dict[str, Any]:
    """The placeholder maps of a request, leaving out what is empty (DynamoDB refuses an empty map)."""
    parameters: dict[str, Any] = {}
    if places.names:
        parameters["ExpressionAttributeNames"] = places.names
    if places.values:
        parameters["ExpressionAttributeValues"] = places.values
    return parameters


def check_values(body: bytes, parameters: dict[str, Any]) -> None:
    """Refuse a request whose expressions have names and values of over 2 MB together. Raises: ExpressionTooLarge."""
    if len(body) <= MAX_VALUES:  # which is never shorter than what it holds
        return
    names, values = (parameters.get(f"ExpressionAttribute{which}", {}) for which in ("Names", "Values"))
    size = item_size(values) + sum(len(name) + len(stored.encode()) for name, stored in names.items())
    if size > MAX_VALUES:
        raise ExpressionTooLarge(
            f"the values of the expressions have {size} bytes together, the limit is {MAX_VALUES}: compare with less,"
            " or split the operation"
        )
