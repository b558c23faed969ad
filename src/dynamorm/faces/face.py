"""`Face`, what `DB` and `AsyncDB` have in common: settings, and what is said where one is taken for another thing."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Protocol, Self, TypeAlias

from dynamorm.config.settings import Config
from dynamorm.models.schema.other_ways import FACE, of_settings, teach

from ..arguments import check_choice
from ..errors import ConfigError, InvalidUse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from types import ModuleType

    from ..session import Session

    class _Operation(Protocol):
        @property
        def operation(self) -> Callable[..., Any]: ...

    class _WriteRule(Protocol):
        @property
        def write_rule(self) -> Callable[..., Any]: ...

    class _ReadRule(Protocol):
        @property
        def read_rule(self) -> Callable[..., Any]: ...

    class _ScopeRule(Protocol):
        @property
        def scope_rule(self) -> Callable[..., Any]: ...

    class _Viewed(Protocol):
        @property
        def viewed(self) -> Callable[..., Any]: ...

    class _ScopeOf(Protocol):
        @property
        def scope_of(self) -> Callable[..., Any]: ...

    class _CredentialsOf(Protocol):
        @property
        def credentials_of(self) -> Callable[..., Any]: ...

    class _Administered(Protocol):
        @property
        def administered(self) -> Callable[..., Any]: ...

    class _Statement(Protocol):
        @property
        def statement(self) -> Callable[..., Any]: ...

    class _Finish(Protocol):
        @property
        def finish(self) -> Callable[..., Any]: ...

    class _Field(Protocol):
        @property
        def field(self) -> Callable[..., Any]: ...

    class _Model(Protocol):
        @property
        def model(self) -> Callable[..., Any]: ...

    class _Companions(Protocol):
        @property
        def companions(self) -> Callable[..., Any]: ...

    class _Around(Protocol):
        @property
        def around(self) -> Callable[..., Any]: ...

    class _Admit(Protocol):
        @property
        def admit(self) -> Callable[..., Any]: ...

    class _Observed(Protocol):
        @property
        def observed(self) -> Callable[..., Any]: ...

    class _Retried(Protocol):
        @property
        def retried(self) -> Callable[..., Any]: ...

    class _Observe(Protocol):
        @property
        def observe(self) -> Callable[..., Any]: ...

    class _Began(Protocol):
        @property
        def began(self) -> Callable[..., Any]: ...

    class _Ended(Protocol):
        @property
        def ended(self) -> Callable[..., Any]: ...

    class _CallBegan(Protocol):
        @property
        def call_began(self) -> Callable[..., Any]: ...

    class _CallEnded(Protocol):
        @property
        def call_ended(self) -> Callable[..., Any]: ...

    class _Gauges(Protocol):
        @property
        def gauges(self) -> Callable[..., Any]: ...

    class _Explained(Protocol):
        @property
        def explained(self) -> Callable[..., Any]: ...

    class _Forked(Protocol):
        @property
        def forked(self) -> Callable[..., Any]: ...

    class _Joined(Protocol):
        @property
        def joined(self) -> Callable[..., Any]: ...

    class _PreQuery(Protocol):
        @property
        def pre_query(self) -> Callable[..., Any]: ...

    class _PostQuery(Protocol):
        @property
        def post_query(self) -> Callable[..., Any]: ...

    class _OnError(Protocol):
        @property
        def on_error(self) -> Callable[..., Any]: ...

    class _Opened(Protocol):
        @property
        def opened(self) -> Callable[..., Any]: ...

    class _Closed(Protocol):
        @property
        def closed(self) -> Callable[..., Any]: ...

    class _Options(Protocol):
        @property
        def options(self) -> Collection[type[Any]]: ...

    class _Asking(Protocol):
        @property
        def return_consumed_capacity(self) -> str | None: ...

    AnyPlugin: TypeAlias = (
        _Operation
        | _WriteRule
        | _ReadRule
        | _ScopeRule
        | _Viewed
        | _ScopeOf
        | _CredentialsOf
        | _Administered
        | _Statement
        | _Finish
        | _Field
        | _Model
        | _Companions
        | _Around
        | _Admit
        | _Observed
        | _Retried
        | _Observe
        | _Began
        | _Ended
        | _CallBegan
        | _CallEnded
        | _Gauges
        | _Explained
        | _Forked
        | _Joined
        | _PreQuery
        | _PostQuery
        | _OnError
        | _Opened
        | _Closed
        | _Options
        | _Asking
    )
    """An object with any of the members of a plugin, for type checkers."""


CO_VARKEYWORDS: Final = 0x08
"""The flag of a function that takes any keyword: `inspect.CO_VARKEYWORDS`, whose module takes long to import."""


class Face:
    """A database as a program holds it."""

    _io: Any
    _session: Session
    """That of the verb which is called: plugins may say in which scope it is (`dynamorm.faces.following`)."""

    @property
    def _own(self) -> Session:
        """The session that the face was made with."""
        session: Session = self.__dict__["_session"]
        return session

    if not TYPE_CHECKING:

        def __new__(cls, *_: object, **given: object) -> Self:
            """Answers settings that belong to `Config`."""
            code = cls.__init__.__code__
            strange = given.keys() - code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            if strange and not code.co_flags & CO_VARKEYWORDS:
                raise _not_here(cls, min(strange))
            return object.__new__(cls)

    @property
    def config(self) -> Config:
        """The settings that this database was opened with; the shared engine, or its endpoint, is among them.

        Another process, or another event loop, opens the same database with them.

        Example: ``AsyncDB(test_db.config)``
        """
        return self._session.config

    @property
    def scope(self) -> Mapping[str, str]:
        """Of what a view is: ``{"tenant": "m1"}``; empty for the database itself. Within a `tenant_scope` its tenant is there, too.

        Example: ``db.with_tenant("m1").scope["tenant"]``
        """
        return self._session.scope

    @property
    def plugins(self) -> tuple[Any, ...]:
        """The plugins of this database, outermost first; a view has those of its database.

        Example: ``[plugin.name for plugin in db.plugins]``
        """
        return self._session.plugins

    def use(self, *plugins: AnyPlugin, on_error: Literal["log", "raise_after"] = "log") -> None:
        """Register plugins, outermost first; to be called before the first call of the database.

        A plugin is an object with any of the members that `dynamorm.plugin` lists; `dynamorm.plugin.Plugin` is the simple one.
        What fails behind a verb in its hooks is logged; with ``on_error="raise_after"`` it is raised, as `PluginError` with
        the verb's result.

        Raises: ConfigError for what is no plugin, a misspelled moment and a hook that nobody could ask; for two plugins of one
        name; and after the first call or the first view.

        Example: ``db.use(SlowQueries(), Outbox(table="events"))``
        """
        on_error = check_choice("on_error", on_error, ("log", "raise_after"), error=ConfigError)
        self._plugins().register(self._own, self, plugins, raise_after=on_error == "raise_after")

    def gauges(self) -> dict[str, float]:
        """Numbers of this moment: connections, what waits for one, what is left for retries; and what plugins add.

        ``pool_busy``, ``pool_idle``, ``pool_waiting``, ``pool_connections_max``; ``pool_waits`` and ``pool_wait_seconds`` (how
        often a request has waited for a connection, and how long in all); ``retry_tokens`` (of 500; a retry takes 5 or 14); ``clock_skew_seconds``
        (what the service's clock is ahead).

        Example: ``db.gauges()["pool_waiting"]``
        """
        numbers: dict[str, float] = self._gauges().of(self._session.root, self._io)
        return numbers

    @staticmethod
    def _gauges() -> ModuleType:
        from . import gauges  # only where somebody looks

        return gauges

    @staticmethod
    def _following() -> ModuleType:
        """What knows of scopes."""
        from . import following  # only where there are views

        return following

    @staticmethod
    def _plugins() -> ModuleType:
        """What registers plugins."""
        from . import plugins  # only where there are plugins

        return plugins

    def view(self, **scope: str) -> Self:
        """The same database for one scope, such as a tenant: plugins are told it with each verb.

        The view shares connections, settings and plugins; it is cheap, and closing it closes nothing. Values are texts of 1
        to 256 characters. A view of a view has both scopes, and cannot change a value.

        Raises: ValidationError.

        Example: ``db.view(tenant="t1").get(Payment, "p1")``
        """
        view, session = copy(self), self._session
        view._session = session.scoped(self._following().scope_of_view(session, scope))  # noqa: SLF001 - a face too
        return view

    def _connected(self) -> Iterator[Any]:
        """What is closed with the face: its driver, and the link to DynamoDB Streams where that has a driver of its own."""
        yield self._io
        link = self.__dict__.pop("_streams", None)
        if link is not None and link.elsewhere:
            yield link

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        name = type(self).__name__
        raise InvalidUse(
            f"a {name} holds connections, so it can be neither pickled nor deeply copied: send its settings (db.config)"
            f" and open a {name} with them on the other side"
        )


teach(Face, FACE)


def _not_here(face: type, setting: str) -> InvalidUse:
    """The error for a setting that was given to a face."""
    return of_settings(face.__name__, setting, Config.__struct_fields__)


_RIGHT = {
    "DB": "a {name} is for blocking code: `with {name}(...)`; asyncio has AsyncDB",
    "AsyncDB": "{name} is for asyncio: `async with {name}(...)`; blocking code has DB",
    "Query": "a {name} of a blocking DB is read by `for`; `async for` is for AsyncDB",
    "AsyncQuery": "an {name} of an AsyncDB is read by `async for`; `for` is for DB",
    "awaited query": "an {name} is no coroutine: await what ends it, `await query.all()`, or .first(), .one(), .page()",
    "Transaction": "this is the transaction of a blocking DB: `with db.transaction() as tx`",
    "AsyncTransaction": "this is the transaction of an AsyncDB: `async with db.transaction() as tx`",
}


def wrong_block(of: str) -> Any:
    """What stands for the methods of a block of the other kind in the class ``of``: it says which one is right."""
    right = _RIGHT[of]

    def refused(self: Any, *_: object) -> NoReturn:
        raise InvalidUse(right.format(name=type(self).__name__))

    return refused
