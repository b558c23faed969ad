"""Access patterns: the queries that a model is made for, named in its class, with typed parameters.

A pattern is a function of its parameters to conditions. It is called when the query is built, so it may name the model.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, Final, Generic, Literal, ParamSpec, TypeAlias, TypeVar

from msgspec import Struct

from dynamorm.arguments import check_choice, check_count
from dynamorm.errors import InvalidUse, ModelError, ValidationError
from dynamorm.models.expressions.tree import Condition
from dynamorm.models.schema.schema import Index

M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)
P = ParamSpec("P")

Found: TypeAlias = "Condition | tuple[Condition, ...]"
"""What a pattern's function gives: one condition, or several that all hold."""


class Settings(Struct, frozen=True):
    """What a pattern says beside its conditions."""

    index: str | None = None
    order_by: str | None = None
    direction: Literal["asc", "desc"] = "asc"
    limit: int | None = None


class Asked(Generic[M_co]):
    """A pattern with its arguments, for `DB.query`. It is of no database, and can be kept and used again."""

    __slots__ = ("conditions", "model", "settings")

    def __init__(self, model: type[M_co], conditions: tuple[Condition, ...], settings: Settings) -> None:
        self.model: type[M_co] = model
        self.conditions: tuple[Condition, ...] = conditions
        self.settings: Settings = settings

    def __repr__(self) -> str:
        return f"<Asked of {self.model.__name__}: {len(self.conditions)} conditions>"


class OfModel(Generic[P, M_co]):
    """A pattern of one class, which is called with the parameters of its function."""

    __slots__ = ("_model", "_pattern")

    def __init__(self, pattern: AccessPattern[P], model: type[M_co]) -> None:
        self._pattern = pattern
        self._model = model

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Asked[M_co]:
        """The pattern with these arguments.

        Raises: InvalidUse for arguments that its function does not take; ValidationError for what gives no conditions.

        Example: ``Order.open_orders("c1", least=500)``
        """
        pattern = self._pattern
        refusal = _refusal(pattern.where, args, kwargs)
        if refusal is not None:
            raise InvalidUse(
                f"{self._model.__name__}.{pattern.name}(...): {refusal}; it takes {signature(pattern.where)}",
                field=pattern.name,
            )
        found: Any = pattern.where(*args, **kwargs)
        conditions = found if isinstance(found, tuple) else (found,)
        for condition in conditions:
            if not isinstance(condition, Condition):
                raise ValidationError(
                    f"{self._model.__name__}.{pattern.name}: its function gives conditions such as {self._model.__name__}."
                    f"<field> == value, not {type(condition).__name__}",
                    field=pattern.name,
                )
        return Asked(self._model, conditions, pattern.settings)

    def __repr__(self) -> str:
        return f"<access pattern {self._model.__name__}.{self._pattern.name}{signature(self._pattern.where)}>"


class AccessPattern(Generic[P]):
    """What `access_pattern` declares. Asked of a class, it is the pattern of this class: subclasses have it too."""

    __slots__ = ("name", "settings", "where")

    def __init__(self, where: Callable[P, Found], settings: Settings) -> None:
        self.where: Callable[P, Found] = where
        self.settings: Settings = settings
        self.name: str = getattr(where, "__name__", "access_pattern")

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    def __get__(self, obj: M | None, owner: type[M]) -> OfModel[P, M]:
        return OfModel(self, owner)


_DIRECTIONS: Final = ("asc", "desc")


def access_pattern(
    where: Callable[P, Found],
    *,
    index: str | Index | None = None,
    order_by: str | None = None,
    direction: Literal["asc", "desc"] = "asc",
    limit: int | None = None,
) -> AccessPattern[P]:
    """Name a query that a model is made for. ``where`` is a function of the parameters, which gives its conditions.

    It is run by ``db.query(Model.name(...))``, which gives a query like any other: it can be filtered, limited, paged. ``index``,
    ``order_by`` with its ``direction``, and ``limit`` are those of queries.

    Raises: ModelError, in the class body, for what is no function, or a setting of another kind.

    Example::

        def _open_orders(customer: str, least: int = 0) -> Condition:
            return (Order.customer == customer) & (Order.total >= least)


        class Order(Model, table="orders"):
            customer: Attr[str] = partition_key()
            number: Attr[int] = sort_key()
            total: Attr[int]
            by_total = lsi("by-total", sort="total")
            open_orders = access_pattern(_open_orders, index=by_total)


        db.query(Order.open_orders("c1", least=500)).limit(10).page()
    """
    if not callable(where):
        raise ModelError(
            "access_pattern() takes a function of the parameters, which gives conditions such as Order.customer == customer;"
            f" got {type(where).__name__}"
        )
    if index is not None and not isinstance(index, (str, Index)):
        raise ModelError(f"access_pattern(): index is a name or a declared index, not {type(index).__name__}")
    if order_by is not None and not isinstance(order_by, str):
        raise ModelError(f"access_pattern(): order_by is the name of a field, not {type(order_by).__name__}")
    settings = Settings(
        index.name if isinstance(index, Index) else index,
        order_by,
        check_choice("direction", direction, _DIRECTIONS),
        None if limit is None else check_count("limit", limit),
    )
    return AccessPattern(where, settings)


def _refusal(where: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """What is wrong with the arguments of a pattern, without their values; None where they are right."""
    try:
        signature(where).bind(*args, **kwargs)
    except TypeError as error:
        return str(error)
    return None
