"""The moments at which a plugin may join, in one table. What each is for stands in `dynamorm.plugin`.

All that goes by the names of moments is taken from here: what a plugin is checked for when it is registered, which one only
looks, and what a call tells. It must not know who asks, nor what a plugin gives.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Moment(NamedTuple):
    """One moment: its name, and the names of what it is given.

    ``looks``: nothing is settled by it, so that a plugin with such ones alone may come at any time. ``awaited``: it may be a
    coroutine function. ``is_hook``: a hook of `dynamorm.plugin.Plugin`, which does nothing there. ``of_attempts``: the call
    itself asks and tells it (`dynamorm.ops.calls.attempt_hooks`).
    """

    name: str
    arguments: tuple[str, ...]
    looks: bool = False
    awaited: bool = False
    is_hook: bool = False
    of_attempts: bool = False


MOMENTS: Final = (
    Moment("pre_query", ("ctx", "query"), awaited=True, is_hook=True),
    Moment("post_query", ("ctx", "query", "result"), awaited=True, is_hook=True),
    Moment("on_error", ("ctx", "query", "error"), awaited=True, is_hook=True),
    Moment("operation", ("next",)),
    Moment("write_rule", ("schema",)),
    Moment("read_rule", ("schema",)),
    Moment("scope_rule", ("schema", "scope")),
    Moment("viewed", ("before", "scope")),
    Moment("scope_of", ("scope",)),
    Moment("credentials_of", ("scope",)),
    Moment("administered", ("what", "scope")),
    Moment("finish", ("transaction",)),
    Moment("statement", ("table", "text", "values")),
    Moment("field", ("schema", "field")),
    Moment("model", ("schema",)),
    Moment("companions", ("schema",)),
    Moment("around", ("call",)),
    Moment("admit", ("call",), of_attempts=True),
    Moment("observed", ("call", "reply", "error"), looks=True, of_attempts=True),
    Moment("retried", ("call", "error"), looks=True, of_attempts=True),
    Moment("observe", ("call", "reply"), looks=True),
    Moment("began", ("operation",), looks=True),
    Moment("ended", ("operation", "error"), looks=True),
    Moment("call_began", ("call",), looks=True, of_attempts=True),
    Moment("call_ended", ("call", "error"), looks=True, of_attempts=True),
    Moment("gauges", (), looks=True),
    Moment("explained", ("request", "config"), looks=True),
    Moment("joined", ("db",), looks=True),
    Moment("opened", ("db",), looks=True, awaited=True),
    Moment("closed", ("db",), looks=True, awaited=True),
    Moment("forked", (), looks=True),
)

ARGUMENTS: Final = {moment.name: moment.arguments for moment in MOMENTS}
"""The names of what each is given."""
HOOKS: Final = tuple(moment.name for moment in MOMENTS if moment.is_hook)
LOOKING: Final = tuple(moment.name for moment in MOMENTS if moment.looks)
AWAITED: Final = frozenset(moment.name for moment in MOMENTS if moment.awaited)
OF_ATTEMPTS: Final = tuple(moment.name for moment in MOMENTS if moment.of_attempts)

SETTINGS: Final = ("options", "return_consumed_capacity")
"""The members of a plugin that nobody asks, and that do something alone: they are read when it is registered."""
