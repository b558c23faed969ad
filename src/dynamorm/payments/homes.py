"""`Home`: whose the items of a ledger or an outbox are. A tenant's have keys that begin with it, so that no other view reaches them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, signature
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

from dynamorm.errors import TenantMismatch, TenantRequired, ValidationError
from dynamorm.plugin import OF_TENANTS, tenant_prefix

from .two_faces import Method, Steps, driven

P = ParamSpec("P")
R = TypeVar("R")

TENANT: Final = "tenant"
ALL: Final = "all_tenants"
"""The entries of a view's scope that `DB.with_tenant` and `DB.all_tenants` make."""

_CODE: Final = re.compile("%([0-9A-F]{2})")


class Home(NamedTuple):
    """What stands before the keys of a tenant's items, nothing before those of no tenant; ``is_all``: of a view of all tenants."""

    prefix: str = ""
    is_all: bool = False

    def key(self, name: str) -> str:
        """The key of an item of this home. Raises: TenantRequired in a view of all tenants."""
        if self.is_all:
            raise TenantRequired(
                "this is of one tenant, and a view of all tenants cannot tell of which: use db.with_tenant(...)"
            )
        return self.prefix + name

    def name(self, key: str) -> str:
        """What a key names within this home: the key itself in a view of all tenants."""
        return key.removeprefix(self.prefix)

    def holds(self, path: Any) -> Any:
        """The condition that a partition key is one of this home; None in a view of all tenants, where each is."""
        if self.is_all:
            return None
        return path.begins_with(self.prefix) if self.prefix else ~path.begins_with(OF_TENANTS)


def home_of(scope: Mapping[str, str]) -> Home:
    """The home that a view has, by its scope."""
    tenant = scope.get(TENANT)
    if tenant is None:
        return Home(is_all=ALL in scope)
    return Home(tenant_prefix(tenant))


def home_with(mine: Home, theirs: Home) -> Home:
    """The home of what is written by two at once, such as an outbox and a transaction. Raises: TenantMismatch."""
    if mine.prefix and theirs.prefix and mine != theirs:
        raise TenantMismatch(
            "the transaction is one of another tenant than this view: open it with db.transaction() of the same view"
        )
    return theirs if theirs.prefix or (theirs.is_all and not mine.prefix) else mine


def home_of_key(key: str) -> Home:
    """Whose an item is, by its key."""
    if not key.startswith(OF_TENANTS):
        return Home()
    return Home(key[: key.index("#", len(OF_TENANTS)) + 1])


def tenant_of(key: str) -> str | None:
    """The tenant that an item is of, by its key; None for none."""
    prefix = home_of_key(key).prefix
    return _CODE.sub(lambda found: chr(int(found[1], 16)), prefix[len(OF_TENANTS) : -1]) if prefix else None


def check_name(what: str, text: Any, most: int) -> None:
    """Refuse what names nothing of a home. Raises: ValidationError."""
    if not isinstance(text, str) or not 0 < len(text) <= most or not text.isprintable():
        raise ValidationError(f"{what} is a text of 1 to {most} characters, without control characters", field=what)
    if text.startswith(("~", OF_TENANTS)):
        raise ValidationError(
            f"{what} begins with neither ~ nor T#, as the keys of the library's own items and of tenants do", field=what
        )


def at_home(function: Callable[Concatenate[Any, Home, P], Steps[R]]) -> Method[P, R]:
    """Let a method in steps be called on either face, as `two_faces.method_on_both` does, with the home that the caller is in, of ``self.db``."""

    @wraps(function)
    def call(self: Any, /, *args: P.args, **named: P.kwargs) -> Any:
        home = home_of(self.db.scope)  # of the call, and not of when it is awaited
        return driven(self.db, function(self, home, *args, **named))

    of = signature(function)
    kept: list[Parameter] = [one for name, one in of.parameters.items() if name != "home"]
    made: Any = call
    made.__signature__ = of.replace(parameters=kept)  # as `inspect` wants it
    return made  # type: ignore[no-any-return]  # what it gives stands in the declared type


def at_home_as_overloaded(function: Callable[..., Steps[Any]]) -> Callable[..., Any]:
    """As `at_home`, of a method whose overloads say what it gives."""
    made: Any = at_home(function)
    return made  # type: ignore[no-any-return]  # what it gives stands in the declared type
