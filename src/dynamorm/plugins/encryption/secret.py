"""`Secret`, a value that is held in memory for a while, revealed once, and shown, stored and sent nowhere; and `Ephemeral`."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import Any, ClassVar, Final

from dynamorm.errors import EphemeralGone, ValidationError

EXPIRES: Final = 60.0
"""Seconds for which a secret is held."""
_SHOWN: Final = "<ephemeral>"


class Secret:
    """A text or bytes that is revealed once, within 60 seconds, and never shown, compared, pickled or stored.

    What it was made of stays with who made it; what it holds is overwritten when it was revealed, has expired or is let go of.
    A copy, and what is read from a pickle, holds nothing.

    Raises: ValidationError for what is neither text nor bytes.

    Example::

        card = Card(token="t1", cvv=Secret("123"))
        with card.cvv.reveal() as cvv:
            authorize(bytes(cvv))
    """

    __slots__ = ("_data", "_until")

    def __init__(self, value: str | bytes | bytearray, /) -> None:
        self._data: bytearray | None = _bytes_of(value)
        if self._data is None:
            kind, value = type(value).__name__, ""  # no frame holds what an error does not tell
            kind = "a text that is not valid Unicode" if kind == "str" else kind
            raise ValidationError(f"a Secret is made of a text or bytes, not of {kind}")
        self._until: float = monotonic() + EXPIRES

    @classmethod
    def gone(cls) -> Secret:
        """One that holds nothing any more, as a loaded object has it."""
        made = cls("")
        made._data = None
        return made

    @classmethod
    def of(cls, value: Any) -> Any:
        """The secret of a value; None of None."""
        if value is None or isinstance(value, Secret):
            return value
        held = [value]
        value = None  # as above
        return cls(held.pop())

    def reveal(self) -> Revealed:
        """Give the bytes, once: a context manager, whose ``with`` gives a read-only `memoryview`.

        Raises: EphemeralGone on entering it a second time, when it has expired, and of a loaded object.

        Example: ``with card.cvv.reveal() as cvv: authorize(bytes(cvv))``
        """
        return Revealed(self)

    def _take(self) -> bytearray:
        data, self._data = self._data, None
        if data is None:
            raise EphemeralGone("an ephemeral value was revealed before, or was never here: it is not stored")
        if monotonic() > self._until:
            _wipe(data)
            raise EphemeralGone(f"an ephemeral value is held for {EXPIRES:g} s, and these are over")
        return data

    def __del__(self) -> None:
        data = getattr(self, "_data", None)
        if data is not None:
            _wipe(data)

    def __repr__(self) -> str:
        return _SHOWN

    def __format__(self, spec: str) -> str:
        return _SHOWN

    __hash__: ClassVar[None] = None  # type: ignore[assignment] # pyright: ignore[reportIncompatibleMethodOverride] # it is equal to itself alone, and no key of anything

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret.gone, ()

    def __copy__(self) -> Secret:
        return Secret.gone()

    def __deepcopy__(self, memo: Any) -> Secret:
        return Secret.gone()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let pydantic take a text, and show nothing."""
        from pydantic_core import core_schema  # only pydantic asks

        shown = core_schema.plain_serializer_function_ser_schema(lambda _: _SHOWN)
        return core_schema.no_info_plain_validator_function(_validated, serialization=shown)


class Revealed:
    """What `Secret.reveal` gives: the bytes are overwritten at the end of its block."""

    __slots__ = ("_data", "_secret", "_view")

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._data: bytearray | None = None
        self._view: memoryview | None = None

    def __enter__(self) -> memoryview:
        self._data = self._secret._take()  # noqa: SLF001 - one unit with it
        self._view = view = memoryview(self._data).toreadonly()
        return view

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        data, view, self._data, self._view = self._data, self._view, None, None
        if data is not None:
            _wipe(data)
        if view is not None:
            try:
                view.release()
            except BufferError:  # a part of it is still held: it shows zeros
                return

    def __repr__(self) -> str:
        return _SHOWN


def _bytes_of(value: Any) -> bytearray | None:
    """The bytes of a text, or of bytes; None of anything else. It raises nothing: an error would hold the value."""
    if isinstance(value, str):
        try:
            return bytearray(value, "utf-8")
        except UnicodeEncodeError:
            return None
    return bytearray(value) if isinstance(value, (bytes, bytearray)) else None


def _wipe(data: bytearray) -> None:
    data[:] = bytes(len(data))


def _validated(value: Any) -> Any:
    held = [value]
    value = None  # as above
    try:
        return Secret.of(held.pop())
    except ValidationError as error:
        message = error.message
    raise ValueError(message)


class Ephemeral:
    """Field option: the value is held in memory for a while, and stored nowhere. It becomes a `Secret` when it is given.

    What a table holds under this name, for another program stored it, is not read, and is removed by the next write of its item.

    Example: ``cvv: Attr[Secret | None] = attr(Ephemeral(), default=None)``
    """

    __slots__ = ()
    unstored = True
    secret = True
    shown = _SHOWN

    def wrap(self, value: Any) -> Any:
        """What the object holds of a value that it is given."""
        held = [value]
        value = None  # no frame holds what an error does not tell
        return Secret.of(held.pop())

    def loaded(self) -> Secret:
        """What a loaded object holds."""
        return Secret.gone()

    def __repr__(self) -> str:
        return "Ephemeral()"
