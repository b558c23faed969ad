"""Readers for a model with a schema version: an item of an older one is brought to the newest before there is an object.

The typed decoder knows items of the newest version alone: any other leads to the careful path, which upgrades it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import dumps
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.models.schema.overriding import override

from .mixed_pages import MixedPages, mixed_pages
from .reading import Reading

if TYPE_CHECKING:
    from .known import Looks
    from .reading import KeepsRaw, PageParts


class UpgradingReading(Reading):
    """As `Reading`, of a model with a schema version. The state of an object is the item as it is stored."""

    @override
    def _read(self, raw: bytes, item: dict[str, Any]) -> Any:
        own = None if self._family is None else self._family.codec(item)
        if own is not None:
            return own.reading._proven(raw, item)  # noqa: SLF001 - the reader of a subclass
        upgrades = self._codec.upgrades
        assert upgrades is not None  # else the model has the plain readers
        newer = upgrades.upgraded(item)
        if newer is item:
            return super()._read(raw, item)
        try:
            return self._former(raw, newer)
        except ValidationError as error:
            if type(error) is not ValidationError:  # what a plugin says of it stays
                raise
            failed = upgrades.misfit(error)
        raise failed

    def _former(self, raw: bytes, newer: dict[str, Any]) -> Any:
        """The object of an item that was upgraded; ``raw`` is the stored one."""
        codec = self._codec
        if not self._renamed or codec.record.members(newer) is newer:
            try:
                return self._make(self._item(dumps(newer)), raw)
            except DynamORMError:
                raise
            except Exception:  # noqa: BLE001, S110 - the careful path says what is wrong
                pass
        return codec.careful.decode(newer, raw)

    @cached_property
    def _mixed(self) -> MixedPages | None:
        return mixed_pages(self._codec)

    @override
    def page(
        self, body: bytes, *, lenient: bool = False, keeps: KeepsRaw | None = None, looks: Looks | None = None
    ) -> PageParts:
        mixed = self._mixed
        if mixed is not None and mixed.is_mixed:  # the next page most likely is, too
            return self._careful_page(body, lenient=lenient, keeps=keeps)
        return super().page(body, lenient=lenient, keeps=keeps, looks=looks)

    @override
    def _careful_page(self, body: bytes, *, lenient: bool, keeps: KeepsRaw | None) -> PageParts:
        mixed = self._mixed
        found = None if mixed is None else mixed.read(body, keeps, self._make_many)
        return super()._careful_page(body, lenient=lenient, keeps=keeps) if found is None else found

    @override
    def _keeping(self, raw: bytes, item: dict[str, Any]) -> Any:
        obj = self._read(raw, item)
        upgrades = self._codec.upgrades
        if obj.__class__ is self._codec.model and upgrades is not None:
            newer = upgrades.upgraded(item)
            if self._loses(newer):
                self._codec.inner.gather(obj, raw, newer)
        return obj
