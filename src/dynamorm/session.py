"""What the two faces share: settings, plans of the models, and the call with its plugins composed around it.

A session does no I/O. The face that owns it sets `Session.run`, through which an error's ``resolve()`` can act later.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from dynamorm.config.endpoint import streams_endpoint
from dynamorm.config.settings import Config
from dynamorm.ops.calls.call import caller
from dynamorm.ops.calls.op import Op
from dynamorm.ops.requests import ModelRequests, check_production
from dynamorm.ops.rules.of_model import add_rules
from dynamorm.schema.schema import Schema

from .codec.registry import Registry
from .deadlines import USE, remaining
from .effects import Flow
from .errors import ValidationError
from .wire.channel import Channel, Clock
from .wire.clock import SkewClock
from .wire.credentials import CredentialSource
from .wire.endpoint import Endpoint
from .wire.retry import RetryPolicy, bucket_for
from .wire.sigv4 import STREAMS_TARGET_PREFIX, Signer, Unsigned

if TYPE_CHECKING:
    from dynamorm.ops.writes.write import Write


class Session:
    """One database as the operations see it: `plan`, `call`, and the time."""

    __slots__ = (
        "_around",
        "_end",
        "_plans",
        "_plugins",
        "call",
        "channel",
        "config",
        "endpoint",
        "finishers",
        "raising",
        "random_bytes",
        "registry",
        "run",
        "scope",
        "verbs",
    )

    if TYPE_CHECKING:
        from dynamorm.faces import verbs  # given by the face, which stands above

    def __init__(self, config: Config, clock: Clock, plugins: tuple[Any, ...] = ()) -> None:
        self.config: Config = config
        self.endpoint: Endpoint = Endpoint.parse(config.resolve_endpoint())
        self.random_bytes: Callable[[int], bytes] = os.urandom
        self.run: Callable[[Flow[Any]], Any] | None = None
        self.channel: Channel = _channel(config, self.endpoint, clock)
        self.scope: Mapping[str, str] = {}
        self._end: float | None = None  # by which a verb of several requests must be done
        self._plans: dict[Any, ModelRequests] = {}
        self.raising: frozenset[str] = frozenset()
        self.use(plugins)

    def use(self, plugins: tuple[Any, ...]) -> None:
        """Compose what these plugins add, outermost first. They take the place of those that were given before."""
        self._plugins = plugins
        self.channel.observers = _members(plugins, "observe")
        self.registry: Registry = Registry(
            field_hooks=_members(plugins, "field"),
            model_hooks=_members(plugins, "model"),
            claimed=tuple(option for plugin in plugins for option in getattr(plugin, "options", ())),
            table_prefix=self.config.table_prefix,
        )
        self.finishers: tuple[tuple[str, Callable[[Any], None]], ...] = tuple(
            (name_of(plugin), finish) for plugin in plugins if (finish := getattr(plugin, "finish", None)) is not None
        )
        self._around = tuple(around for plugin in plugins for around in _arounds(plugin))
        self.call: Callable[[Op], Flow[Any]] = _composed(self.channel, self._around)

    @property
    def plugins(self) -> tuple[Any, ...]:
        """The plugins, outermost first."""
        return self._plugins

    @property
    def is_used(self) -> bool:
        """Whether a model has been used, so that what plugins add to it is settled."""
        return bool(self._plans)

    def stand_in(self, verbs: Any) -> None:
        """Let the faces find the flows of the verbs here: the module of the verbs, or what stands in for it."""
        self.verbs = verbs

    def scoped(self, scope: Mapping[str, str]) -> Session:
        """The same session for a view with this scope."""
        other = copy(self)
        other.scope = scope
        return other

    def writer(self, verb: str) -> Callable[..., Write]:
        """The builder of a verb's write, by the arguments of a transaction's method. Raises: ValidationError."""
        from dynamorm.ops.verbs.builders import BUILDERS  # only rules of plugins need it

        if verb not in BUILDERS:
            raise ValidationError(f"{verb!r} is no verb that writes one item: {', '.join(BUILDERS)}", field="verb")
        return BUILDERS[verb]

    def streams(self) -> Session:
        """This session over the DynamoDB Streams API, which for AWS has an endpoint of its own."""
        other = copy(self)
        other.endpoint = endpoint = Endpoint.parse(
            self.config.streams_endpoint or streams_endpoint(self.config.resolve_endpoint())
        )
        other.channel = _streams_channel(self.channel, self.config, endpoint)
        other.call = _composed(other.channel, self._around)
        return other

    def plan(self, model: Any) -> ModelRequests:
        """The plan of a model, made with its first use."""
        try:
            return self._plans[model]
        except (KeyError, TypeError):  # an object is not hashable; the registry says what is wrong with it
            plan = ModelRequests(
                self.registry.codec(model), tokens=self.config.write_tokens, strict=self.config.strict_creates
            )
            schema = plan.codec.schema
            rules = (rule_of(schema) for rule_of in _members(self._plugins, "write_rule"))
            add_rules(plan, [rule for rule in rules if rule is not None])
            if self.config.preset == "production":
                check_production(plan)
            self._plans[model] = plan
            return plan

    def view(self, call: Callable[[Op], Flow[Any]]) -> Session:
        """The same session with another way of calling; plans, clock and settings are shared."""
        other = copy(self)
        other.call = call
        return other

    def end(self) -> float:
        """The monotonic time by which a verb that begins now must be done."""
        limit = self.config.operation_timeout
        left = remaining() if USE.ever else None
        end = self.channel.clock.monotonic() + (limit if left is None else min(limit, left))
        return end if self._end is None else min(end, self._end)

    def bounded(self, end: float | None = None) -> Session:
        """The same session for one verb that sends several requests: ``operation_timeout`` holds for all of them.

        ``end`` is what `end` was when the verb began, if that was before.
        """
        inner = self.call
        end = self.end() if end is None else end

        def call(op: Op) -> Flow[Any]:
            if op.end is None:  # else it belongs to what is found out after the verb
                op.end = end
            return inner(op)

        other = self.view(call)
        other._end = end  # noqa: SLF001 - another session
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
                raise RuntimeError("this session belongs to no DB")
            return self.run(flow(op, deadline))

        return resolve


def _dice() -> float:
    """A random number from 0 to 1, for the delay before another attempt; the first one pays for the import."""
    from random import random

    return random()  # noqa: S311 - jitter is no secret


def name_of(plugin: Any) -> str:
    """What a plugin is called: its ``name``, else that of its class."""
    return getattr(plugin, "name", "") or type(plugin).__name__


def _members(extensions: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    return tuple(member for one in extensions if (member := getattr(one, name, None)) is not None)


def _arounds(plugin: Any) -> Iterator[Any]:
    """What a plugin puts around each call: its own layer, and that of its attempts inside."""
    around = getattr(plugin, "around", None)
    if around is not None:
        yield around
    admit, observed = getattr(plugin, "admit", None), getattr(plugin, "observed", None)
    if admit is not None or observed is not None:
        from dynamorm.ops.calls.attempt_hooks import watched  # only where a plugin looks at attempts

        yield partial(watched, admit=admit or _nothing, observed=observed or _nothing)


def _nothing(*_: Any) -> None:
    """In the place of a hook that a plugin does not have."""


def _composed(channel: Channel, arounds: tuple[Any, ...]) -> Callable[[Op], Flow[Any]]:
    """The call over a channel, with the plugins around it, outermost first."""
    call: Callable[[Op], Flow[Any]] = caller(channel)
    for around in reversed(arounds):
        call = around(call)
    return call


def _streams_channel(channel: Channel, config: Config, endpoint: Endpoint) -> Channel:
    """A channel to another host, with the credentials, the clock and the plugins of this one."""
    host = endpoint.host_header
    other = copy(channel)
    other.signer = (
        Signer(config.resolve_region(), host, target_prefix=STREAMS_TARGET_PREFIX)
        if config.sign_requests
        else Unsigned(host, target_prefix=STREAMS_TARGET_PREFIX)
    )
    other.bucket = bucket_for(f"{endpoint.scheme}://{host}")
    # AWS promises the checksum for DynamoDB itself only: here a missing one is no reason to disbelieve an answer.
    other.is_aws = False
    return other


def _channel(config: Config, endpoint: Endpoint, clock: Clock) -> Channel:
    """Everything below the models, from the settings."""
    host = endpoint.host_header
    signer: Any = Signer(config.resolve_region(), host) if config.sign_requests else Unsigned(host)
    return Channel(
        config=config,
        signer=signer,
        credentials=CredentialSource.from_config(config),
        clock=clock,
        skew=SkewClock(),
        retry=RetryPolicy.from_config(config),
        bucket=bucket_for(f"{endpoint.scheme}://{endpoint.host_header}"),
        is_aws=endpoint.is_aws,
        is_secure=endpoint.secure,
        random=_dice,
        observers=(),
    )
