"""Registers plugins with a face, and composes what they put around its verbs. Nothing of it is loaded without plugins.

What is composed: for each plugin, outermost first, its hooks and then its own layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dynamorm.config.endpoint import parse_endpoint
from dynamorm.config.licence.gate import ask
from dynamorm.errors import ConfigError
from dynamorm.io.net import watch_forks
from dynamorm.models.schema.overriding import own
from dynamorm.ops.moment_checks import check_moment, check_names, given, kind_of, layer, slips
from dynamorm.ops.moments import ARGUMENTS, AWAITED, HOOKS, LOOKING, SETTINGS
from dynamorm.plugin import Plugin, ReadRule, WriteRule
from dynamorm.session import name_of, named

from . import verbs
from .registration import composed, in_turn, is_composing, join, let_go, own_ways

if TYPE_CHECKING:
    from types import ModuleType

    from dynamorm.plugin import VerbFlow
    from dynamorm.session import Session

    from .life import Life

T = TypeVar("T")

_OF_RULES: Final = {"transform": ("draft",), "contribute": ("draft",)}
_OF_SCOPES: Final = ("scope_rule", "scope_of", "administered")


def register(session: Session, face: Any, plugins: Iterable[Any], *, raise_after: bool = False) -> None:
    """Add plugins to those that the session of a face has, inside them. Raises: ConfigError.

    Either all of them are asked from now on, or none: those that had joined are told that it is over.
    """
    added = tuple(plugins)
    for plugin in added:
        _check_plugin(plugin)
    if session.scope:
        raise ConfigError("a view has the plugins of its database: call db.use() before db.view()")
    in_turn(lambda: _register(session, face, added, raise_after=raise_after))
    _watch_forks(added)


def _register(session: Session, face: Any, added: tuple[Any, ...], *, raise_after: bool) -> None:
    joined: list[Any] = []
    try:
        join(added, face, joined, lambda: _check_registration(session, added))
        composed(session, lambda: _add(session, face, added, joined, raise_after=raise_after))
    except BaseException:
        let_go(joined, face)
        raise


def _check_registration(session: Session, added: tuple[Any, ...]) -> None:
    """Refuse plugins that come too late, or are there already: also by what a plugin did while it joined."""
    if session.is_closed:
        raise _over()
    if session.is_used and any(_settles(plugin) for plugin in added):
        raise _too_late()
    every = (*session.plugins, *added)
    names = [name_of(plugin) for plugin in every]
    if twice := {name for name in names if names.count(name) > 1}:
        raise _twice(sorted(twice), every, session.config)


def _add(session: Session, face: Any, added: tuple[Any, ...], joined: list[Any], *, raise_after: bool) -> None:
    """Compose what plugins add; where that fails, or the database was used or closed meanwhile, it is as it was before."""
    before, raising, life, stood = session.plugins, session.raising, session.life, session.verbs
    compose = session.use if any(_settles(plugin) for plugin in added) else session.look
    told = [plugin for plugin in added if any(getattr(plugin, moment, None) is not None for moment in _OF_LIFE)]
    waiting: list[Any] = []
    if raise_after:
        session.raising |= {name_of(plugin) for plugin in added}
    try:
        is_late = compose((*before, *added))
        _compose_verbs(session, face, told, waiting)
        _check_settled(session, is_late=is_late)
    except BaseException:  # what a plugin puts around verbs or calls may be no layer
        if waiting and session.life is not None:
            kept = session.life.withdrawn(waiting)
            ended = {id(plugin) for plugin in waiting} - {id(plugin) for plugin in kept}  # told of the end meanwhile
            joined[:] = [plugin for plugin in joined if id(plugin) not in ended]
        session.raising, session.life = raising, life
        compose(before)
        session.stand_in(stood)
        raise


def _compose_verbs(session: Session, face: Any, told: list[Any], waiting: list[Any]) -> None:
    if told and session.life is None:
        session.life = _life(face)
    _surround(session)
    if session.ways is None and named(session.plugins, "credentials_of"):
        session.ways = own_ways()
    scopes = any(getattr(plugin, moment, None) is not None for plugin in session.plugins for moment in _OF_SCOPES)
    actors = any(getattr(plugin, "asks_actor", False) for plugin in session.plugins)
    if scopes or actors:
        _following().follow(face, scopes=scopes, actors=actors)
    if session.life is not None:
        waiting += told
        session.life.wait(told)


def _check_settled(session: Session, *, is_late: bool) -> None:
    """Refuse plugins once they are composed, where the database was used or closed until then. Raises: ConfigError."""
    if session.is_closed:
        raise _over()
    if is_late:
        raise _too_late()


_OF_LIFE: Final = ("opened", "closed")


def _over() -> ConfigError:
    return ConfigError("this database is closed: open another one, and register its plugins right after it is made")


def _too_late() -> ConfigError:
    return ConfigError(
        "plugins are registered before the first call and the first view, for what they add to a model is settled with"
        f" its first use: call db.use() right after the database is made (one that only looks, by"
        f" {', '.join(sorted(LOOKING))}, may come at any time)"
    )


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


def plugin_of_kind(session: Session, face: Any, kind: type[T], make: Callable[[], T], asked: str = "") -> T:
    """The plugin of this kind that a database has, made and registered with the first call. Raises: ConfigError.

    ``asked`` is the method that asks for it, for the error on a view, which cannot have a plugin of its own.
    """

    def registered() -> T:
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

    if not is_composing(session.root):
        for plugin in session.plugins:
            if isinstance(plugin, kind):
                return plugin
    return in_turn(registered)


def ask_licence(session: Session, feature: str, method: str) -> None:
    """Ask whether a feature may be enabled. Raises: LicenseError."""
    config = session.config
    loopback = parse_endpoint(config.resolve_endpoint()).loopback
    ask(feature, method, development=loopback or config.preset == "local_development", loopback=loopback)


def tables_of(session: Session) -> dict[str, tuple[type[Any], ...]]:
    """The models that have been used, by table."""
    tables: dict[str, list[type[Any]]] = {}
    for table, model in session.models:
        tables.setdefault(table, []).append(model)
    return {table: tuple(models) for table, models in tables.items()}


def _settles(plugin: Any) -> bool:
    """Whether a plugin has more than looks at what is done."""
    settling = (*(name for name in ARGUMENTS if name not in (*LOOKING, *HOOKS)), "options")
    return _has_hooks(plugin) or any(getattr(plugin, name, None) for name in settling)


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
    check_names(plugin, ARGUMENTS, what)
    _check_rule_names(plugin, what)
    if all(_own(plugin, member) is None for member in (*ARGUMENTS, *SETTINGS)):
        if isinstance(plugin, Plugin):
            raise ConfigError(
                f"{what} overrides none of {', '.join(HOOKS)} and has no other moment, so that it would never be asked: one"
                " pre_query(ctx, query) sees each verb, and ctx.verb says which it is (see dynamorm.plugin)"
            )
        raise ConfigError(
            f"{what} has none of the moments of plugins, so that it would never be asked:"
            f" {', '.join(ARGUMENTS)} (see dynamorm.plugin)"
        )
    for moment in ARGUMENTS:
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
    for flag in ("asks_actor", "shows_verbs"):
        if not isinstance(getattr(plugin, flag, False), bool):
            raise ConfigError(f"{flag} of {what} is True or False")
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
    if (moment not in AWAITED or not iscoroutinefunction(member)) and (kind := kind_of(member)):
        raise ConfigError(f"{what} {kind}")
    check_moment(member, ARGUMENTS[moment], what)


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


def _following() -> ModuleType:
    from . import following  # only where a plugin has something to say of scopes

    return following


def _hooks() -> ModuleType:
    from . import hooks  # only where a plugin looks at verbs

    return hooks


def _life(face: Any) -> Life:
    from .life import Life  # only where a plugin wants to know of it

    return Life(face)


def _surround(session: Session) -> None:
    """Put the layers of the plugins around the verbs, where there are any."""
    layers: list[Callable[[VerbFlow], VerbFlow]] = []
    began, ended = named(session.plugins, "began"), named(session.plugins, "ended")
    if began or ended:
        layers.append(_hooks().Ends(began, ended[::-1], session.channel.clock))
    if session.life is not None:
        layers.append(session.life.layer)
    for plugin in session.plugins:
        if _has_hooks(plugin):
            name = name_of(plugin)
            layers.append(_hooks().Hooks(plugin, name, raise_after=name in session.raising))
        if getattr(plugin, "operation", None) is not None:
            layers.append(layer(plugin.operation, f"operation(next) of the plugin {name_of(plugin)}", "operation"))
    if layers or session.rules_may_read or any(getattr(plugin, "shows_verbs", False) for plugin in session.plugins):
        from .surrounded import Surrounded  # only where a plugin looks at verbs, or what they write

        session.stand_in(Surrounded(verbs, layers, shows_calls=session.shows_calls))


def _watch_forks(plugins: Iterable[Any]) -> None:
    for plugin in plugins:
        if getattr(plugin, "forked", None) is not None:
            watch_forks(plugin)
