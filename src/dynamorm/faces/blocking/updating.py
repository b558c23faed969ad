"""`Updating`, the part of the blocking face that changes attributes of one item in place: update and upsert.

One line per method, each runs a flow; `DB` inherits them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .bulk import Many

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

    from dynamorm.models.expressions.path import Condition, Update

M = TypeVar("M")


class Updating(Many):
    """What `DB` does with single attributes."""

    @overload
    def update(
        self,
        model: type[M],
        /,
        *key_and_updates: Hashable,
        condition: Condition | None = ...,
        upsert: bool = ...,
        allow: Collection[str] = ...,
        returning: Literal["new", "updated_new"] = ...,
        **parts: Any,
    ) -> M: ...
    @overload
    def update(
        self,
        model: type[M],
        /,
        *key_and_updates: Hashable,
        condition: Condition | None = ...,
        upsert: Literal[False] = ...,
        allow: Collection[str] = ...,
        returning: Literal["old", "updated_old"],
        **parts: Any,
    ) -> M: ...
    @overload
    def update(
        self,
        model: type[M],
        /,
        *key_and_updates: Hashable,
        condition: Condition | None = ...,
        upsert: bool,
        allow: Collection[str] = ...,
        returning: Literal["old", "updated_old"],
        **parts: Any,
    ) -> M | None: ...
    @overload
    def update(
        self,
        model: type[M],
        /,
        *key_and_updates: Hashable,
        condition: Condition | None = ...,
        upsert: bool = ...,
        allow: Collection[str] = ...,
        returning: None,
        **parts: Any,
    ) -> None: ...
    @overload
    def update(
        self,
        obj: M,
        /,
        *updates: Update,
        condition: Condition | None = ...,
        upsert: bool = ...,
        allow: Collection[str] = ...,
    ) -> M: ...
    def update(
        self,
        subject: Any,
        /,
        *args: Any,
        condition: Condition | None = None,
        upsert: bool = False,
        allow: Collection[str] = (),
        returning: Literal["new", "old", "updated_new", "updated_old"] | None = "new",
        **parts: Any,
    ) -> Any:
        """Change attributes of one item in place, exactly once. Returns the object as it is afterwards.

        The subject is an object (its version is checked when it was loaded, and it is refreshed), or a model followed
        by the key (the version is only raised). The item must exist unless ``upsert``. ``allow`` names the protected
        fields that this update may change.

        By key, ``returning`` says what is given: ``"old"`` is the object as it was before, None where an upsert made the item;
        ``"updated_new"`` and ``"updated_old"`` are partial objects, as of ``select``, of the key and the attributes that were
        updated, as they are after and were before. A call that gives what was before is never repeated, nor settled: without an
        answer it is OutcomeUnknown. ``None`` gives None, and spares the read that follows a write sent as a transaction (see the
        guide's classes of writes).

        Raises: VersionConflict, MissingItem, ConditionFailed (OutOfBounds); ValidationError, before anything is sent, for an update
        of a key, a library-owned, immutable or protected field, and for what was before of a write that goes as a transaction
        with others.

        Example: ``db.update(payment, Payment.amount.add(5), Payment.note.remove())``
        or ``db.update(Payment, "p1", Payment.amount.add(5))``
        """
        session = self._session
        flow = session.verbs.update.update(
            session, subject, args, parts, condition=condition, upsert=upsert, allow=allow, returning=returning
        )
        return self._io.run(flow)

    @overload
    def upsert(
        self,
        model: type[M],
        /,
        *key_and_updates: Hashable,
        condition: Condition | None = ...,
        returning: Literal["new", "updated_new"] = ...,
        **parts: Any,
    ) -> M: ...
    @overload
    def upsert(
        self,
        model: type[M],
        /,
        *key_and_updates: Hashable,
        condition: Condition | None = ...,
        returning: Literal["old", "updated_old"],
        **parts: Any,
    ) -> M | None: ...
    @overload
    def upsert(
        self,
        model: type[M],
        /,
        *key_and_updates: Hashable,
        condition: Condition | None = ...,
        returning: None,
        **parts: Any,
    ) -> None: ...
    @overload
    def upsert(self, obj: M, /, *updates: Update, condition: Condition | None = ...) -> M: ...
    def upsert(
        self,
        subject: Any,
        /,
        *args: Any,
        condition: Condition | None = None,
        returning: Literal["new", "old", "updated_new", "updated_old"] | None = "new",
        **parts: Any,
    ) -> Any:
        """`update` that makes the item when there is none: with the defaults, or with what the object holds.

        Raises: ValidationError, before anything is sent, by key when a field that must be there is not among the updates.

        Example: ``db.upsert(Counter, "visits", Counter.count.add(1))``
        """
        session = self._session
        flow = session.verbs.update.update(
            session, subject, args, parts, condition=condition, upsert=True, returning=returning
        )
        return self._io.run(flow)
