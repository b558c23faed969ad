"""`Tenant`, the field option, and what an id of a tenant is."""

from __future__ import annotations

from typing import Any, Final
from unicodedata import category, normalize

from dynamorm.errors import InvalidTenant, ModelError

LONGEST: Final = 128
"""Bytes of an id of a tenant: it stands in keys, which have at most 2,048 of them.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

_NOT_WRITTEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that no id holds: what is not seen, turns texts round, or ends a line."""


class Tenant:
    """Field option: the attribute says whose the item is. A view of a tenant fills it in, so the constructor need not have it.

    A model is *keyed* when its partition key is this field, or a `composite` that begins with it (or with ``{scope.tenant}``):
    then no two tenants share a key. Any other model is *shared-key*: an item of another tenant counts as absent there, and
    yet its key is taken.

    Example: ``tenant_id: Attr[str] = attr(Tenant())``
    """

    __slots__ = ("prefix",)

    filled_in: bool = True
    claimed_by: str = "db.enable_multi_tenancy()"
    scope_entry = "tenant"
    """The entry of a view's scope that the attribute holds."""

    def __init__(self, *, prefix: bool = False) -> None:
        if prefix.__class__ is not bool:
            raise ModelError(f"prefix of a Tenant is True or False, not {type(prefix).__name__}")
        self.prefix: bool = prefix

    def __repr__(self) -> str:
        return "Tenant(prefix=True)" if self.prefix else "Tenant()"


def checked_id(tenant: Any) -> str:
    """The id of a tenant in normal form (NFC). Raises: InvalidTenant for what is none."""
    if not isinstance(tenant, str):
        raise InvalidTenant(f"a tenant is a text of 1 to {LONGEST} bytes, not {type(tenant).__name__}", field="tenant")
    given = str.__str__(tenant)  # and not of a class of its own, which may show itself in another way
    try:
        size = len(normalize("NFC", given).encode())
    except UnicodeEncodeError:
        size = -1
    if size < 0:  # the error would hold the text, so it ends above
        raise InvalidTenant("a tenant is text that is not valid Unicode", field="tenant")
    if not 0 < size <= LONGEST:
        raise InvalidTenant(f"a tenant is a text of 1 to {LONGEST} bytes in UTF-8, not of {size}", field="tenant")
    normal = normalize("NFC", given)
    if any(category(character) in _NOT_WRITTEN for character in normal):
        raise InvalidTenant("a tenant holds a control character, or another one that is not seen", field="tenant")
    if normal == "T" or normal.startswith("~"):
        raise InvalidTenant('"T", and texts that begin with ~, stand before keys of the library\'s own', field="tenant")
    return normal


def is_missing(value: Any) -> bool:
    """Whether a value names no tenant: None, or an empty text."""
    return value is None or (isinstance(value, str) and str.__len__(value) == 0)


def is_tenant(value: Any, tenant: str) -> bool:
    """Whether a value is this tenant, written in whatever form; a text of a class of its own is the one that it holds."""
    return isinstance(value, str) and normalize("NFC", str.__str__(value)) == tenant


def is_exactly(value: Any, tenant: str) -> bool:
    """Whether a text is stored as this tenant is."""
    return isinstance(value, str) and str.__str__(value) == tenant
