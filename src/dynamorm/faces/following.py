"""Faces of a database whose plugins ask for more than the verb: in which scope it is, what a view may not do, and who acts.

A face becomes one of these when such a plugin is registered, so that no other face asks anything. Every verb, query,
transaction, batcher and stream takes its session from the face when it is called or made, and so its scope. A verb of the
asyncio face does so when it is called, too, and not when it is awaited.
"""

from __future__ import annotations

import sys
from functools import partial, wraps
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import ValidationError
from dynamorm.session import named
from dynamorm.wire.acting import acting, acting_later, taken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dynamorm.session import Session

LONGEST_SCOPE: Final = 256
"""Characters of a value of a scope: it becomes a part of keys, which have at most 1,024 bytes.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

MOST: Final = 256
"""Scopes whose sessions are kept."""


def follow(face: Any, *, scopes: bool = True, actors: bool = False) -> None:
    """Let a face ask the plugins of its database: for the scopes of verbs, and for who acts."""
    kind = plain = type(face)
    while issubclass(plain, (Following, Acting)):
        plain = plain.__mro__[2]
    if actors or issubclass(kind, Acting):
        plain = _made(Acting, plain)
    if scopes or issubclass(kind, Following):
        plain = _made(Following, plain)
    face.__class__ = plain


_OF: Final[dict[tuple[type[Any], type[Any]], type[Any]]] = {}


def _made(before: type[Any], kind: type[Any]) -> type[Any]:
    """The class of what stands before a class: its verbs that are awaited are of the place in which they are called."""
    found = _OF.get((before, kind))
    if found is None:
        metaclass: Any = type(kind)
        members = {**_verbs_of(before, kind), "__doc__": kind.__doc__, "__module__": kind.__module__}
        if not kind.__dictoffset__:
            members["__slots__"] = ()  # or it would be of another layout
        bases = (kind,) if before is _Made else (before, kind)
        found = _OF[before, kind] = metaclass(kind.__name__, bases, members)
    return found


_CO_COROUTINE: Final = 0x80
"""The flag of ``async def``: `inspect.CO_COROUTINE`, whose module takes long to import."""

_NOT_BOUND: Final = frozenset({"close", "estimate_monthly_cost", "explain", "set_cost_alert"})
"""What is no verb: these are about the database, and to ``explain`` each verb that it shows is a call of its own."""


def _verbs_of(before: type[Any], kind: type[Any]) -> dict[str, Any]:
    """The verbs of the asyncio face, each bound to the place in which it is called. Those of a program's own class stay as they are."""
    members: dict[str, Any] = {}
    for cls in reversed(kind.__mro__):
        members.update(vars(cls))
    return {
        name: _as_called(member, before)
        for name, member in members.items()
        if isinstance(member, FunctionType)
        and (member.__code__.co_flags & _CO_COROUTINE or hasattr(member, _BOUND))
        and member.__module__.startswith(_OURS)
        and not name.startswith("_")
        and name not in _NOT_BOUND
        and not hasattr(before, name)
    }


_BOUND: Final = "_dynamorm_is_bound"
_OURS: Final = (f"{__package__}.", "dynamorm.plugins.")


def _as_called(method: Any, before: type[Any]) -> Any:
    if before is Following:

        @wraps(method)
        def verb(self: Any, *args: Any, **options: Any) -> Any:
            try:
                bound = _bound(self)
            except Exception as error:  # noqa: BLE001 - it is raised where the verb is awaited, as any other one is
                return _refused(error)
            return method(bound, *args, **options)

    else:

        @wraps(method)
        def verb(self: Any, *args: Any, **options: Any) -> Any:
            block = taken()
            if block is None:
                return method(self, *args, **options)
            done: Any = acting_later(block, lambda: method(self, *args, **options))
            done.__qualname__ = method.__qualname__  # which a warning shows
            return done

    return _marked(verb)


def _marked(verb: Any) -> Any:
    """A function that who asks takes for the coroutine function that it stands before."""
    setattr(verb, _BOUND, True)
    inspect, asyncio = (sys.modules.get(name) for name in ("inspect", "asyncio"))  # the face of asyncio has loaded both
    mark = getattr(inspect, "markcoroutinefunction", None)
    if mark is not None:
        return mark(verb)
    verb._is_coroutine = getattr(getattr(asyncio, "coroutines", None), "_is_coroutine", None)  # noqa: SLF001 - before Python 3.12
    return verb


async def _refused(error: Exception) -> Any:
    raise error


def _bound(face: Any) -> Any:
    """The face that this one stands before, with the session of the scope that the caller is in."""
    plain: Any = object.__new__(type(face).__mro__[2])
    plain.__dict__.update(face.__dict__, _session=face._session)  # noqa: SLF001 - it is made of the face's own parts
    return plain


