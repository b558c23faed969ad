"""Functions that bring stored items of an older schema version to the next one, and the chain that they make.

It must not know how items are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, cast

from dynamorm.errors import ModelError

SCHEMA_ATTRIBUTE: Final = "_sv"
"""The stored attribute that holds the schema version of an item, where its model has one. An item without it is of version 1."""

UpgradeFunction: TypeAlias = Callable[[dict[str, Any]], dict[str, Any] | None]


class Upgrade:
    """What `upgrade` makes of a function: called, it does what the function does.

    ``since`` is the schema version that it upgrades, ``attributes`` the stored names that it is given, None for all.

    Example: ``Payment.split_name({"name": "Ann Lee"})``
    """

    __slots__ = ("attributes", "function", "since")

    def __init__(self, since: int, function: UpgradeFunction, attributes: tuple[str, ...] | None) -> None:
        self.since: int = since
        self.function: UpgradeFunction = function
        self.attributes: tuple[str, ...] | None = attributes

    def __call__(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """What the function gives for an item, as a test asks it."""
        return self.function(item)

    @property
    def name(self) -> str:
        """What the function is called."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __repr__(self) -> str:
        return f"<Upgrade {self.name} of version {self.since}>"


def upgrade(since: int, *, attributes: Iterable[str] | None = None) -> Callable[[UpgradeFunction], Upgrade]:
    """Mark a function that makes an item of schema version ``since + 1`` of one of version ``since``.

    It stands in the class body as a static method, and is called where such an item is read. It is given the stored item as a dict of plain values by stored
    names (text, int or Decimal, bytes, bool, None, lists, dicts, sets), and changes it, or returns another one. It must give the same for the same item.
    With ``attributes`` it is given those of them that are stored, and nothing else: then it is quick.

    Raises: ModelError for a version that is none.

    Example::

        class Payment(Model, table="payments", schema_version=2):
            id: Attr[str] = partition_key()
            cents: Attr[int]
            version: Attr[int] = version()

            @staticmethod
            @upgrade(1, attributes=("amount", "cents"))
            def to_cents(item: dict[str, Any]) -> None:
                item["cents"] = int(item.pop("amount") * 100)
    """
    if since.__class__ is not int or since < 1:
        raise ModelError("upgrade() takes the schema version that it upgrades, from 1 on: write @upgrade(1)")
    names = None if attributes is None else tuple(attributes)
    if names is not None:
        given: Any = attributes
        if isinstance(given, str) or not names or not all(map(_is_name, names)):
            shown = repr(given) if isinstance(given, str) else "'name'"
            raise ModelError(
                f"the attributes of @upgrade({since}) are a tuple of stored names: write @upgrade({since}, attributes=({shown},))"
            )

    def marked(function: UpgradeFunction) -> Upgrade:
        plain: Any = function.__func__ if isinstance(function, staticmethod) else function
        if not callable(plain) or isinstance(plain, Upgrade):
            raise ModelError(f"@upgrade({since}) marks one function of an item, such as def to_next(item): ...")
        return Upgrade(since, cast("UpgradeFunction", plain), names)

    return marked


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and bool(name)


def upgrades_in(namespace: Mapping[str, Any]) -> list[Upgrade]:
    """The upgrades of a class body."""
    plain = (value.__func__ if isinstance(value, staticmethod) else value for value in namespace.values())
    return [value for value in plain if isinstance(value, Upgrade)]


def chain_of(
    name: str, version: int | None, before: Iterable[Upgrade], declared: Iterable[Upgrade]
) -> tuple[Upgrade, ...]:
    """The upgrades of a class in order, those of its base ``before`` its own.

    Raises: ModelError for one that is missing, or there twice, and for a version that is none.
    """
    by_version: dict[int, Upgrade] = {}
    for one in (*before, *declared):
        other = by_version.setdefault(one.since, one)
        if other is not one:
            raise ModelError(
                f"class {name}: {other.name} and {one.name} both upgrade schema version {one.since}: keep one of them"
            )
    if version is None:
        if by_version:
            raise ModelError(
                f"class {name} has upgrades, and says no version: write schema_version={max(by_version) + 1}"
            )
        return ()
    if version.__class__ is not int or version < 1:
        raise ModelError(f"class {name}: schema_version is a whole number from 1 on")
    beyond = [since for since in by_version if since >= version]
    if beyond:
        raise ModelError(
            f"class {name}: @upgrade({max(beyond)}) makes items of version {max(beyond) + 1}, and schema_version is {version}:"
            f" write schema_version={max(beyond) + 1}"
        )
    missing = next((since for since in range(1, version) if since not in by_version), None)
    if missing is not None:
        raise ModelError(
            f"class {name}: schema_version is {version}, and nothing upgrades version {missing}: add a function with"
            f" @upgrade({missing})"
        )
    return tuple(by_version[since] for since in range(1, version))
