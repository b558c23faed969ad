"""`AsyncIdempotent`, for asyncio: a task renews the lease. `blocking` is its mirror."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context, Token
from inspect import isawaitable, iscoroutinefunction
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from dynamorm.effects import Call
from dynamorm.errors import DynamORMError, InvalidUse

from .as_called import Called, as_called
from .asked import Asked, known_of
from .operation import CURRENT, Operation
from .options import Options

P = ParamSpec("P")
T = TypeVar("T")


class AsyncIdempotentOperation(Operation):
    """An operation on the asyncio face."""

    def __init__(self, records: Any, options: Options, run: Callable[[Any], Any]) -> None:
        super().__init__(records, known_of(records.database), options)
        self._run = run
        self._task: asyncio.Task[None] | None = None
        self._token: Token[Any] | None = None

    @overload
    async def step(self, name: str, fn: Callable[[str], Awaitable[T]], /, *, once: bool = False) -> T: ...
    @overload
    async def step(self, name: str, fn: Callable[[str], T], /, *, once: bool = False) -> T: ...
    async def step(self, name: str, fn: Callable[[str], Any], /, *, once: bool = False) -> Any:
        """Do something outside of the database, and keep its result: who comes after a crash gets it from there.

        ``fn`` is called with one argument, the key for the other side: 32 hex digits that stay the same while this operation is
        tried again. What it gives is awaited, where that can be; a plain function runs in this thread and must not block. A step is
        done at least once; once only if the other side honours that key. With ``once=True`` it is not done again after it was
        begun without a result: StepUnknown is raised instead. The result is what an answer may be.

        Raises: AlreadyDone where the operation was done before; LeaseLost before ``fn``, NOT_APPLIED, or behind it, UNKNOWN;
        StepUnknown; ValidationError for a name that was used in this block, before ``fn``.

        Example: ``charge = await op.step("charge", lambda key: psp.charge(500, idempotency_key=key))``
        """

        def effect(key: str) -> Call:
            async def called() -> Any:
                result = fn(key)
                return (await result) if isawaitable(result) else result

            return Call(_never, called)

        return await self._run(self._execution.step(name, fn, effect, once=once))

    async def begin(self) -> None:
        """Have the key, or its answer: what entering the block does."""
        await self._run(self._execution.acquire())
        if not self.replayed and self._execution.is_beating:
            loop = asyncio.get_running_loop()
            # Of the caller's context, a deadline would end the beats as well.
            self._task = loop.create_task(self._beat(), name="dynamorm-idempotent", context=Context())
        self._token = CURRENT.set(self)

    async def end(self, error: BaseException | None = None) -> None:
        """Commit, or keep what has failed, or give the key back: what leaving the block does."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._token is not None:
            with suppress(ValueError):  # the block is left in another context than it was entered in
                CURRENT.reset(self._token)
            self._token = None
        await self._run(self._ended(error))

    async def _beat(self) -> None:
        execution = self._execution
        while execution.is_beating:
            await asyncio.sleep(execution.options.lease_ms / 3_000)
            try:
                await self._run(execution.beat())
            except DynamORMError:
                continue  # the next one tries again

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._execution.options.scope}>"  # a key is a value


class AsyncIdempotent(Asked):
    """An operation that is run once for its key. Made by `AsyncDB.idempotent`; an asynchronous context manager, and a decorator."""

    _operation: AsyncIdempotentOperation | None = None

    async def __aenter__(self) -> AsyncIdempotentOperation:
        operation = AsyncIdempotentOperation(*self._of_block(), self._run)
        await operation.begin()
        self._operation = operation
        return operation

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._operation is not None:
            await self._operation.end(error)

    def __call__(
        self, function: Callable[Concatenate[AsyncIdempotentOperation, P], Awaitable[T]], /
    ) -> Callable[P, Awaitable[T]]:
        """Let each call of a function be an operation: it is given the operation first, and what it returns is the answer.

        ``key`` and ``payload`` may be functions of the call's arguments. A call that is a replay returns the answer of then; the
        function is not called. A call inside a `tenant_scope` is that tenant's, wherever it is awaited, and has keys and answers of its own.
        """
        if not iscoroutinefunction(function):
            raise InvalidUse(
                "db.idempotent(...) of an AsyncDB decorates coroutine functions; plain functions are for a blocking DB"
            )

        async def operated(*args: P.args, **kwargs: P.kwargs) -> T:
            operation = AsyncIdempotentOperation(*self._of_call(args, kwargs), self._run)
            await operation.begin()
            if operation.replayed:
                await operation.end()
                response: T = operation.response
                return response
            try:
                operation.respond(await function(operation, *args, **kwargs))
            except BaseException as error:
                await operation.end(error)
                raise
            await operation.end()
            answer: T = operation.response
            return answer

        @as_called(function, lambda: self._records.in_scope().scope)
        async def called(of: Called, *args: Any, **kwargs: Any) -> Any:
            return await of.run(operated, *args, **kwargs)

        return called


def _never() -> None:
    """The blocking half of a step on the asyncio face."""
