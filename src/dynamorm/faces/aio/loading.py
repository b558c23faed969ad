# Generated from ../blocking/loading.py by scripts/async_face.py: change that one.
"""`AsyncLoading`, the part of the asyncio face that works on objects that a program has: refresh, patch, save_all, populate.

One line per method, each runs a flow; `AsyncDB` inherits them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from .updating import AsyncUpdating

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping

    from dynamorm.features.loading.references import Populated
    from dynamorm.models.expressions.path import Condition, Path

    from ...ops.verbs.batch_result import BatchResult

M = TypeVar("M")


class AsyncLoading(AsyncUpdating):
    """What `AsyncDB` does with objects that a program has already."""

    async def refresh(self, obj: M, /) -> M:
        """Read an object anew, consistently: it takes over what is stored now. Returns the same object.

        What was changed in it and not saved is lost. A new object becomes a loaded one.

        Raises: NotFound when there is no item any more, and the object is as it was; ValidationError for a key that was changed.

        Example: ``await db.refresh(payment)``
        """
        session = self._session
        key = session.verbs.refreshing.key_of(session, obj)
        fresh = await self._io.run(session.verbs.items.require(session, type(obj), key, {}, consistent=True))
        refreshed: M = session.verbs.refreshing.taken_over(session, obj, fresh)
        return refreshed

    @overload
    async def patch(
        self,
        model: type[M],
        key: Hashable,
        changes: Mapping[str, Any],
        /,
        *,
        condition: Condition | None = ...,
        allow: Collection[str] = ...,
    ) -> M: ...
    @overload
    async def patch(
        self,
        model: type[M],
        partition: Hashable,
        sort: Hashable,
        changes: Mapping[str, Any],
        /,
        *,
        condition: Condition | None = ...,
        allow: Collection[str] = ...,
    ) -> M: ...
    @overload
    async def patch(
        self,
        model: type[M],
        changes: Mapping[str, Any],
        /,
        *,
        condition: Condition | None = ...,
        allow: Collection[str] = ...,
        **parts: Any,
    ) -> M: ...
    @overload
    async def patch(
        self,
        obj: M,
        changes: Mapping[str, Any],
        /,
        *,
        condition: Condition | None = ...,
        allow: Collection[str] = ...,
    ) -> M: ...
    async def patch(
        self,
        subject: Any,
        /,
        *args: Any,
        condition: Condition | None = None,
        allow: Collection[str] = (),
        **parts: Any,
    ) -> Any:
        """`update`, whose changes are a mapping of field names to values, as ``model_dump(exclude_unset=True)`` gives it.

        None stores what `create` stores for None: mostly the attribute is taken away. A mapping for a field that holds an object
        changes inside that one; for any other field it is the new value. By key the version is raised, of an object it is checked.

        Raises: ValidationError, before anything is sent, for what is no mapping, is empty, or names what is no field; and as `update`.

        Example: ``await db.patch(Payment, "p1", body.model_dump(exclude_unset=True))`` or ``await db.patch(payment, {"note": None})``
        """
        session = self._session
        args = session.verbs.patching.as_update(session, subject, args)
        flow = session.verbs.update.update(
            session, subject, args, parts, condition=condition, upsert=False, allow=allow
        )
        return await self._io.run(flow)

    async def save_all(self, objs: Iterable[Any], /, *, concurrency: int = 4) -> BatchResult:
        """Save objects of any models, each as `save` does: under its version, and only what has changed. Says what became of each.

        ``concurrency`` of them are under way at once. Each is saved for itself: use `transaction` where all or none may be.
        An object that was not changed is among the written ones, and nothing is sent for it.

        Raises: ValidationError, before anything is sent, for what is no object of a model, and for two objects of one item.
        What cannot be stored, is refused or left open, is in the result.

        Example: ``result = await db.save_all(payments); retry = [failure.item for failure in result.failed]``
        """
        session = self._session
        verbs = session.verbs
        return await self._io.run(verbs.saving.save_all(session, objs, verbs.save.save, concurrency=concurrency))

    async def populate(
        self,
        objs: Iterable[Any],
        field: Path[Any] | tuple[Path[Any], ...] | dict[str, Path[Any]],
        model: type[M],
        /,
        *,
        consistent: bool = False,
        concurrency: int = 4,
    ) -> Populated[M]:
        """Read what objects refer to, each item once, by as few requests as `batch_get` needs.

        ``field`` is the field that holds the key of an item of ``model``; a tuple of fields for a key of two attributes, or a dict
        of fields by the names of the key's parts. An object whose field is None refers to nothing.

        Raises: ValidationError, before anything is sent, for a field that the objects have not, and a value that is no key; as
        `batch_get` otherwise.

        Example: ``customers = await db.populate(orders, Order.customer_id, Customer)``, then ``customers[order].name``
        """
        session = self._session
        references = session.verbs.references.References(session, objs, field, model)
        items = await self._io.run(
            session.verbs.batch.get(session, model, references.keys, consistent=consistent, concurrency=concurrency)
        )
        return references.populated(items)
