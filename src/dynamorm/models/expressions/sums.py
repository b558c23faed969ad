"""What DynamoDB computes of attributes: ``P.b + 1``, ``P.b - P.c``, ``P.b.concat(P.c)``; and the part of a path that has it.

This module only builds trees; it must know neither wire types nor DynamoDB's grammar.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from .mistakes import refused_sum, teach_sums
from .tree import Computed, Location, Wire, refuse

U = TypeVar("U")
H_co = TypeVar("H_co", covariant=True)


class Holds(Location, Generic[H_co]):
    """What a path is to a type checker when only read: what holds a ``str`` also holds a ``str | None``.

    It is the ``self`` of the methods that only some paths have. A path itself is exact, since it can also be set.
    """

    __slots__ = ()

    # What DynamoDB computes, for .set(...) of an attribute

    @overload
    def __add__(self: Holds[int | None], other: int | Holds[int | None]) -> Sum[int]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload] - of None alone nothing is computed
    @overload
    def __add__(
        self: Holds[Decimal | None], other: Decimal | int | Holds[Decimal | None] | Holds[int | None]
    ) -> Sum[Decimal]: ...
    @overload
    def __add__(self: Holds[float], other: float | Holds[float]) -> Sum[float]: ...
    def __add__(self, other: Any) -> Sum[Any]:
        return _sum("+", self, other)

    @overload
    def __radd__(self: Holds[int | None], other: int) -> Sum[int]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload] - of None alone nothing is computed
    @overload
    def __radd__(self: Holds[Decimal | None], other: Decimal | int) -> Sum[Decimal]: ...
    @overload
    def __radd__(self: Holds[float], other: float) -> Sum[float]: ...
    def __radd__(self, other: Any) -> Sum[Any]:
        return _sum("+", self, other, turned=True)

    @overload
    def __sub__(self: Holds[int | None], other: int | Holds[int | None]) -> Sum[int]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload] - of None alone nothing is computed
    @overload
    def __sub__(
        self: Holds[Decimal | None], other: Decimal | int | Holds[Decimal | None] | Holds[int | None]
    ) -> Sum[Decimal]: ...
    @overload
    def __sub__(self: Holds[float], other: float | Holds[float]) -> Sum[float]: ...
    def __sub__(self, other: Any) -> Sum[Any]:
        return _sum("-", self, other)

    @overload
    def __rsub__(self: Holds[int | None], other: int) -> Sum[int]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload] - of None alone nothing is computed
    @overload
    def __rsub__(self: Holds[Decimal | None], other: Decimal | int) -> Sum[Decimal]: ...
    @overload
    def __rsub__(self: Holds[float], other: float) -> Sum[float]: ...
    def __rsub__(self, other: Any) -> Sum[Any]:
        return _sum("-", self, other, turned=True)

    def concat(self: Holds[list[U] | None], other: Holds[list[U] | None] | list[U]) -> Sum[list[U]]:
        """This list, and behind it another one: an attribute, or a list. It is computed by DynamoDB, for ``.set(...)``.

        Raises: ValidationError for what is no list.

        Example: ``Payment.notes.set(Payment.notes.concat(Payment.drafts))``
        """
        if not isinstance(other, (Holds, list, tuple)):
            raise refuse(self, f"concat() needs another attribute or a list, got {type(other).__name__}")
        return Sum("list_append", (self, other))


class Sum(Computed, Generic[H_co]):
    """What DynamoDB computes of attributes, as type checkers see it: ``P.b + 1`` of an attribute that holds an int is a ``Sum[int]``.

    It goes into ``.set(...)`` of an attribute, and nowhere else. DynamoDB computes one ``+`` or ``-`` for each attribute.

    Raises: InvalidUse when it is computed with, or compared.

    Example: ``Payment.total.set(Payment.amount + Payment.fee)``
    """

    __slots__ = ()

    if TYPE_CHECKING:
        # What may be a key is hashable: so type checkers tell what is computed from the key and the updates of `update`.
        __hash__: ClassVar[None]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]


teach_sums(Sum)


def _sum(op: str, path: Holds[Any], other: Any, *, turned: bool = False) -> Sum[Any]:
    if isinstance(other, (int, Decimal, float, Holds, Wire)) and not isinstance(other, bool):
        return Sum(op, (other, path) if turned else (path, other))
    raise refused_sum(op, path, other, turned=turned)
