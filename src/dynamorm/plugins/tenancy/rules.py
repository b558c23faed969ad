"""The rules of a model of tenants: conditions of its writes, and what of its items is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Struct, defstruct
from msgspec.json import Decoder, decode

from dynamorm.errors import ConditionFailed, TenantError, TenantMismatch, TenantRequired
from dynamorm.plugin import KnownQuery, KnownText, ReadRule, WriteRule

from .option import checked_id, is_exactly, is_tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from dynamorm.codec.replies.checked import StoredItem
    from dynamorm.errors import DynamORMError
    from dynamorm.ops.reads.read_rules import ReadDraft
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.ops.writes.draft import WriteDraft

    from .placing import Placing

TENANT: Final = "tenant"
"""The entry of a view's scope that is its tenant."""

ALL: Final = "all_tenants"
"""The entry of the scope of a view of all tenants: why it was asked for."""


class TenantWrites(WriteRule):
    """A write is applied to an item of the tenant, or to none.

    Of a keyed model the key says so, which the view has made or looked at; only whose an item is must stay as it is. Where
    tenants share keys, each write has a condition.
    """

    in_batches: bool = True

    def __init__(self, placing: Placing, *, shares_keys: bool) -> None:
        self._placing = placing
        self._shares_keys = shares_keys
        self._prepared: dict[tuple[str, str], Any] = {}
        # Of a keyed model only whose an item is must stay as it is.
        self.looks_at: tuple[str, ...] | None = None if shares_keys else (placing.field.name,)
        # A create needs nothing: no item is stored under its key.
        self.verbs: tuple[str, ...] = (
            ("put", "save", "update", "delete", "check") if shares_keys else ("save", "update")
        )

    def contribute(self, draft: WriteDraft) -> None:
        """Add the condition. Raises: TenantMismatch, TenantRequired, TenantError."""
        tenant = draft.context.scope.get(TENANT)
        adopts = self._adopts(draft, tenant)
        if not self._shares_keys:
            return
        if tenant is None:
            tenant = self._named(draft)
            draft.say_why(self._of_another(tenant))
        may_be_absent = draft.verb in {"put", "delete"} or draft.upsert
        form = "adopts" if adopts else "new" if may_be_absent else "own"
        draft.require(self._prepared.get((tenant, form)) or self._new(draft, tenant, form), lasting=True)

    def _new(self, draft: WriteDraft, tenant: str, form: str) -> Any:
        placing = self._placing
        own = placing.path == tenant
        if form == "new":
            own = placing.partition_path.not_exists() | own
        elif form == "adopts":
            own = placing.path.not_exists() | own
        prepared = draft.prepared(own)
        if len(self._prepared) >= _MOST:
            self._prepared.clear()
        self._prepared[tenant, form] = prepared
        return prepared

    def _of_another(self, tenant: str) -> Any:
        """What makes the error where the item is not of the tenant that a write in a view of all tenants names."""
        name, stored = self._placing.name, self._placing.field.stored

        def tell(raw: bytes | None, info: dict[str, Any], earlier: Callable[[], DynamORMError]) -> DynamORMError:
            found = None if raw is None else decode(raw).get(stored)
            if raw is None or found == {"S": tenant}:
                return earlier()
            is_of = "is of no tenant yet" if found is None else "is of another tenant than the write names"
            return ConditionFailed(f"the {name} that is stored {is_of}, so that nothing was written", **info)

        return tell

    def check_batch(self, plan: ModelRequests) -> None:  # noqa: ARG002 - the rule is of one model
        """Refuse a batch of what has no partition of its own: it has no conditions."""
        raise TenantMismatch(
            f"the partition key of {self._placing.name} does not begin with the tenant, and a batch has no conditions, so that"
            " it could overwrite another tenant's item: use db.put and db.delete, or a transaction"
        )

    def _adopts(self, draft: WriteDraft, tenant: str | None) -> bool:
        """Whether a write may give an item its first tenant: in a view of all tenants, or where its key says the same.

        Raises: TenantMismatch where it would change whose an item is.
        """
        field, everybody = self._placing.field, tenant is None
        if draft.verb == "update":
            adopts = False
            for one in draft.updates:  # type: ignore[attr-defined] # of a draft of an update
                if one.path.name == field.name:
                    if not (_sets(one, tenant) and self._fits(draft, one.value)):
                        raise self._changed()
                    adopts = everybody
            return adopts
        if draft.verb == "save" and field.stored in (draft.changes or ()):  # type: ignore[attr-defined] # of a draft of a save
            lacks = draft.plan.codec.stored(draft.obj, field.stored) is None
            if not lacks or not (everybody or self._placing.keyed):
                raise self._changed()
            return True
        return everybody and draft.verb == "put"

    def _fits(self, draft: WriteDraft, tenant: str) -> bool:
        """Whether the key may be one of this tenant."""
        placing = self._placing
        return not placing.keyed or placing.is_of(placing.text_of(draft.key), placing.head(tenant))

    def _changed(self) -> TenantMismatch:
        name = f"{self._placing.name}.{self._placing.field.name}"
        return TenantMismatch(
            f"{name} is the tenant of the item, which never changes; an item that has none yet is given one in a view of all tenants"
        )

    def _named(self, draft: WriteDraft) -> str:
        """The tenant that a write in a view of all tenants names. Raises: TenantRequired."""
        if draft.obj is not None:
            tenant: str = getattr(draft.obj, self._placing.field.name)
            return tenant
        if draft.verb == "update":
            for update in draft.updates:  # type: ignore[attr-defined] # as above
                if update.path.name == self._placing.field.name:
                    return checked_id(update.value)
        if draft.condition is not None:
            for condition in equal_to((draft.condition,), self._placing.field.name):
                return _text_of(condition.operands[0])
        name = self._placing.field.name
        raise TenantRequired(
            f"a {draft.verb} by key of a {self._placing.name} in a view of all tenants must say whose it is: give it the"
            f" condition {self._placing.name}.{name} == ..., or use db.with_tenant(...)"
        )


