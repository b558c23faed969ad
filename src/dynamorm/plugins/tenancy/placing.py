"""Where a model has its tenant: the field, and its place in the partition key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.json import decode, encode

from dynamorm import Attr, composite, schema_of
from dynamorm.errors import ModelError
from dynamorm.plugin import OF_TENANTS, family_of, tenant_prefix

from .option import Tenant

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import Field, Schema

END: Final = "#"
"""What ends a part of a composite key."""

_COMPOSITE: Final = type(composite("part"))
_ESCAPE: Final = composite("part")


def escaped(tenant: str) -> str:
    """An id as a part of a composite key."""
    return _ESCAPE.join([tenant])


def unprefixed(wire: dict[str, Any]) -> dict[str, Any]:
    """The wire value of a key without its tenant."""
    text: str = wire.get("S", "")
    parts = text.split(END, 2)
    return {"S": parts[2]} if text.startswith(OF_TENANTS) and len(parts) == 3 else wire


class Placing:
    """The tenant of a model. ``lead`` is what stands before it in a composite partition key.

    ``keyed``: the partition key begins with the tenant. ``whole``: it is the tenant, as it is. ``prefixed``: the library puts it
    there.
    """

    def __init__(self, schema: Schema, field: Field) -> None:
        assert schema.key is not None  # a model without a table is never used by itself
        partition = schema.fields[schema.key.partition]
        self.model: type[Any] = schema.model
        self.name: str = schema.name
        self.field: Field = field
        self.path: Attr[str] = Attr(field)
        self.partition: Field = partition
        self.partition_path: Attr[Any] = Attr(partition)
        self.whole: bool = partition is field
        self.prefixed: bool = field.option(Tenant).prefix
        self.keyed: bool
        self.lead: str | None
        self.keyed, self.lead = self.begins(partition)
        self.in_key: bool = self.keyed  # the key tells the tenant, where the attribute is missing
        if self.prefixed:
            self._check_prefixed()
            self.keyed, self.lead = True, OF_TENANTS
        self._start = b"{%s:{" % encode(partition.stored) + b'"S":'

    def _check_prefixed(self) -> None:
        """Refuse what cannot have the tenant put before its key. Raises: ModelError."""
        partition = self.partition
        if self.keyed or partition.option(_COMPOSITE) is not None:
            raise ModelError(
                f"{self.name}: prefix=True puts the tenant before a key that is a plain text; {partition.name} is made of others, or"
                " is the tenant itself: name the tenant in it"
            )
        if partition.annotation not in (str, "str") or partition.options:
            raise ModelError(
                f"{self.name}: prefix=True puts the tenant before a key that is an Attr[str] without options"
            )

    def begins(self, field: Field) -> tuple[bool, str | None]:
        """Whether a field is the tenant, or is made of it first, and then what stands before it."""
        if field is self.field:
            return True, None
        made = field.option(_COMPOSITE)
        lead = None if made is None else _lead(made, self.field.name)
        return lead is not None, lead

    def head(self, tenant: str) -> str:
        """What the partition key of each item of a tenant is, or begins with and goes on with ``#``."""
        if self.prefixed:
            return tenant_prefix(tenant).removesuffix(END)
        return tenant if self.whole else f"{self.lead}{escaped(tenant)}"

    def is_of(self, text: str, head: str) -> bool:
        """Whether a partition key is of the tenant with this head."""
        return text == head or (not self.whole and text.startswith(head + END))

    def starts(self, head: str) -> tuple[bytes, ...]:
        """How the JSON of a key of this tenant begins, as the library writes it."""
        start = self._start + encode(head)[:-1]
        return (start + b'"',) if self.whole else (start + b'"', start + END.encode())

    def text_of(self, key: bytes) -> str:
        """The partition key in the JSON of a key; empty for what is no text."""
        text: str = decode(key)[self.partition.stored].get("S", "")
        return text


def _lead(made: Any, tenant: str) -> str | None:
    """The literal before the tenant, where that is the first of what a composite is made of; else None."""
    lead = ""
    for piece in made.pieces:
        if not isinstance(piece, str):
            is_first = piece.name == tenant if piece.name in made.fields else piece.name == "tenant"
            return lead if is_first else None
        lead += piece
    return None


def placed(schema: Schema) -> Placing | None:
    """The tenant of a model; None for a model of none. Raises: ModelError."""
    fields = [field for field in schema.fields.values() if field.options and field.option(Tenant) is not None]
    if not fields or schema.key is None:
        return None
    if len(fields) > 1:
        raise ModelError(
            f"{schema.name} has two tenants, {' and '.join(field.name for field in fields)}: an item has one"
        )
    (field,) = fields
    where = f"{field.owner}.{field.name}"
    if field.annotation not in (str, "str"):
        raise ModelError(f"{where} is the tenant, which is a text: declare it as Attr[str]")
    if field.role not in {"", "partition"}:
        raise ModelError(f"{where} is the tenant, and the library's own as well, or the sort key: declare it apart")
    if field.secret or field.omit_empty or field.also_read or field.validators:
        raise ModelError(f"{where} is the tenant: leave out secret, omit_empty, also_read and validators")
    return Placing(schema, field)


def check_family(schema: Schema) -> bool:
    """Whether all classes that share the table of a model have their tenant in the same place, so that no two of them share keys.

    Raises: ModelError where one of them has no tenant: it would read and write the items of every tenant.
    """
    family = [schema_of(cls) for cls in family_of(schema.model)]
    placings = [placed(one) for one in family]
    if not any(placings):
        return True
    for one, placing in zip(family, placings, strict=True):
        if placing is None:
            tenants = next(other.name for other, found in zip(family, placings, strict=True) if found is not None)
            raise ModelError(
                f"{tenants} is a model of tenants, and {one.name}, which shares its table, is none, so that it would read and"
                f" write the items of every tenant: declare the Tenant field in {family[0].name}, for all of them"
            )
    known = [placing for placing in placings if placing is not None]
    first = known[0]
    if any(placing.field.stored != first.field.stored for placing in known):
        raise ModelError(
            f"the classes that share the table of {family[0].name} store their tenant under several names: declare the Tenant"
            f" field in {family[0].name} alone"
        )
    return all(
        (placing.keyed, placing.lead, placing.whole) == (first.keyed, first.lead, first.whole) for placing in known
    )
