"""Registers plugins with a face, and composes what they put around its verbs. Nothing of it is loaded without plugins.

What is composed: for each plugin, outermost first, its hooks and then its own layer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from inspect import iscoroutinefunction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dynamorm.errors import ConfigError, ValidationError
from dynamorm.io.net import watch_forks
from dynamorm.ops.calls.attempt_hooks import gave_answer
from dynamorm.ops.moments import check_moment, check_names, given, kind_of, layer, slips
from dynamorm.plugin import HOOKS, Plugin, ReadRule, WriteRule
from dynamorm.schema.overriding import own
from dynamorm.session import name_of, named

from . import verbs
from .ends import Ends

if TYPE_CHECKING:
    from dynamorm.plugin import VerbFlow
    from dynamorm.session import Session

    from .life import Life

T = TypeVar("T")

_FINDING: Final = threading.RLock()

LONGEST_SCOPE: Final = 256
"""Characters of a value of a scope: it becomes a part of keys, which have at most 1,024 bytes.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""


_PLAIN: Final = {
    "operation": ("next",), "write_rule": ("schema",), "read_rule": ("schema",), "finish": ("transaction",),
    "field": ("schema", "field"), "model": ("schema",), "companions": ("schema",), "around": ("call",), "admit": ("call",),
    "observed": ("call", "reply", "error"), "retried": ("call", "error"), "observe": ("call", "reply"),
    "began": ("operation",), "ended": ("operation", "error"), "call_began": ("call",), "call_ended": ("call", "error"),
    "gauges": (), "explained": ("request", "config"), "forked": (), "joined": ("db",),
}  # fmt: skip
"""The moments at which nothing is awaited, each with the names of what it is given."""


_HOOKS: Final = {
    "pre_query": ("ctx", "query"),
    "post_query": ("ctx", "query", "result"),
    "on_error": ("ctx", "query", "error"),
}
_MOMENTS: Final = {**_PLAIN, **_HOOKS, "opened": ("db",), "closed": ("db",)}
LOOKING: Final = frozenset(
    {
        "observed", "retried", "observe", "began", "ended", "call_began", "call_ended", "gauges", "explained", "opened",
        "closed", "forked", "joined",
    }
)  # fmt: skip
"""The moments of a plugin that only looks: nothing is settled by it, so that it may come at any time."""
_OF_RULES: Final = {"transform": ("draft",), "contribute": ("draft",)}
_SETTINGS: Final = ("options", "return_consumed_capacity")


def register(session: Session, face: Any, plugins: Iterable[Any], *, raise_after: bool = False) -> None:
    """Add plugins to those that the session of a face has, inside them. Raises: ConfigError."""
    added = tuple(plugins)
    for plugin in added:
        _check_plugin(plugin)
    if session.scope:
        raise ConfigError("a view has the plugins of its database: call db.use() before db.view()")
    only_looking = not any(_settles(plugin) for plugin in added)
    if session.is_used and not only_looking:
        raise ConfigError(
            "plugins are registered before the first call and the first view, for what they add to a model is settled with"
            f" its first use: call db.use() right after the database is made (one that only looks, by"
            f" {', '.join(sorted(LOOKING))}, may come at any time)"
        )
    before, raising = session.plugins, session.raising
    every = (*before, *added)
    names = [name_of(plugin) for plugin in every]
    if twice := {name for name in names if names.count(name) > 1}:
        raise _twice(sorted(twice), every, session.config)
    for plugin in added:
        joined = getattr(plugin, "joined", None)
        if joined is not None and (answer := joined(face)) is not None:
            raise gave_answer("joined", name_of(plugin), answer)
    if raise_after:
        session.raising |= {name_of(plugin) for plugin in added}
    life, compose = session.life, session.look if session.is_used else session.use
    told = [
        plugin for plugin in added if any(getattr(plugin, moment, None) is not None for moment in ("opened", "closed"))
    ]
    try:
        compose(every)
        if told:
            session.life = life or _life(face)
        _surround(session)
    except BaseException:  # what a plugin puts around verbs or calls may be no layer
        session.raising, session.life = raising, life
        compose(before)
        raise
    if session.life is not None:
        session.life.waiting += told
    _watch_forks(added)


