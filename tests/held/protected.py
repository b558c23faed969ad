"""Writes of a model that has a tenant, an encrypted field and an audit trail, for the held network."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from dynamorm import DB, Attr, Encrypted, Model, Presets, Tenant, actor, attr, composite, partition_key, version
from dynamorm.errors import DynamORMError
from dynamorm.plugins import LocalKeyProvider
from dynamorm.plugins.audit import ChangeTrackingConfig
from tests.held.cases import Act, Case
from tests.held.schedule import Schedule, Told
from tests.held.world import PREFIX, Foreign, Outside, _nothing

TENANT: Final = "merchant#1"
PAN: Final = "4111111111111111"
SOFT: Final = frozenset({"", "external", "unrecorded", "missing"})
"""Reasons of a verdict that say what somebody else has written, and nothing of the chain."""


class Vault(Model, table="held-vaults"):
    """A tenant's, with a field that is encrypted and one whose changes are recorded."""

    pk: Attr[str] = partition_key(composite("tenant_id", "id"))
    tenant_id: Attr[str] = attr(Tenant(), init=False)
    id: Attr[str]
    number: Attr[str] = attr(Encrypted("pii"), default=PAN)
    state: Attr[str] = attr(default="open")
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


_warm = itertools.count()


def protected(face: Any, keys: Path) -> Any:
    """The view of the tenant of a face on which everything is enabled. What is fetched once is fetched."""
    face.enable_multi_tenancy()
    face.set_encryption_provider(LocalKeyProvider(keys))
    face.enable_change_tracking(
        Vault, ChangeTrackingConfig(fields=["amount", "state"], store="held-vault-log", audit_key=b"k" * 32)
    )
    face.tables.ensure(Vault)
    view = face.with_tenant(TENANT)
    with actor("setup"):
        made = view.create(Vault(id=f"warm-{next(_warm)}"))
        view.delete(made)
    return view


class Protected(Outside):
    """Everybody else: they have the same keys."""

    keys: Path

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.whole = DB(Presets.local_development(endpoint=endpoint, table_prefix=PREFIX))
        self.view = protected(self.whole, self.keys)

    @override
    def close(self) -> None:
        """Close the connections."""
        self.whole.close()
        super().close()


class Audited(Schedule):
    """The same judge, who looks at the chain, at whose the item is, and whether it can be opened, too."""

    @override
    def wrong(self, told: Told, applied: int) -> str | None:
        return super().wrong(told, applied) or self._disagrees(applied)

    @override
    def must_know(self, told: Told) -> bool:
        """As of a model that is not protected: of an update whose item somebody has removed nobody can always tell."""
        return super().must_know(told) and (self.case.name, self.kind) != ("update", "delete")

    @override
    def _amount(self, applied: int) -> str | None:
        """The chain tells it: see `_disagrees`."""
        return None

    def _disagrees(self, applied: int) -> str | None:
        view = self.stage.outside.view  # type: ignore[attr-defined] # of this suite
        try:
            verdict = view.audit.verify(Vault, id=self.key)
            history = view.audit.history(Vault, id=self.key, verify=False)
            item = view.get(Vault, id=self.key, consistent=True)
        except DynamORMError as error:
            return f"what is stored cannot be read: {type(error).__name__}: {error}"
        if verdict.reason not in SOFT or (self.kind in {"none", "save"} and not verdict.ok):
            return f"the chain does not hold: {verdict}"
        ours = sum(record.by == "writer" and record.op not in {"baseline", "external"} for record in history)
        if self.case.adds and ours != applied:
            return f"{applied} applications have {ours} records"
        if item is not None and (item.number != PAN or item.tenant_id != TENANT):
            return "the item is not what was written"
        return None


def _who(act: Act) -> Act:
    def acting(db: Any, subject: Any, key: str) -> Any:
        with actor("writer"):
            return act(db, subject, key)

    return acting


def _start(out: Outside, db: Any, key: str, name: str) -> Any:
    with actor("setup"):
        made = None if name == "absent" else out.view.create(Vault(id=key))  # type: ignore[attr-defined] # as above
    return None if made is None else db.get(Vault, id=key, consistent=True)


def _save(out: Outside, _: type[Any], key: str) -> None:
    view = out.view  # type: ignore[attr-defined] # as above
    with actor("other"):
        found = view.get(Vault, id=key, consistent=True)
        if found is None:
            view.create(Vault(id=key))
            return
        found.amount += 100
        view.save(found)


def _removed(out: Outside, _: type[Any], key: str) -> None:
    view = out.view  # type: ignore[attr-defined] # as above
    with actor("other"):
        found = view.get(Vault, id=key, consistent=True)
        if found is not None:
            view.delete(found)


def _raw(out: Outside, _: type[Any], key: str) -> None:
    """A program without the library changes a field that is recorded."""
    out.engine.ask(
        "UpdateItem", TableName=f"{PREFIX}held-vaults", Key={"pk": {"S": f"merchant%231#{key}"}},
        UpdateExpression="SET amount = :n", ConditionExpression="attribute_exists(pk)",
        ExpressionAttributeValues={":n": {"N": "77"}},
    )  # fmt: skip


FOREIGN: Final[dict[str, Foreign]] = {"none": _nothing, "save": _save, "delete": _removed, "raw": _raw}


def _saved(db: Any, obj: Any, _: str) -> None:
    obj.amount += 5
    db.save(obj)


def _both(db: Any, obj: Any, key: str) -> None:
    with db.transaction() as tx:
        tx.update(obj, Vault.amount.add(5))
        tx.create(Vault(id=f"second-{key}"))


def _case(name: str, act: Callable[..., Any], starts: dict[str, tuple[str, ...]], *, adds: int = 5) -> Case:
    return Case(name, Vault, "N", _who(act), starts, _start, FOREIGN, adds=adds)


CASES: Final = (
    _case("create_strict", lambda db, _, key: db.create(Vault(id=key, amount=5)),
          {"absent": ("none", "save"), "open": ("none", "delete")}),
    _case("put_if", lambda db, _, key: db.put(Vault(id=key, amount=5)), {"absent": ("none",), "open": ("none", "delete")}),
    _case("save", _saved, {"open": ("none", "save", "raw", "delete")}),
    _case("update", lambda db, obj, _: db.update(obj, Vault.amount.add(5)), {"open": ("none", "save", "raw", "delete")}),
    _case("update_key", lambda db, _, key: db.update(Vault, Vault.amount.add(5), id=key),
          {"open": ("none", "save", "raw"), "absent": ("none", "save")}),
    _case("increment", lambda db, _, key: db.increment(Vault, Vault.amount, by=5, id=key), {"open": ("none", "save", "raw")}),
    _case("delete", lambda db, obj, _: db.delete(obj), {"open": ("none", "save", "delete")}, adds=1),
    _case("transaction", _both, {"open": ("none", "save", "delete")}),
)  # fmt: skip
