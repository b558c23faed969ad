"""What is refused because of whose items they are."""

from __future__ import annotations

from .rejected import Rejected, ValidationError


class TenantError(Rejected):
    """A view of one tenant cannot do this: widen itself, administer tables, read what is of several tenants.

    Example: ``except TenantError: answer(403)``
    """

    code = "ErrTenant"
    ends_stream = True


class TenantRequired(TenantError):
    """The model is one of tenants, and nothing says which one. Nothing was sent.

    Example: ``db.get(Payment, "p1")`` raises it, and ``db.with_tenant("t1").get(Payment, "p1")`` does not
    """

    code = "ErrTenantRequired"


class TenantMismatch(TenantError):
    """A key, an object or an answer is of another tenant than the one that is served. It holds no ``item``.

    ``outcome`` is NOT_APPLIED for a read and for what was refused before it was sent, UNKNOWN where the answer to a write
    shows an item of another tenant.

    Example: ``except TenantMismatch: alert("an item of another tenant was asked for")``
    """

    code = "ErrTenantMismatch"


class InvalidTenant(TenantRequired, ValidationError):
    """What was given as a tenant is no id of one: a text of 1 to 128 bytes, without control characters. Also a ValidationError.

    Example: ``db.with_tenant("")`` raises it
    """

    code = "ErrInvalidTenant"
