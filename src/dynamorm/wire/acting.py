"""`actor`: who does what is done inside a ``with`` block, on both faces. It must not know DynamoDB."""

from __future__ import annotations

import sys
from _thread import get_ident
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final, Self
from unicodedata import category

from msgspec import Struct

from dynamorm.errors import InvalidUse, ValidationError

LONGEST: Final = 256
"""Characters of the name of an actor, of a request's id and of what is kept of a user agent."""

_NOT_SHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that forge lines of logs, or turn a text round: control, format and bidi characters."""


class Actor(Struct, frozen=True):
    """Who acts: ``by``, and what is known of the request: ``ip``, ``user_agent`` and ``request_id``, None where it is not."""

    by: str
    ip: str | None = None
    user_agent: str | None = None
    request_id: str | None = None

    def __repr__(self) -> str:
        return "<Actor>"  # an address and a name are somebody's own data


class _Block:
    """One block that has been entered, in this thread and task.

    Once it is over it is passed by there, whichever context it is left in; what has inherited it goes on with it.
    """

    __slots__ = ("actor", "is_over", "of", "outer", "place")

    def __init__(self, who: Actor, of: actor | None, outer: _Block | None) -> None:
        self.of: actor | None = of
        self.actor: Actor = who
        self.outer: _Block | None = outer
        self.is_over: bool = False
        self.place: tuple[int, int] = _place()


_BLOCK: Final[ContextVar[_Block | None]] = ContextVar("dynamorm actor", default=None)


class actor:  # noqa: N801 - used as a function is, like contextlib.suppress
    """Say who does what is done in the block: ``with dynamorm.actor("user:42", ip="203.0.113.7"): ...``.

    It belongs to the thread or task that entered it, and to the tasks started inside, not to threads. The innermost block
    holds, and it may be left in any order and in another context. ``async with`` is the same as ``with``.

    ``by`` and ``request_id`` have 1 to 256 characters, none of them a control or bidi character; ``ip`` is an IPv4 or IPv6 address;
    of ``user_agent`` 256 characters are kept, and what is no plain text in it is replaced.

    Raises: ValidationError.

    Example: ``with dynamorm.actor("user:42", ip="203.0.113.7"): db.save(payment)``
    """

    __slots__ = ("_blocks", "actor")

    def __init__(
        self, by: str, *, ip: str | None = None, user_agent: str | None = None, request_id: str | None = None
    ) -> None:
        self.actor: Actor = Actor(
            _name("by", by),
            None if ip is None else _address(ip),
            None if user_agent is None else _agent(user_agent),
            None if request_id is None else _name("request_id", request_id),
        )
        self._blocks: list[_Block] = []

    def __enter__(self) -> Self:
        """From now on it is this actor."""
        block = _Block(self.actor, self, _innermost())
        self._blocks.append(block)
        _BLOCK.set(block)
        return self

    def __exit__(self, *_: object) -> None:
        """Return to the actor around this one, if there is one. It never raises."""
        block = here = _innermost()
        while block is not None and block.of is not self:
            block = block.outer
        if block is None:  # left in another context than it was entered in, or twice
            if not self._blocks:
                return
            block = self._blocks[-1]
        block.is_over = True
        self._blocks.remove(block)
        if block is here:
            _BLOCK.set(_innermost())

    async def __aenter__(self) -> Self:
        """As `__enter__`: nothing is waited for."""
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        """As `__exit__`."""
        self.__exit__()

    def __repr__(self) -> str:
        return "<actor>"


def current_actor() -> Actor | None:
    """Who acts in this thread or task: what the innermost `dynamorm.actor` says; None outside of any.

    Example: ``who = current_actor(); log.info("by %s", who and who.by)``
    """
    block = _innermost()
    return None if block is None else block.actor


def keep() -> None:
    """Let this context have its actor for good: for work that is put off, and outlives the block it was begun in."""
    block = _innermost()
    if block is not None:
        _BLOCK.set(_Block(block.actor, None, None))


def _innermost() -> _Block | None:
    block = _BLOCK.get()
    while block is not None and block.is_over and block.place == _place():
        block = block.outer
    return block


def _place() -> tuple[int, int]:
    """What tells where code runs: the thread, and the task in it."""
    asyncio = sys.modules.get("asyncio")  # a program that has not loaded it has no tasks
    task = None
    if asyncio is not None:
        with suppress(RuntimeError):  # no loop is running in this thread
            task = asyncio.current_task()
    return get_ident(), 0 if task is None else id(task)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidUse(f"{name} of an actor is a text, not {type(value).__name__}", field=name)
    return str.__str__(value)  # and not of a class of its own, which may show itself in another way


def _name(name: str, value: Any) -> str:
    text = _text(name, value)
    if not 0 < len(text) <= LONGEST:
        raise ValidationError(f"{name} of an actor is a text of 1 to {LONGEST} characters, got {len(text)}", field=name)
    if not (text.isascii() and text.isprintable()) and any(category(sign) in _NOT_SHOWN for sign in text):
        raise ValidationError(f"{name} of an actor holds a control or bidi character: leave it out", field=name)
    return text


def _address(value: Any) -> str:
    from ipaddress import ip_address  # only where an address is given

    text = _text("ip", value)
    try:
        if "%" not in text:  # the zone of an IPv6 address is any text
            return str(ip_address(text))
    except ValueError:
        pass  # it would hold the text, so it ends here
    raise ValidationError("ip of an actor is no IPv4 or IPv6 address", field="ip")


def _agent(value: Any) -> str:
    text = _text("user_agent", value)[:LONGEST]
    return "".join("\ufffd" if category(sign) in _NOT_SHOWN else sign for sign in text)
