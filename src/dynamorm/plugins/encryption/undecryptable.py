"""`Undecryptable`, what an object holds of a value that cannot be opened, where its field says so."""

from __future__ import annotations

from typing import Any, ClassVar, Final, NoReturn

from dynamorm.errors import EncryptionError
from dynamorm.plugin import Unread


class Undecryptable(Unread):
    """Stands for an encrypted value that could not be opened: any use of it raises why. ``error`` says it without raising.

    A save of its object leaves what is stored as it is; a put of it is refused.

    Example: ``if isinstance(card.number, Undecryptable): report(card.number.error)``
    """

    __slots__ = ("error",)

    def __init__(self, stored: dict[str, Any], error: EncryptionError) -> None:
        super().__init__(stored)
        self.error: EncryptionError = error

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise type(self.error)(self.error.message)

    __hash__: ClassVar[None] = None  # pyright: ignore[reportIncompatibleMethodOverride] # it is no value

    def __copy__(self) -> Undecryptable:
        return self

    def __deepcopy__(self, memo: Any) -> Undecryptable:
        return self

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def __repr__(self) -> str:
        return "<undecryptable>"


_USES: Final = (
    "str", "format", "bool", "len", "iter", "contains", "getitem", "eq", "ne", "lt", "le", "gt", "ge", "add", "radd", "int",
    "float", "bytes", "reduce_ex",
)  # fmt: skip
for _use in _USES:
    setattr(Undecryptable, f"__{_use}__", Undecryptable._refuse)  # noqa: SLF001 - one unit with it