def _text_of(value: Any) -> str:
    """The text that is stored for a value, whatever its class makes of itself."""
    return str.__str__(value) if isinstance(value, str) else str(value)


def _sets(update: Any, tenant: str | None) -> bool:
    """Whether an update says what holds anyway, the tenant of the view, or names one in a view of all tenants."""
    if update.kind != "set" or not isinstance(update.value, str):
        return False
    return is_exactly(update.value, checked_id(update.value) if tenant is None else tenant)


def _is_field(path: Any, name: str) -> bool:
    return path is not None and len(path.parts) == 1 and path.field.name == name


def equal_to(conditions: Iterable[Any], name: str) -> Iterator[Any]:
    """Those conditions, of some that all hold, by which a field has one value: ``in_`` of one value is one of them."""
    for condition in conditions:
        if condition.op == "AND":
            yield from equal_to(condition.operands, name)
        elif (condition.op == "=" or (condition.op == "IN" and len(condition.operands) == 1)) and _is_field(
            getattr(condition, "path", None), name
        ):
            yield condition


class Text(Struct, frozen=True, gc=False):
    """The stored form of a text; empty where it is another value, or none."""

    S: str = ""


NONE: Final = Text()


_SEVERAL: Final = ("AND", "IN")
"""What may say in another way than by ``==`` that a field has one value."""


