"""`actor`: who does what is done inside a ``with`` block, on both faces. It must not know DynamoDB."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Self
from unicodedata import category

from msgspec import Struct

from dynamorm.errors import ActorRequired, InvalidUse, ValidationError

from .blocks import Block, Blocks

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


def _unclear() -> ActorRequired:
    return ActorRequired(
        "two actors are open here, one of them in a generator that goes on later: nobody can tell which one acts; enter the"
        " block around the call alone"
    )


_BLOCKS: Final[Blocks[Actor]] = Blocks("actor", _unclear)


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
        self._blocks: list[Block[Actor]] = []

    def __enter__(self) -> Self:
        """From now on it is this actor."""
        block = _BLOCKS.block(self.actor, self)
        try:
            self._blocks.append(block)
            _BLOCKS.enter(block)
            return self  # noqa: TRY300 - a signal may come here, too
        except BaseException:  # a signal came in between, and __exit__ will not be called
            self._leave(block)
            raise

    def __exit__(self, *_: object) -> None:
        """Return to the actor around this one, if there is one. It never raises."""
        block = None
        try:
            block = self._entered()
            self._leave(block)
        except BaseException:  # a signal came in between
            self._leave(block or self._entered())
            raise

    def _entered(self) -> Block[Actor] | None:
        """The block that is left next; None where it was left already."""
        block = _BLOCKS.latest()
        while block is not None and (block.of is not self or not block.is_open):
            block = block.outer
        if block is None and self._blocks:  # left in another context than it was entered in
            return self._blocks[-1]
        return block

    def _leave(self, block: Block[Actor] | None) -> None:
        if block is not None:
            _BLOCKS.leave(block)
            with suppress(ValueError):  # it is left for the second time
                self._blocks.remove(block)

    async def __aenter__(self) -> Self:
        """As `__enter__`: nothing is waited for."""
        return self.__enter__()  # blocks know that this coroutine only enters for another one

    async def __aexit__(self, *_: object) -> None:
        """As `__exit__`."""
        self.__exit__()

    def __repr__(self) -> str:
        return "<actor>"


def current_actor() -> Actor | None:
    """Who acts in this thread or task: what the innermost `dynamorm.actor` says; None outside of any.

    Raises: ActorRequired where two are open, one of them in a generator that goes on later, and nobody can tell which one acts.

    Example: ``who = current_actor(); log.info("by %s", who and who.by)``
    """
    block = _BLOCKS.current()
    return None if block is None else block.value


def taken() -> Block[Actor] | None:
    """Who acts here, for work that is done later: see `Blocks.taken`."""
    return _BLOCKS.taken()


def acting(block: Block[Actor], function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose work, and what is awaited of it, is done by who was `taken`."""
    return _BLOCKS.within(block, function)


def acting_later(block: Block[Actor], work: Callable[[], Awaitable[Any]]) -> Coroutine[Any, Any, Any]:
    """The coroutine of what is awaited of ``work()``, done by who was `taken`. One that is never begun begins nothing."""
    return _BLOCKS.awaited(block, work)


def keep() -> None:
    """Let this context have its actor for good: for work that is put off, and outlives the block it was begun in."""
    _BLOCKS.keep()


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