_BY_SETTINGS: Final = {
    "circuit breaker": ("circuit_breaker", "Config(circuit_breaker=...)"),
    "cost": ("cost_tracking", "Config(cost_tracking=True)"),
    "metrics": ("metrics", "Config(metrics=...)"),
}
"""The plugins that come by a setting, by their names."""


def _twice(names: list[str], plugins: tuple[Any, ...], config: Any) -> ConfigError:
    """The error for two plugins of one name: for two of one kind another name is no remedy."""
    name = names[0]
    setting, text = _BY_SETTINGS.get(name, ("", ""))
    kinds = [type(plugin) for plugin in plugins if name_of(plugin) == name]
    if setting and getattr(config, setting):
        return ConfigError(
            f"two plugins are called {name}: this database has it already, by {text}; leave one of the two out"
        )
    if len(set(kinds)) == 1:
        return ConfigError(
            f"two plugins are called {name}, both of the class {kinds[0].__name__}: this database has one already; leave one"
            " of the two out, or, where both are meant, give one of them another name"
        )
    return ConfigError(f"two plugins are called {', '.join(names)}: give one of them another name")


def found(session: Session, face: Any, kind: type[T], make: Callable[[], T], asked: str = "") -> T:
    """The plugin of this kind that a database has, made and registered with the first call. Raises: ConfigError.

    ``asked`` is the method that asks for it, for the error on a view, which cannot have a plugin of its own.
    """
    with _FINDING:
        for plugin in session.plugins:
            if isinstance(plugin, kind):
                return plugin
        if session.scope:
            raise ConfigError(
                f"this is a view, and its database has no {kind.__name__} yet: call {asked} on the database itself, once;"
                " then its views answer, too"
            )
        made = make()
        register(session, face, (made,))
        return made


def tables_of(session: Session) -> dict[str, tuple[type[Any], ...]]:
    """The models that have been used, by table."""
    tables: dict[str, list[type[Any]]] = {}
    for table, model in session.models:
        tables.setdefault(table, []).append(model)
    return {table: tuple(models) for table, models in tables.items()}


def _settles(plugin: Any) -> bool:
    """Whether a plugin has more than looks at what is done."""
    members = (*_PLAIN, "options")
    return _has_hooks(plugin) or any(getattr(plugin, name, None) for name in members if name not in LOOKING)


def _check_plugin(plugin: Any) -> None:
    """Refuse what is no plugin, and what is called like a moment and could not be asked at it. Raises: ConfigError."""
    if isinstance(plugin, type):
        raise ConfigError(f"{plugin.__name__} is a class: register an object of it, db.use({plugin.__name__}(...))")
    if isinstance(plugin, (list, tuple, set, frozenset)):
        raise ConfigError(
            f"db.use takes plugins one by one: db.use(*plugins) in the place of a {type(plugin).__name__}"
        )
    if plugin is None or isinstance(plugin, (str, bytes, int, float, dict)):
        raise ConfigError(
            f"a plugin is an object with moments, such as one of a subclass of dynamorm.Plugin, not {given(plugin)}:"
            " db.use(Outbox())"
        )
    what = f"the plugin {name_of(plugin)}"
    check_names(plugin, _MOMENTS, what)
    _check_rule_names(plugin, what)
    if all(_own(plugin, member) is None for member in (*_MOMENTS, *_SETTINGS)):
        if isinstance(plugin, Plugin):
            raise ConfigError(
                f"{what} overrides none of {', '.join(HOOKS)} and has no other moment, so that it would never be asked: one"
                " pre_query(ctx, query) sees each verb, and ctx.verb says which it is (see dynamorm.plugin)"
            )
        raise ConfigError(
            f"{what} has none of the moments of plugins, so that it would never be asked:"
            f" {', '.join(_MOMENTS)} (see dynamorm.plugin)"
        )
    for moment in _MOMENTS:
        _check_moment(plugin, moment)
    options = getattr(plugin, "options", ())
    if not isinstance(options, (tuple, list, set, frozenset)):
        raise ConfigError(f"options of {what} are the classes of field options that it claims: a tuple")
    for option in options:
        if not isinstance(option, type):
            kind = type(option).__name__
            raise ConfigError(
                f"options of {what} are the classes of field options that it claims, options = ({kind},), and this is an"
                f" object: {kind}"
            )
    if getattr(plugin, "return_consumed_capacity", None) not in (None, "TOTAL", "INDEXES"):
        raise ConfigError(f'return_consumed_capacity of {what} is "TOTAL", "INDEXES" or None')
    if not isinstance(getattr(plugin, "name", ""), str):
        raise ConfigError(f"name of {type(plugin).__name__} is what the plugin is called in messages: a text")


