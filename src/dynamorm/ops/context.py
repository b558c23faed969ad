"""What every operation takes: one database with its settings, its models, the call to it, and the time.

`dynamorm.session` builds it. It must not know the faces, nor which features and plugins there are.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from dynamorm.wire.deadlines import USE, remaining

if TYPE_CHECKING:
    from dynamorm.codec.registry import Registry
    from dynamorm.config.settings import Config
    from dynamorm.effects import Flow
    from dynamorm.models.schema.schema import Schema
    from dynamorm.ops.writes.reading import Reads
    from dynamorm.ops.writes.write import Write
    from dynamorm.wire.channel import Channel
    from dynamorm.wire.endpoint import Endpoint

    from .calls.op import Op
    from .requests import ModelRequests


_NO_SCOPE: Final[Mapping[str, str]] = MappingProxyType({})
"""The scope of a database itself: plugins are shown it, and cannot write to it."""


class Context(ABC):
    """One database as the operations see it.

    ``call`` makes one call, with the plugins around it; ``channel`` is what it goes through. ``run`` drives a flow on the face's
    driver. ``scope`` is that of the view. ``finishers`` are the plugins that add to transactions: name and function; ``write_rules`` those with rules for writes.
    ``notes`` are the functions of plugins that have something to say of an explained request, ``statements`` those that may refuse one of PartiQL.
    """

    __slots__ = (
        "_end",
        "_plans",
        "call",
        "channel",
        "config",
        "endpoint",
        "finishers",
        "notes",
        "random_bytes",
        "reads",
        "registry",
        "rules_may_read",
        "run",
        "scope",
        "statements",
        "write_rules",
    )

    call: Callable[[Op], Flow[Any]]
    registry: Registry

    def __init__(self, config: Config, endpoint: Endpoint, channel: Channel) -> None:
        self.config: Config = config
        self.endpoint: Endpoint = endpoint
        self.channel: Channel = channel
        self.random_bytes: Callable[[int], bytes] = os.urandom
        self.run: Callable[[Flow[Any]], Any] | None = None
        self.scope: Mapping[str, str] = _NO_SCOPE
        self.notes: tuple[Callable[..., str | None], ...] = ()
        self.finishers: tuple[tuple[str, Callable[[Any], None]], ...] = ()
        self.statements: tuple[Callable[..., Any], ...] = ()
        self.write_rules: tuple[tuple[str, Callable[[Schema], Any]], ...] = ()
        self.rules_may_read: bool = False
        self.reads: Reads | None = None  # of one verb, where rules may read other items
        self._end: float | None = None  # by which a verb of several requests must be done
        self._plans: dict[Any, ModelRequests] = {}

    def __copy__(self) -> Self:
        other = object.__new__(self.__class__)
        self.fill(other)
        return other

    def fill(self, other: Context) -> None:
        """Give another one all that this one has: ten times as fast as what `copy` does with slots."""
        other._end = self._end
        other._plans = self._plans
        other.call = self.call
        other.channel = self.channel
        other.config = self.config
        other.endpoint = self.endpoint
        other.finishers = self.finishers
        other.notes = self.notes
        other.random_bytes = self.random_bytes
        other.reads = self.reads
        other.registry = self.registry
        other.rules_may_read = self.rules_may_read
        other.run = self.run
        other.scope = self.scope
        other.statements = self.statements
        other.write_rules = self.write_rules

    def plan(self, model: Any) -> ModelRequests:
        """The requests of a model, made with its first use. Raises: ModelError, InvalidUse for what is no model."""
        plans = self._plans  # plugins that are registered meanwhile have others
        try:
            return plans[model]
        except (KeyError, TypeError):  # an object is not hashable; the registry says what is wrong with it
            plan = plans[model] = self._make_plan(model)
            return plan

    @abstractmethod
    def _make_plan(self, model: Any) -> ModelRequests:
        """The requests of a model, with its rules. Raises: as `plan`."""

    @abstractmethod
    def writer(self, verb: str) -> Callable[..., Write]:
        """The builder of a verb's write, by the arguments of a transaction's method. Raises: ValidationError."""

    @abstractmethod
    def tables_besides(self, models: Iterable[Any]) -> list[type[Any]]:
        """The models whose tables plugins need besides those of these models."""

    def view(self, call: Callable[[Op], Flow[Any]]) -> Self:
        """The same context with another way of calling; plans, clock and settings are shared."""
        other = self.__copy__()
        other.call = call
        return other

    def meant(self, purpose: str) -> Self:
        """The same context for calls that are made with this purpose, unless they have one of their own."""
        inner = self.call

        def call(op: Op) -> Flow[Any]:
            if op.purpose == "verb":
                op.purpose = purpose
            return inner(op)

        return self.view(call)

    def end(self) -> float:
        """The monotonic time by which a verb that begins now must be done."""
        limit = self.config.operation_timeout
        left = remaining() if USE.ever else None
        end = self.channel.clock.monotonic() + (limit if left is None else min(limit, left))
        return end if self._end is None else min(end, self._end)

    def bounded(self, end: float | None = None) -> Self:
        """The same context for one verb that sends several requests: ``operation_timeout`` holds for all of them.

        ``end`` is what `end` was when the verb began, if that was before.
        """
        inner = self.call
        end = self.end() if end is None else end

        def call(op: Op) -> Flow[Any]:
            if op.end is None:  # else it belongs to what is found out after the verb
                op.end = end
            return inner(op)

        other = self.view(call)
        other._end = end  # noqa: SLF001 - another context
        return other

    def schemas(self, table: str) -> Iterator[Schema]:
        """The models in use that are stored in a table."""
        return (plan.codec.schema for plan in tuple(self._plans.values()) if plan.table == table)

    def now(self) -> datetime:
        """The time for stored timestamps: UTC, corrected by what the service's clock has shown."""
        channel = self.channel
        return datetime.fromtimestamp(channel.clock.time() + channel.skew.skew, UTC)

    def resolver(self, flow: Callable[[Op, float | None], Flow[Any]]) -> Callable[[Op, float | None], Any]:
        """What an `OutcomeUnknown` calls to settle itself: runs ``flow(op, deadline)`` on the face's driver."""

        def resolve(op: Op, deadline: float | None) -> Any:
            if self.run is None:
                raise RuntimeError("this context belongs to no DB")
            return self.run(flow(op, deadline))

        return resolve