class TenantReads(ReadRule):
    """Of what is read, only the tenant's own is given."""

    filters_all: bool = True

    def __init__(self, placing: Placing, *, shares_keys: bool) -> None:
        self._placing = placing
        stored = {"key": placing.partition.stored, "tenant": placing.field.stored}
        names = ["key"] if placing.whole else ["key", "tenant"]
        looked_at = defstruct(
            "LookedAt", [(name, Text, NONE) for name in names], rename={name: stored[name] for name in names}, gc=False
        )
        self._read: Callable[[bytes], Any] = Decoder(looked_at).decode
        self._heads: dict[str, tuple[str, str]] = {}
        self._owns: dict[str, Any] = {}
        self._names: tuple[str, str | None] = (
            placing.field.name,
            placing.partition.name if placing.keyed and not placing.whole else None,
        )
        self.attributes: tuple[str, ...] | None = (placing.field.stored,)
        self.hides: bool = shares_keys

    def contribute(self, draft: ReadDraft) -> None:
        """Read a partition of the tenant. Raises: TenantMismatch where the caller asks for another tenant's items."""
        tenant = draft.scope.get(TENANT)
        if tenant is None:
            return
        own = given = None
        name, key = self._names
        for condition in draft.conditions:
            if condition.op == "=":
                field = condition.path.field.name  # type: ignore[attr-defined] # of a comparison
                if field == key or (field == name and len(condition.path.parts) == 1):  # type: ignore[attr-defined] # as above
                    value = condition.operands[0]
                    if field == name and value.__class__ is str and value == tenant:
                        own = condition
                        continue
                    own, given = self._given(draft, tenant)
                    break
            elif condition.op in _SEVERAL:
                own, given = self._given(draft, tenant)
                break
        if given is None:
            if own is None:
                own = self._own(tenant)
                draft.where(own)
            given = own
        # Of a partition that is the tenant's own nothing is left out in silence: a foreign item there is refused by `check`.
        draft.in_partition(given, self._not_in_partition)

    def _given(self, draft: ReadDraft, tenant: str) -> tuple[Any, Any]:
        """The caller's conditions on the tenant, and on a key that holds it; None where there is none."""
        placing, own = self._placing, None
        for condition in equal_to(draft.conditions, placing.field.name):
            value = condition.operands[0]
            if not is_tenant(value, tenant):
                raise TenantMismatch(
                    f"{placing.name}.{placing.field.name} is another tenant than the one that is served"
                )
            if is_exactly(value, tenant):
                own = condition
        return own, self._key_given(draft, tenant)

    def _own(self, tenant: str) -> Any:
        own = self._owns.get(tenant)
        if own is None:
            if len(self._owns) >= _MOST:
                self._owns.clear()
            own = self._owns[tenant] = self._placing.path == tenant
        return own

    def known_query(self, scope: Mapping[str, str]) -> KnownQuery | None:
        """A query of a view of a tenant says that it is of that tenant, and nothing of a key that holds it."""
        tenant = scope.get(TENANT)
        if tenant is None:
            return None
        key = self._names[1]
        return KnownQuery(self._own(tenant), () if key is None else (key,))

    def _key_given(self, draft: ReadDraft, tenant: str) -> Any:
        """The caller's condition on a partition key that holds the tenant; None where there is none."""
        placing = self._placing
        if not placing.keyed or placing.whole:
            return None
        for condition in equal_to(draft.conditions, placing.partition.name):
            if not placing.prefixed:
                value = getattr(condition.operands[0], "value", condition.operands[0])
                text = value.get("S", "") if isinstance(value, dict) else value
                if not isinstance(text, str) or not placing.is_of(text, placing.head(tenant)):
                    raise TenantMismatch(f"this key of a {placing.name} is not one of the tenant that is served")
            return condition
        return None

    def _not_in_partition(self) -> TenantError:
        return TenantError(
            f"a query of a tenant reads partitions of that tenant alone, and no table or index of {self._placing.name} that"
            f" fits has {self._placing.field.name} in its partition key: query one that has it, such as"
            f' gsi("by-tenant", partition="{self._placing.field.name}"); a scan is for db.all_tenants(reason=...)'
        )

    def check(self, item: StoredItem, scope: Mapping[str, str]) -> bool:
        """Whether an item is the tenant's. Raises: TenantMismatch where no other can come."""
        tenant = scope.get(TENANT)
        if tenant is None:
            if ALL in scope:
                return True
            raise TenantRequired(f"{self._placing.name} is a model of tenants: use db.with_tenant(...)")
        placing = self._placing
        try:
            found = self._read(item.raw)
        except DecodeError:  # one of them is no text, so it is no tenant's
            found = None
        if not placing.keyed:
            whose = None if found is None else found.tenant.S
            return whose == tenant
        if found is not None:
            head, start = self._heads.get(tenant) or self._new_head(tenant)
            text = found.key.S
            # The attribute may be missing: the key says whose it is.
            if placing.whole:
                if text == head:
                    return True
            elif (text.startswith(start) or text == head) and found.tenant.S in (tenant, ""):
                return True
        if self.hides:  # of a class that shares the table, and has the tenant elsewhere in its keys
            return False
        raise TenantMismatch(f"the answer holds a {placing.name} of another tenant")

    def known_by(self, scope: Mapping[str, str]) -> tuple[KnownText, ...] | None:
        """The texts of the tenant's items."""
        tenant, placing = scope.get(TENANT), self._placing
        if tenant is None:
            return () if ALL in scope else None
        own = placing.field.stored
        if not placing.keyed:
            return (KnownText(own, tenant),)
        head, start = self._heads.get(tenant) or self._new_head(tenant)
        if placing.whole:
            return (KnownText(own, head),)
        return KnownText(placing.partition.stored, head, start), KnownText(own, tenant, may_be_missing=True)

    def check_start(self, key: bytes, scope: Mapping[str, str]) -> None:
        """Refuse to go on behind the key of another tenant's item: no page of the tenant's ends with one. Raises: TenantMismatch.

        Where tenants share keys, only the key of an index tells whose it is: a filter leaves others out.
        """
        tenant, placing = scope.get(TENANT), self._placing
        if tenant is None:
            return
        try:
            found = self._read(key)
        except DecodeError:  # one of them is no text, so it is no tenant's
            found = None
        if found is None or not (self._is_key_of(found.key.S, tenant) and self._may_be_of(found, tenant)):
            raise TenantMismatch(f"the answer goes on behind a {placing.name} of another tenant")

    def _is_key_of(self, text: str, tenant: str) -> bool:
        if self.hides or not self._placing.keyed:
            return True
        head, start = self._heads.get(tenant) or self._new_head(tenant)
        return text == head or (not self._placing.whole and text.startswith(start))

    def _may_be_of(self, found: Any, tenant: str) -> bool:
        return self._placing.whole or found.tenant.S in (tenant, "")

    def check_record(self, item: StoredItem, scope: Mapping[str, str]) -> None:
        """Refuse the record of another tenant's item. Raises: TenantMismatch."""
        if not self.check(item, scope):
            raise TenantMismatch(f"the record is of a {self._placing.name} of another tenant")

    def _new_head(self, tenant: str) -> tuple[str, str]:
        head = self._placing.head(tenant)
        if len(self._heads) >= _MOST:
            self._heads.clear()
        self._heads[tenant] = found = head, f"{head}#"
        return found


_MOST: Final = 4096
