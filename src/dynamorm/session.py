"""The roof of the core: settings become what the operations take, with the rules of the models and what plugins add.

A session does no I/O. The face that owns it sets ``run``, through which an error's ``resolve()`` can act later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from dynamorm.config.endpoint import streams_endpoint
from dynamorm.config.settings import Config
from dynamorm.ops.calls.call import caller
from dynamorm.ops.calls.op import Op
from dynamorm.ops.context import Context
from dynamorm.ops.moments import OF_ATTEMPTS
from dynamorm.ops.requests import ModelRequests, check_production
from dynamorm.ops.rules.of_model import add_rules
from dynamorm.ops.writes.rules import check_rules

from .codec.placing import placed_in
from .codec.registry import Registry
from .effects import Flow
from .errors import ConfigError, ValidationError
from .errors.log import FailureLog, shielded
from .models.schema.overriding import override
from .models.schema.schema import SCHEMAS, with_subclasses
from .wire.channel import Channel, Clock, Server
from .wire.clock import SkewClock
from .wire.credentials import CredentialSource
from .wire.endpoint import Endpoint
from .wire.retry import RetryPolicy, bucket_for
from .wire.sigv4 import STREAMS_TARGET_PREFIX, TARGET_PREFIX, Named, Signer, Unsigned

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec
    from dynamorm.faces.life import Life  # given by the face, which stands above
    from dynamorm.ops.calls.attempt_hooks import Watch
    from dynamorm.ops.reads.read_rules import ReadRules
    from dynamorm.ops.writes.write import Write

    from .models.schema.schema import Schema
    from .plugin import ReadRule, ScopeRule


MAX_VIEWS: Final = 256
"""Scopes whose plans are kept: a service makes a view for each request, of one of its tenants."""

_NONE: Final[dict[Any, Any]] = {}
"""Stands for a dict that is made when it is needed."""


class Session(Context):
    """The roof of the core: builds what the operations take, and composes what plugins add to it.

    ``raising`` are the plugins whose failures behind a verb are raised. ``verbs`` are the flows of the verbs for the faces.
    """

    __slots__ = (
        "__weakref__", "_around", "_asks", "_copies", "_has_views", "_plugins", "_reading", "_root", "_scoping", "_signing",
        "_spares_tokens", "_tables", "_views", "_way", "followed", "gauges", "is_closed", "life", "peeks", "raising",
        "scopers", "verbs", "ways",
    )  # fmt: skip

    if TYPE_CHECKING:
        from dynamorm.faces import verbs  # given by the face, which stands above

    def __init__(self, config: Config, clock: Clock, plugins: tuple[Any, ...] = ()) -> None:
        endpoint = Endpoint.parse(config.resolve_endpoint())
        super().__init__(config, endpoint, _channel(config, endpoint, clock))
        self.raising: frozenset[str] = frozenset()
        self.life: Life | None = None  # where a plugin wants to be told of it
        self.is_closed: bool = False  # said by the face
        self._has_views = False
        self._root: Session | None = None  # of a view: the session of the database
        self._views: dict[frozenset[tuple[str, str]], dict[Any, ModelRequests]] = {}  # the plans by scope
        self._way: Callable[[Callable[[Op], Flow[Any]]], Callable[[Op], Flow[Any]]] | None = None  # to another driver
        self._copies: WeakSet[Session] = WeakSet()  # for views and streams: a plugin that comes late comes to them, too
        self._plugins: tuple[Any, ...] = ()
        self._spares_tokens = False
        # Of a view with credentials of its own: who gives them, and the function.
        self._asks: tuple[str, Any] | None = None
        # `dynamorm.ops.calls.own_credentials.OwnWays`, given by the face where plugins give credentials.
        self.ways: Any = None
        # By the scope that plugins give a verb; kept by `dynamorm.faces.following`.
        self.followed: dict[Any, Session] = {}
        self.stand_in(None)  # until the face gives them
        self.use(plugins)

    @override
    def fill(self, other: Any) -> None:
        super().fill(other)
        other._around = self._around
        other._asks = self._asks
        other._copies = self._copies
        other._has_views = self._has_views
        other._plugins = self._plugins
        other._reading = self._reading
        other._root = self._root
        other._scoping = self._scoping
        other._signing = self._signing
        other._spares_tokens = self._spares_tokens
        other._tables = self._tables
        other._views = self._views
        other._way = self._way
        other.followed = _NONE  # they make their calls in another way
        other.gauges = self.gauges
        other.is_closed = self.is_closed
        other.life = self.life
        other.raising = self.raising
        other.peeks = self.peeks
        other.scopers = self.scopers
        other.verbs = self.verbs
        other.ways = self.ways

    def use(self, plugins: tuple[Any, ...]) -> bool:
        """Compose what these plugins add, outermost first. They take the place of those that were given before.

        Returns whether a model was used or a view was made until it was done: then it comes too late.
        """
        self.registry: Registry = Registry(
            field_hooks=_looked_at(plugins, "field"),
            model_hooks=_looked_at(plugins, "model"),
            claimed=tuple(option for plugin in plugins for option in getattr(plugin, "options", ())),
            table_prefix=self.config.table_prefix,
        )
        self.finishers: tuple[tuple[str, Callable[[Any], None]], ...] = named(plugins, "finish")
        self._reading = _members(plugins, "read_rule")
        self._scoping = named(plugins, "scope_rule")
        self._signing = named(plugins, "credentials_of")
        self.scopers: tuple[Callable[[Any], Any], ...] = _members(plugins, "scope_of")
        asking = [plugin for plugin in plugins if getattr(plugin, "scope_of", None) is not None]
        self.peeks: tuple[Callable[[], Any], ...] = tuple(getattr(one, "scope_peek", None) or _always for one in asking)
        self.write_rules: tuple[tuple[str, Callable[[Any], Any]], ...] = named(plugins, "write_rule")
        self.statements: tuple[Callable[..., Any], ...] = _members(plugins, "statement")
        # A field of a plugin may wait for something, as a rule may.
        self.rules_may_read: bool = any(
            not getattr(plugin, "reads_nothing", False)
            and any(getattr(plugin, moment, None) is not None for moment in ("write_rule", "field"))
            for plugin in plugins
        )
        self._tables = named(plugins, "companions")
        # What is being made in another thread is kept in those before, for nobody.
        before, self._plans = self._plans, {}
        for plans in tuple(self._views.values()):
            plans.clear()
        self.look(plugins)
        return bool(before or self._has_views)

    def look(self, plugins: tuple[Any, ...]) -> bool:
        """Compose what these plugins do with calls: all that is new of plugins which only look. They never come too late."""
        asks, asked = (_members(of, "return_consumed_capacity") for of in (plugins, self._plugins))
        # A token stands for a request that may have been sent already, without the question what it costs.
        self._spares_tokens |= self.is_used and bool(asks) and not asked
        self._plugins = plugins
        self.notes: tuple[Callable[..., str | None], ...] = tuple(
            shielded(explained, name, "explained") for name, explained in named(plugins, "explained")
        )
        self.gauges: tuple[tuple[Callable[[], Any], FailureLog], ...] = tuple(
            (gauges, FailureLog(name, "gauges")) for name, gauges in named(plugins, "gauges")
        )
        asking = _asking(plugins, spares_tokens=self._spares_tokens)
        self._around = (*(around for plugin in plugins for around in _arounds(plugin)), *asking)
        self.channel.observers = tuple(
            shielded(observe, name, "observe") for name, observe in named(plugins, "observe")
        )
        self.channel.watch = _watch(plugins)
        self.call: Callable[[Op], Flow[Any]] = _composed(self.channel, self._around, chooses=bool(self._signing))
        for other in tuple(self._copies):
            other._take_over(self)
        return False

    def _take_over(self, root: Session) -> None:
        """Do as the session does that this one is a copy of."""
        self.registry, self._reading, self.write_rules = root.registry, root._reading, root.write_rules
        self.finishers, self.rules_may_read, self.statements = root.finishers, root.rules_may_read, root.statements
        if not self.scope:
            self._plans = root._plans
        self._plugins, self._around, self.call = root._plugins, root._around, root.call
        self.notes, self._spares_tokens = root.notes, root._spares_tokens
        if self._asks is not None:
            self._sign(self._asks)
        elif self.channel is not root.channel:  # that of streams
            self.channel.observers, self.channel.watch = root.channel.observers, root.channel.watch
            self.call = _composed(self.channel, self._around)
        if self._way is not None:
            self.call = self._way(self.call)

    def go(self, way: Callable[[Callable[[Op], Flow[Any]]], Callable[[Op], Flow[Any]]]) -> None:
        """Make all calls in another way, such as on another driver: ``way`` gives a call for the one that this session has."""
        self._way = way
        self.call = way(self.call)

    @property
    def root(self) -> Session:
        """The session of the database, of a view too."""
        return self._root or self

    @property
    def plugins(self) -> tuple[Any, ...]:
        """The plugins, outermost first."""
        return self._plugins

    @property
    def models(self) -> tuple[tuple[str, type[Any]], ...]:
        """The models that have been used, each with its table."""
        plans = [*self.root._plans.values(), *(plan for view in tuple(self._views.values()) for plan in view.values())]
        return tuple({(plan.table, plan.codec.schema.model): None for plan in plans})

    @property
    def shows_calls(self) -> bool:
        """Whether a plugin looks at calls."""
        return bool(self._around) or bool(self.channel.observers) or self.channel.watch is not None

    @property
    def is_used(self) -> bool:
        """Whether a model has been used or a view was made, so that what plugins add is settled."""
        return bool(self._plans) or self._has_views

    def stand_in(self, verbs: Any) -> None:
        """Let the faces find the flows of the verbs here: the module of the verbs, or what stands in for it."""
        for session in (self, *self._copies):
            setattr(session, "verbs", verbs)  # noqa: B010 - to who checks types it is a module, which nobody assigns

    def scoped(self, scope: Mapping[str, str]) -> Session:
        """The same session for a view with this scope."""
        self._has_views = True  # the view has the plugins of this moment
        other = copy(self)
        other.scope = scope
        if self._root is None:
            other._root = self
        views = self._views  # one for the database and all of its views
        if len(views) >= MAX_VIEWS:
            _forget(views)
        other._plans = views.setdefault(frozenset(scope.items()), {})
        if self._signing:
            other._have_credentials()
        self._copies.add(other)
        return other

    def _have_credentials(self) -> None:
        """Let the requests of this view be signed with what plugins give for its scope. Raises: ConfigError for two that give some."""
        given = [(name, ask) for name, of in self._signing if (ask := of(self.scope)) is not None]
        if len(given) > 1:
            raise ConfigError(
                f"the plugins {' and '.join(name for name, _ in given)} both give the credentials of this view"
            )
        if given and given[0] != self._asks:
            self._sign(given[0])

    def _sign(self, asks: tuple[str, Any]) -> None:
        plugin, ask = self._asks = asks
        self.channel: Channel = self.ways.channel(self.root.channel, ask, plugin)
        self.call = _joining().over(self.channel, self.call)

    @override
    def writer(self, verb: str) -> Callable[..., Write]:
        from dynamorm.ops.verbs.builders import BUILDERS  # only rules of plugins need it

        if verb not in BUILDERS:
            raise ValidationError(f"{verb!r} is no verb that writes one item: {', '.join(BUILDERS)}", field="verb")
        return BUILDERS[verb]

    @override
    def tables_besides(self, models: Iterable[Any]) -> list[type[Any]]:
        if not self._tables:
            return []
        schemas = [self.plan(model).codec.schema for model in models]
        besides = [_joining().companions(of(schema), name) for schema in schemas for name, of in self._tables]
        return list(dict.fromkeys(model for some in besides for model in some))

    @override
    def _make_plan(self, model: Any) -> ModelRequests:
        codec = self.registry.codec(model)
        scoped = codec.is_scoped
        placed = bool(codec.placed) or codec.family is not None
        rule = self._scope_rule(codec) if self._scoping else None
        read_rules = self._read_rules(codec) if self._reading or scoped or _hides_expired(codec.schema) else None
        if self._root is not None and not (scoped or placed or read_rules is not None or rule is not None):
            return self._root.plan(model)
        if scoped and self.scope:
            codec = codec.bound(self.scope)
        if placed and self.scope:
            codec = placed_in(codec, self.scope)
        if rule is not None:
            codec = _in_view().in_view(codec, rule)
        if read_rules is not None:
            codec = read_rules.codec(codec)
        plan = ModelRequests(codec, tokens=self.config.write_tokens, strict=self.config.strict_creates)
        if rule is not None:
            plan.given = rule.values
        if read_rules is not None:
            plan.read_rules = read_rules
            plan.prepare = read_rules.prepare if read_rules.is_preparing else None
            plan.foresee = read_rules.foresee if read_rules.is_foreseeing else None
        schema = plan.codec.schema
        rules = [rule for _, of in self.write_rules if (rule := of(schema)) is not None]
        if rules:
            check_rules(rules)
        add_rules(plan, rules)
        if self.config.preset == "production":
            check_production(plan)
        return plan

    def _scope_rule(self, codec: ModelCodec) -> ScopeRule | None:
        """What the scope is to a model. Raises: ConfigError for several rules; what refuses the model here."""
        rules = [(name, rule) for name, of in self._scoping if (rule := of(codec.schema, self.scope)) is not None]
        if not rules:
            return None
        if len(rules) > 1:
            raise ConfigError(
                f"the plugins {' and '.join(name for name, _ in rules)} both have a rule for the scope of {codec.schema.name}"
            )
        ((name, rule),) = rules
        if not isinstance(rule, _in_view().ScopeRule):
            raise ConfigError(f"scope_rule of the plugin {name} gave {type(rule).__name__}: give a ScopeRule, or None")
        given: ScopeRule = rule
        return given

    def unbound(self) -> Session:
        """This session without what plugins say of scopes: for what is of whole tables."""
        other = copy(self)
        other._scoping, other._plans = (), {}
        return other

    def _read_rules(self, codec: ModelCodec) -> ReadRules | None:
        """The rules for what is read of a model in the scope of this session: that of its keys, and those of plugins."""
        from dynamorm.ops.reads.read_rules import (  # only where there are any
            InScope,
            ReadRules,
            check_read_rules,
            expiry_rule,
        )

        def rules_of(cls: type[Any]) -> tuple[ReadRule, ...]:
            of_class = self.registry.codec(cls)
            rules = tuple(rule for of in self._reading if (rule := of(of_class.schema)) is not None)
            check_read_rules(rules, of_class)
            if of_class.schema.hide_expired:
                rule = expiry_rule(of_class.schema, self.now)
                rules += (expiring.setdefault(rule.attributes, rule),)
            if cls not in in_scope:
                scoped = of_class.is_scoped and self.scope
                in_scope[cls] = (InScope(of_class.bound(self.scope)),) if scoped else ()
            return (*in_scope[cls], *rules)

        in_scope: dict[type[Any], tuple[ReadRule, ...]] = {}
        expiring: dict[Any, ReadRule] = {}
        return ReadRules(codec, rules_of, self.scope) if codec.family is not None or rules_of(codec.model) else None

    def streams(self) -> Session:
        """This session over the DynamoDB Streams API, which for AWS has an endpoint of its own."""
        other = copy(self)
        other.endpoint = endpoint = Endpoint.parse(
            self.config.streams_endpoint or streams_endpoint(self.config.resolve_endpoint())
        )
        other.channel = _streams_channel(self.channel, self.config, endpoint)
        other.call = _composed(other.channel, self._around)
        self._copies.add(other)
        return other


def _forget(views: dict[frozenset[tuple[str, str]], dict[Any, ModelRequests]]) -> None:
    """Let go of the plans of all views, and of the readers that were made for them."""
    codecs = [plan.codec for plans in views.values() for plan in plans.values() if plan.codec.partials]
    views.clear()
    if codecs:
        from dynamorm.codec.partial.reader import forget  # loaded by who made them

        for codec in codecs:
            forget(codec)


def _dice() -> float:
    """A random number from 0 to 1, for the delay before another attempt; the first one pays for the import."""
    from random import random

    return random()  # noqa: S311 - jitter is no secret


def name_of(plugin: Any) -> str:
    """What a plugin is called: its ``name``, else that of its class."""
    return getattr(plugin, "name", "") or type(plugin).__name__


def _hides_expired(schema: Schema) -> bool:
    """Whether items of a model, or of a class below it, are left out of reads when their time to live is over."""
    below = () if schema.discriminator is None else with_subclasses(schema.model)
    return schema.hide_expired or any(cls in SCHEMAS and SCHEMAS[cls].hide_expired for cls in below)


def _always() -> bool:
    """Stands for the look of a plugin that has none: it is asked each time."""
    return True


def _members(extensions: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    return tuple(member for one in extensions if (member := getattr(one, name, None)) is not None)


def _looked_at(plugins: tuple[Any, ...], member: str) -> tuple[Any, ...]:
    """The hooks of fields or models, each with a look at what it gives."""
    hooks = named(plugins, member)
    return tuple(getattr(_joining(), f"{member}_hook")(hook, name) for name, hook in hooks)


def _in_view() -> ModuleType:
    """What rules for scopes do to a codec."""
    from dynamorm.codec import in_view  # only where a plugin has such rules

    return in_view


def _joining() -> ModuleType:
    """What joins plugins to the calls."""
    from dynamorm.ops import joining  # only where there are plugins

    return joining


def named(plugins: tuple[Any, ...], name: str) -> tuple[tuple[str, Any], ...]:
    """The members of this name, each with the name of its plugin."""
    return tuple((name_of(plugin), member) for plugin in plugins if (member := getattr(plugin, name, None)) is not None)


def _arounds(plugin: Any) -> Iterator[Any]:
    """What a plugin puts around each call."""
    around = getattr(plugin, "around", None)
    if around is not None:
        yield _joining().layer(around, f"around of the plugin {name_of(plugin)}", "call")


def _watch(plugins: tuple[Any, ...]) -> Watch | None:
    """What the call asks and tells of each attempt; None where no plugin looks at attempts."""
    hooks = [(name_of(plugin), {hook: getattr(plugin, hook, None) for hook in OF_ATTEMPTS}) for plugin in plugins]
    if all(hook is None for _, of in hooks for hook in of.values()):
        return None
    watch: Watch = _joining().Watch(hooks)
    return watch


def _asking(plugins: tuple[Any, ...], *, spares_tokens: bool) -> Iterator[Any]:
    """The layer that asks with each request what it costs, innermost; where two plugins ask, for all that one of them wants."""
    levels = _members(plugins, "return_consumed_capacity")
    if levels:
        yield partial(
            _joining().asking, level="INDEXES" if "INDEXES" in levels else "TOTAL", spares_tokens=spares_tokens
        )


def _composed(channel: Channel, arounds: tuple[Any, ...], *, chooses: bool = False) -> Callable[[Op], Flow[Any]]:
    """The call over a channel, with the plugins around it, outermost first. ``chooses``: views may have one of their own."""
    call: Callable[[Op], Flow[Any]] = caller(channel)
    if chooses:
        call = _joining().choosing(call)
    for around in reversed(arounds):
        call = around(call)
    return call


def _streams_channel(channel: Channel, config: Config, endpoint: Endpoint) -> Channel:
    """A channel to another host, with the credentials, the clock and the plugins of this one."""
    host = endpoint.host_header
    other = copy(channel)
    other.signer = _signer(config, host, STREAMS_TARGET_PREFIX)
    other.bucket = bucket_for(f"{endpoint.scheme}://{host}")
    other.server = Server(endpoint.host, endpoint.port, channel.server.region)
    # AWS promises the checksum for DynamoDB itself only: here a missing one is no reason to disbelieve an answer.
    other.is_aws = False
    return other


def _signer(config: Config, host: str, target_prefix: str) -> Any:
    """What writes the requests. An engine in this process looks at no signature: see docs/decisions/0016-a-request-without-a-connection.md."""
    if not config.sign_requests:
        return Unsigned(host, target_prefix=target_prefix)
    if config.engine is not None and Endpoint.parse(config.engine.address).host_header == host:
        return Named(host, target_prefix=target_prefix)
    return Signer(config.resolve_region(), host, target_prefix=target_prefix)


def _channel(config: Config, endpoint: Endpoint, clock: Clock) -> Channel:
    """Everything below the models, from the settings."""
    host = endpoint.host_header
    return Channel(
        config=config,
        signer=_signer(config, host, TARGET_PREFIX),
        credentials=CredentialSource.from_config(config),
        clock=clock,
        skew=SkewClock(),
        retry=RetryPolicy.from_config(config),
        bucket=bucket_for(f"{endpoint.scheme}://{endpoint.host_header}"),
        is_aws=endpoint.is_aws,
        is_secure=endpoint.secure,
        random=_dice,
        server=Server(endpoint.host, endpoint.port, config.resolve_region() if config.sign_requests else config.region),
        observers=(),
    )
