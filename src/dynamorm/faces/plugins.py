"""Registers plugins with a face, and composes what they put around its verbs. Nothing of it is loaded without plugins.

What is composed: for each plugin, outermost first, its hooks and then its own layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import iscoroutinefunction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from dynamorm.effects import Call, Flow
from dynamorm.errors import ConfigError, ValidationError
from dynamorm.log import logger
from dynamorm.plugin import HOOKS, Plugin
from dynamorm.session import name_of

from . import verbs

if TYPE_CHECKING:
    from dynamorm.plugin import VerbFlow
    from dynamorm.session import Session

LONGEST_SCOPE: Final = 256
"""Characters of a value of a scope: it becomes a part of keys, which have at most 1,024 bytes.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""


_PLAIN: Final = (
    "operation", "write_rule", "read_rule", "finish", "field", "model", "around", "admit", "observed", "observe", "explained",
    "forked",
)  # fmt: skip
"""The moments at which nothing is awaited."""

_OF_MODELS: Final = ("write_rule", "read_rule", "finish", "field", "model", "options")
"""The members by which a plugin adds to models and their writes, which is settled with the first use of one."""


def register(session: Session, plugins: Iterable[Any], *, raise_after: bool = False) -> None:
    """Add plugins to those that a session has, inside them. Raises: ConfigError."""
    added = tuple(plugins)
    if session.scope:
        raise ConfigError("a view has the plugins of its database: call db.use() before db.view()")
    if session.has_views or (session.is_used and not all(map(_only_looks_on, added))):
        raise ConfigError(
            "plugins are registered before the first call and the first view, for what they add to a model is settled with"
            " its first use: call db.use() right after the database is made"
        )
    every = (*session.plugins, *added)
    names = [name_of(plugin) for plugin in every]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"two plugins are called {', '.join(sorted(twice))}: give one of them another name")
    for plugin in added:
        if isinstance(plugin, type):
            raise ConfigError(f"{plugin.__name__} is a class: register an object of it, db.use({plugin.__name__}(...))")
        _check_moments(plugin)
    if raise_after:
        session.raising |= {name_of(plugin) for plugin in added}
    session.use(every)
    _surround(session)
    _watch_forks(added)


def register_watcher(session: Session, plugin: Any, setting: str) -> None:
    """Register a plugin of the library's own at the first question to it. Raises: ConfigError where that is too late."""
    if session.has_views or session.scope:
        raise ConfigError(
            f"the views of this database are not measured: say {setting}, or db.use({type(plugin).__name__}()) right after"
            " the database is made"
        )
    register(session, (plugin,))


def tables_of(session: Session) -> dict[str, tuple[type[Any], ...]]:
    """The models that have been used, by table."""
    found: dict[str, list[type[Any]]] = {}
    for table, model in session.models:
        found.setdefault(table, []).append(model)
    return {table: tuple(models) for table, models in found.items()}


def _only_looks_on(plugin: Any) -> bool:
    """Whether a plugin adds nothing to models, so that it may come after the first call."""
    return all(getattr(plugin, name, None) is None for name in _OF_MODELS)


def _check_moments(plugin: Any) -> None:
    """Refuse what is called like a moment and could not be asked at it. Raises: ConfigError."""
    for moment in (*_PLAIN, *HOOKS, "opened", "closed"):
        member = getattr(plugin, moment, None)
        if member is None:
            continue
        what = f"{moment} of the plugin {name_of(plugin)}"
        if isinstance(member, type) or not callable(member):
            raise ConfigError(
                f"{what} is no function, and {moment} is the name of a moment of plugins: call the attribute otherwise"
            )
        if moment in _PLAIN and iscoroutinefunction(member):
            raise ConfigError(f"{what} is a coroutine, which nobody would wait for: make it a plain function")
    if not isinstance(getattr(plugin, "options", ()), (tuple, list, set, frozenset)):
        raise ConfigError(
            f"options of the plugin {name_of(plugin)} are the classes of field options that it claims: a tuple"
        )
    if getattr(plugin, "return_consumed_capacity", None) not in (None, "TOTAL", "INDEXES"):
        raise ConfigError(f'return_consumed_capacity of the plugin {name_of(plugin)} is "TOTAL", "INDEXES" or None')


def _has_hooks(plugin: Any) -> bool:
    """Whether a plugin has a hook of its own: those of `Plugin` do nothing."""
    return any(
        getattr(plugin, name, None) is not None and getattr(type(plugin), name, None) is not getattr(Plugin, name)
        for name in HOOKS
    )


def _surround(session: Session) -> None:
    """Put the layers of the plugins around the verbs, where there are any."""
    layers: list[Callable[[VerbFlow], VerbFlow]] = []
    for plugin in session.plugins:
        if _has_hooks(plugin):
            from .hooks import Hooks  # only where a plugin has hooks

            name = name_of(plugin)
            layers.append(Hooks(plugin, name, raise_after=name in session.raising))
        if getattr(plugin, "operation", None) is not None:
            layers.append(plugin.operation)
    if layers or session.rules_may_read:
        from .surrounded import Surrounded  # only where a plugin looks at verbs, or at what they write

        session.stand_in(Surrounded(verbs, layers))


def _watch_forks(plugins: Iterable[Any]) -> None:
    for plugin in plugins:
        if getattr(plugin, "forked", None) is not None:
            from dynamorm.io.net import watch_forks  # only for plugins that hold what a child cannot share

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


def opened(session: Session, face: Any) -> Flow[None]:
    """Tell the plugins that their database is opened, in their order."""
    for plugin in session.plugins:
        hook = getattr(plugin, "opened", None)
        if hook is not None:
            yield from _told(hook, face)


def closed(session: Session, face: Any) -> Flow[None]:
    """Tell the plugins that their database is about to be closed, the last one first. What fails is logged."""
    for plugin in reversed(session.plugins):
        hook = getattr(plugin, "closed", None)
        if hook is None:
            continue
        try:
            yield from _told(hook, face)
        except Exception:
            logger.exception("closed() of the plugin %s failed", name_of(plugin))


def _told(hook: Callable[[Any], Any], face: Any) -> Flow[None]:
    if iscoroutinefunction(hook):
        from dynamorm.io.own_loop import on_a_loop  # only for coroutines

        yield Call(lambda: on_a_loop(hook, (face,)), lambda: hook(face))
    else:
        hook(face)