class Acting:
    """Stands before the class of a face whose plugins ask who acts.

    What is made in the block of an actor is done by that one, wherever it is done: queries, transactions, readers of streams with
    the handlers that they call, and on the asyncio face each coroutine. What is made in none is done by who does it.
    """

    def model(self, *args: Any, **options: Any) -> Any:
        """See `dynamorm.DB.model`."""
        return _as_made(super().model(*args, **options))  # type: ignore[misc] # of the face behind

    def transaction(self, *args: Any, **options: Any) -> Any:
        """See `dynamorm.DB.transaction`."""
        return _as_made(super().transaction(*args, **options))  # type: ignore[misc] # as above

    def stream(self, *args: Any, **options: Any) -> Any:
        """See `dynamorm.DB.stream`."""
        return _as_made(super().stream(*args, **options))  # type: ignore[misc] # as above

    @property
    def audit(self) -> Any:
        """See `dynamorm.DB.audit`."""
        return _as_made(super().audit)  # type: ignore[misc] # as above


class _Made:
    """Stands for what is made of a class of what a face of asyncio makes, for what is awaited of it."""


def _as_made(made: Any) -> Any:
    """What a face has made, from now on done by who has it made."""
    kind = type(made)
    if kind.is_async:
        made.__class__ = _made(_Made, kind)
    block = taken()
    if block is not None:
        made._run = acting(block, made._run)  # noqa: SLF001 - it is the face's own
        if hasattr(made, "_acting"):  # it calls what the program gives it, or builds what is sent later
            made._acting = partial(acting, block)  # noqa: SLF001 - as above
    return made


class Following:
    """Stands before the class of a face whose plugins have something to say of scopes."""

    @property
    def _session(self) -> Session:
        session: Session = self.__dict__["_session"]
        for peek in session.peeks:  # of each plugin that is asked, what tells that there is nothing to ask
            if peek() is not None:
                return in_scope(session)
        return session

    @_session.setter
    def _session(self, session: Session) -> None:
        self.__dict__["_session"] = session

    @property
    def tables(self) -> Any:
        """See `dynamorm.DB.tables`."""
        session = self._session
        _administer(session, "tables")
        plain = _bound(self)
        plain.__dict__["_session"] = session.unbound()
        return plain.tables

    def stream(self, *args: Any, **options: Any) -> Any:
        """See `dynamorm.DB.stream`."""
        _administer(self._session, "stream")
        return _bound(self).stream(*args, **options)

    def partiql(self, *args: Any, **options: Any) -> Any:
        """See `dynamorm.DB.partiql`."""
        _administer(self._session, "partiql_text" if options.get("model") is None else "partiql")
        return _bound(self).partiql(*args, **options)

    def partiql_transaction(self, *args: Any, **options: Any) -> Any:
        """See `dynamorm.DB.partiql_transaction`."""
        _administer(self._session, "partiql_text")
        return _bound(self).partiql_transaction(*args, **options)

    def repair_unique(self, *args: Any, **options: Any) -> Any:
        """See `dynamorm.DB.repair_unique`."""
        _administer(self._session, "repair_unique")
        return _bound(self).repair_unique(*args, **options)


def _administer(session: Session, what: str) -> None:
    for _, administered in named(session.plugins, "administered"):
        administered(what, session.scope)


def in_scope(session: Session) -> Session:
    """The session of a verb that is called on this one."""
    entries: dict[str, str] | None = None
    scope = session.scope
    for scope_of in session.scopers:
        given = scope_of(scope)
        if given is not None:
            entries = dict(given) if entries is None else {**entries, **given}
    return session if entries is None else _with(session, entries)


def _with(session: Session, entries: dict[str, str]) -> Session:
    """The session with these entries in its scope, made once."""
    key = frozenset(entries.items())
    found = session.followed.get(key)
    if found is None:
        made = session.scoped(checked_scope(session.scope, MappingProxyType(entries)))
        if len(session.followed) >= MOST or not session.followed:
            session.followed = {}
        found = session.followed[key] = made
    return found


def scope_of_view(session: Session, scope: Mapping[str, Any]) -> Mapping[str, str]:
    """The scope of a view that is made, as plugins let it be. Raises: ValidationError; and what refuses the view."""
    for _, viewed in named(session.plugins, "viewed"):
        scope = scope if (given := viewed(session.scope, scope)) is None else given
    return checked_scope(session.scope, scope)


def checked_scope(before: Mapping[str, str], scope: Mapping[str, Any]) -> Mapping[str, str]:
    """The scope of a view of a view. Raises: ValidationError for a value that is no text, and for one that is changed."""
    if not scope:
        raise ValidationError("a view has a scope: db.view(tenant=...)", field="scope")
    exact: dict[str, str] = {}
    for name, value in scope.items():
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_SCOPE:
            raise ValidationError(
                f"{name} of a view is a text of 1 to {LONGEST_SCOPE} characters, not"
                f" {f'one of {len(value)}' if isinstance(value, str) else type(value).__name__}",
                field=name,
            )
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValidationError(f"{name} of a view is text that is not valid Unicode", field=name) from None
        exact[name] = str.__str__(value)  # and not of a class of its own, which may show itself in another way
        if before.get(name, exact[name]) != exact[name]:
            raise ValidationError(
                f"this view has another {name} already: make the view of the database itself", field=name
            )
    return MappingProxyType({**before, **exact})