def _check_moment(plugin: Any, moment: str) -> None:
    member = _own(plugin, moment)
    if member is None:
        return
    what = f"{moment} of the plugin {name_of(plugin)}"
    if isinstance(member, type) or not callable(member):
        raise ConfigError(
            f"{what} is no function, and {moment} is the name of a moment of plugins: call the attribute otherwise"
        )
    if (moment in _PLAIN or not iscoroutinefunction(member)) and (kind := kind_of(member)):
        raise ConfigError(f"{what} {kind}")
    check_moment(member, _MOMENTS[moment], what)


def _own(plugin: Any, member: str) -> Any:
    """A member of a plugin; None where there is none, and for the hooks of `Plugin`, which do nothing."""
    return own(plugin, member, Plugin) if member in HOOKS else getattr(plugin, member, None)


def _check_rule_names(plugin: Any, what: str) -> None:
    """Refuse a moment of rules in a plugin that gives none: it belongs into the rule. Raises: ConfigError."""
    if isinstance(plugin, (WriteRule, ReadRule)) or any(
        getattr(plugin, member, None) is not None for member in ("write_rule", "read_rule")
    ):
        return
    named = [(moment, moment) for moment in _OF_RULES if callable(getattr(plugin, moment, None))]
    for name, moment in (*named, *slips(plugin, _OF_RULES)):
        raise ConfigError(
            f"{what} has {name}, and {moment} is a moment of rules: give write_rule(schema), or read_rule(schema), to the"
            f" plugin, and let it return an object of a WriteRule, or ReadRule, with {moment}(draft); a method of your own is"
            f" called otherwise: _{name}"
        )


def _has_hooks(plugin: Any) -> bool:
    """Whether a plugin has a hook of its own: those of `Plugin` do nothing."""
    return any(_own(plugin, hook) is not None for hook in HOOKS)


def _life(face: Any) -> Life:
    from .life import Life  # only where a plugin wants to know of it

    return Life(face)


def _surround(session: Session) -> None:
    """Put the layers of the plugins around the verbs, where there are any."""
    layers: list[Callable[[VerbFlow], VerbFlow]] = []
    began, ended = named(session.plugins, "began"), named(session.plugins, "ended")
    if began or ended:
        layers.append(Ends(began, ended[::-1], session.channel.clock))
    if session.life is not None:
        layers.append(session.life.layer)
    for plugin in session.plugins:
        if _has_hooks(plugin):
            from .hooks import Hooks  # only where a plugin has hooks

            name = name_of(plugin)
            layers.append(Hooks(plugin, name, raise_after=name in session.raising))
        if getattr(plugin, "operation", None) is not None:
            layers.append(layer(plugin.operation, f"operation(next) of the plugin {name_of(plugin)}"))
    if layers or session.rules_may_read:
        from .surrounded import Surrounded  # only where a plugin looks at verbs, or at what they write

        session.stand_in(Surrounded(verbs, layers, shows_calls=session.shows_calls))


def _watch_forks(plugins: Iterable[Any]) -> None:
    for plugin in plugins:
        if getattr(plugin, "forked", None) is not None:
            watch_forks(plugin)


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
