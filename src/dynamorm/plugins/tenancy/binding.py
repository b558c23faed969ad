"""What a view is to the keys and objects of a model of tenants: that of one tenant, and that of them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.errors import Outcome, TenantError, TenantMismatch, TenantRequired
from dynamorm.plugin import ScopeRule

from .option import checked_id, is_missing, is_tenant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .placing import Placing


class OfTenant(ScopeRule):
    """A view of one tenant: it has that tenant's keys, and its objects get the tenant."""

    def __init__(self, placing: Placing, tenant: str) -> None:
        self.values: Mapping[str, Any] = {placing.field.name: tenant}
        self._placing = placing
        self._tenant = tenant
        self._name: str = placing.field.name
        self._head = placing.head(tenant)
        self.key_starts: tuple[bytes, ...] = placing.starts(self._head) if placing.keyed else (b"{",)
        self.complete_by: tuple[str, str] | None = (placing.field.name, tenant)

    def check_key(self, key: bytes) -> None:
        """Refuse the key of another tenant."""
        if not self._placing.is_of(self._placing.text_of(key), self._head):  # it may be spelled otherwise than ours
            raise TenantMismatch(f"this key of a {self._placing.name} is not one of the tenant that is served")

    def complete(self, obj: Any) -> None:
        """Give an object its tenant; refuse one of another tenant."""
        name, tenant = self._name, self._tenant
        value = getattr(obj, name, None)
        if value.__class__ is str and value == tenant:  # one of a class of its own may be equal to all
            return
        if not isinstance(obj, self._placing.model):  # which is told where it is encoded
            return
        if not is_missing(value) and not is_tenant(value, tenant):
            raise TenantMismatch(
                f"{self._placing.name}.{name} is another tenant than the one that is served: leave it out, and the view fills"
                " it in"
            )
        setattr(obj, name, tenant)

    def check_answer(self, obj: Any) -> None:
        """Refuse to believe that a write has made another tenant's item."""
        value = getattr(obj, self._name, self._tenant)
        if value.__class__ is str and value == self._tenant:
            return
        # Where it is missing, the key says whose it is.
        if not is_tenant(value, self._tenant) and not (is_missing(value) and self._placing.keyed):
            raise TenantMismatch(
                f"the answer to a write shows a {self._placing.name} of another tenant, so nobody can tell what was written",
                outcome=Outcome.UNKNOWN,
            )


class OfAll(ScopeRule):
    """A view of all tenants: each object names its own."""

    def __init__(self, placing: Placing) -> None:
        self._placing = placing
        self._name: str = placing.field.name

    def complete(self, obj: Any) -> None:
        """Refuse an object that names no tenant."""
        if not isinstance(obj, self._placing.model):
            return
        value = getattr(obj, self._name, None)
        if is_missing(value):
            raise TenantRequired(
                f"{self._placing.name}.{self._name} has no value, and a view of all tenants cannot tell whose it is: give it one"
            )
        normal = checked_id(value)
        if value.__class__ is not str or normal != value:
            setattr(obj, self._name, normal)


def _behind(placing: Placing, head: str, text: str) -> str:
    """The stored text of a key behind its tenant. Raises: TenantError for one that would be the library's own."""
    if text.startswith("~"):
        raise TenantError(
            f"a key of a {placing.name} begins with ~, and so do those of the library's own items of a tenant: choose another one"
        )
    return f"{head}#{text}"


class PutBefore(OfTenant):
    """As `OfTenant`, for a model whose keys get the tenant put before them."""

    def partition(self, text: str, obj: Any) -> str:  # noqa: ARG002 - the tenant is that of the view
        """The stored text of the partition key."""
        return _behind(self._placing, self._head, text)


class PutBeforeOfAll(OfAll):
    """As `OfAll`, for a model whose keys get the tenant put before them."""

    def partition(self, text: str, obj: Any) -> str:
        """The stored text of the partition key. Raises: TenantRequired for a key that is given."""
        if obj is None:
            raise TenantRequired(
                f"a key of a {self._placing.name} does not say whose it is, and a view of all tenants cannot tell: use"
                " db.with_tenant(...)"
            )
        return _behind(self._placing, self._placing.head(getattr(obj, self._name)), text)
