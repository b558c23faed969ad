"""The blind index of an encrypted field: what is stored beside its values, and asked for in their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dynamorm.errors import ModelError
from dynamorm.plugin import Unread

from ..blind import BlindIndex
from ..options import Encrypted
from ..v1 import V1
from ..values import Read
from .sealed import SealedField

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place

    from ..keys import Keys


class SearchedField(SealedField):
    """A field that may have a blind index."""

    def __init__(self, schema: Any, field: Any, option: Encrypted, keys: Keys, v1: V1) -> None:
        super().__init__(schema, field, option, keys, v1)
        self.exact: bool = not option.bits
        self.blind: BlindIndex | None = None
        if option.indexed:
            self.blind = BlindIndex(self.where, field.stored, self.crypto_name, option)
            self.beside_names: tuple[str, ...] = self.blind.names

    def settled(self, classes: tuple[Any, ...], expected: str, fields: Mapping[str, Any]) -> None:
        """See `dynamorm.plugin.PlacedField`. Raises: ModelError."""
        if self.blind is not None:
            self.blind.check(classes, expected)
        super().settled(classes, expected, fields)

    def beside(self, wire: dict[str, Any] | None, place: Place) -> dict[str, dict[str, Any]]:
        """The blind index of a value, by stored name. Raises: NotReady."""
        if self.blind is None or wire is None or "NULL" in wire:
            return {}
        found = self._stored_hashes(wire, place)
        return {name: {"B": value} for name, value in zip(self.blind.names, found, strict=False)}

    def _stored_hashes(self, wire: dict[str, Any], place: Any) -> list[bytes]:
        tenant = self._tenant(place)
        self._note(tenant, tenant.blind, self._keys.active(tenant.blind))
        return self._hashes(wire, place)

    def _hashes(self, wire: dict[str, Any], place: Any) -> list[bytes]:
        assert self.blind is not None  # asked for only then
        key = self._keys.active(self._tenant(place).blind)
        return self.blind.values(wire, key, self._keys.keyring.seconds() if key.other is not None else 0)

    def operand(self, kind: str) -> Callable[[dict[str, Any], Mapping[str, str]], Any] | None:
        """What is compared with the blind index; nothing else can be. Raises: ModelError."""
        if kind not in {"search", "equals"} or self.blind is None:
            raise ModelError(
                f"{self.where} is encrypted, so that no condition can compare it ({kind}): two envelopes of one value differ; "
                + (
                    "use .equals(value)"
                    if self.blind is not None
                    else "load the object, or say searchable=True and ask by .equals(value)"
                ),
                code="ErrEncryptedFieldNotQueryable",
            )
        if kind == "equals" and not self.exact:
            raise ModelError(
                f"{self.where} has a blind index of {self.option.bits} bits, which several values share: it is asked for in a"
                " query, by a term of where(...) that stands alone, and in no other condition",
                code="ErrEncryptedFieldNotQueryable",
            )
        return self._search

    def _search(self, wire: dict[str, Any], scope: Mapping[str, str]) -> dict[str, Any]:
        assert self.blind is not None  # or there would be no operand
        place: Any = Read((), lambda _: None, scope)
        if self.option.plaintext_until is not None:
            active = self._keys.active(self._tenant(place).ring)
            if self.mark not in active.complete:
                raise ModelError(
                    f"{self.where} may still be stored in the clear, where no blind index finds it: run"
                    " db.keys.reencrypt(...) to its end before",
                    code="ErrEncryptedFieldNotQueryable",
                )
        return {self.blind.names[0]: [{"B": value} for value in self._hashes(wire, place)]}

    def matches(self, left: dict[str, Any] | None, right: dict[str, Any] | None) -> bool:
        """See `dynamorm.plugin.PlacedField`."""
        if left is None or right is None or self.blind is None or isinstance(left, Unread):
            return False
        return self.blind.normal(left) == self.blind.normal(right)
