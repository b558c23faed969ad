"""`Idempotent`, for blocking code: a thread renews the lease. `aio` is its mirror."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import Token
from functools import wraps
from inspect import iscoroutinefunction
from threading import Event, Thread
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from dynamorm.effects import Call
from dynamorm.errors import DynamORMError, InvalidUse, ValidationError
from dynamorm.errors.log import close_coroutine

from .asked import Asked, known_of
from .operation import CURRENT, Operation
from .options import Options

P = ParamSpec("P")
T = TypeVar("T")


class IdempotentOperation(Operation):
    """An operation on the blocking face."""

    def __init__(self, records: Any, options: Options, run: Callable[[Any], Any]) -> None:
        super().__init__(records, known_of(records.database), options)
        self._run = run
        self._over = Event()
        self._thread: Thread | None = None
        self._token: Token[Any] | None = None

    def step(self, name: str, fn: Callable[[str], T], /, *, once: bool = False) -> T:
        """Do something outside of the database, and keep its result: who comes after a crash gets it from there.

        ``fn`` is called with one argument, the key for the other side: 32 hex digits that stay the same while this operation is
        tried again. A step is done at least once; once only if the other side honours that key. With ``once=True`` it is not done
        again after it was begun without a result: StepUnknown is raised instead. The result is what an answer may be.

        Raises: AlreadyDone where the operation was done before; LeaseLost before ``fn``, NOT_APPLIED, or behind it, UNKNOWN;
        StepUnknown; ValidationError for a name that was used in this block, before ``fn``.

        Example: ``charge = op.step("charge", lambda key: psp.charge(500, idempotency_key=key))``
        """
        found: T = self._run(self._execution.step(name, fn, lambda key: Call(lambda: _called(fn, key)), once=once))
        return found

    def begin(self) -> None:
        """Have the key, or its answer: what entering the block does."""
        execution = self._execution
        try:
            self._run(execution.acquire())
            if not self.replayed and execution.is_beating:
                self._thread = Thread(target=self._beat, name="dynamorm-idempotent", daemon=True)
                self._thread.start()
            self._token = CURRENT.set(self)
        except BaseException:  # such as of a signal, which may come between any two lines
            self.let_go()
            raise

    def end(self, error: BaseException | None = None) -> None:
        """Commit, or keep what has failed, or give the key back: what leaving the block does."""
        self._stop()
        self._run(self._ended(error))

    def let_go(self) -> None:
        """Give the key back to others, for the block is not entered."""
        self._stop()
        with suppress(DynamORMError):
            self._run(self._execution.release())

    def _stop(self) -> None:
        self._over.set()
        if self._token is not None:
            with suppress(ValueError):  # the block is left in another context than it was entered in
                CURRENT.reset(self._token)
            self._token = None

    def _beat(self) -> None:
        execution = self._execution
        while not self._over.wait(execution.options.lease_ms / 3_000) and execution.is_beating:
            try:
                self._run(execution.beat())
            except DynamORMError:
                continue  # the next one tries again

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._execution.options.scope}>"  # a key is a value


class Idempotent(Asked):
    """An operation that is run once for its key. Made by `DB.idempotent`; a context manager, and a decorator."""

    _operation: IdempotentOperation | None = None

    def __enter__(self) -> IdempotentOperation:
        operation = self._operation = IdempotentOperation(*self._of_block(), self._run)
        try:
            operation.begin()
            return operation  # noqa: TRY300 - a signal may come before it
        except BaseException:  # nobody will leave the block
            operation.let_go()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._operation is not None:
            self._operation.end(error)

    def __call__(self, function: Callable[Concatenate[IdempotentOperation, P], T], /) -> Callable[P, T]:
        """Let each call of a function be an operation: it is given the operation first, and what it returns is the answer.

        ``key`` and ``payload`` may be functions of the call's arguments. A call that is a replay returns the answer of then; the
        function is not called. A call inside a `tenant_scope` is that tenant's, and has keys and answers of its own.
        """
        if iscoroutinefunction(function):
            raise InvalidUse(
                "db.idempotent(...) of a blocking DB decorates plain functions; coroutine functions are for an AsyncDB"
            )

        @wraps(function)
        def operated(*args: P.args, **kwargs: P.kwargs) -> T:
            operation = IdempotentOperation(*self._of_call(args, kwargs), self._run)
            operation.begin()
            if operation.replayed:
                operation.end()
                response: T = operation.response
                return response
            try:
                operation.respond(function(operation, *args, **kwargs))
            except BaseException as error:
                operation.end(error)
                raise
            operation.end()
            answer: T = operation.response
            return answer

        return operated


def _called(fn: Callable[[str], Any], key: str) -> Any:
    result = fn(key)
    if close_coroutine(result):
        raise ValidationError("a step of a blocking DB is a plain function, and this one gave a coroutine", field="fn")
    return result
