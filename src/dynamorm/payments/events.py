"""What the handlers of `handlers` know of an event: of which source its key is, and of a message of SQS its id and its group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from dynamorm.errors import ConfigError, ValidationError

Event: TypeAlias = Any
Scope: TypeAlias = str | Callable[[Event], str]


def scope_of(kind: str, handler: Any, given: Any) -> Callable[[Event, Any], str]:
    """What gives the scope of an event: no two handlers, and no two sources, have one in common. Raises: ConfigError."""
    name = _name(handler)
    of_class = "." in getattr(handler, "__qualname__", "") or getattr(handler, "__self__", None) is not None
    if "<" in name or of_class if given is None else not (callable(given) or isinstance(given, str)):
        raise ConfigError(
            f"a {kind} handler has a scope of its own, and a function of a class, within another one, or without a name does not tell it:"
            ' give scope="stripe", or a function of the event that gives a text'
        )

    def scoped(event: Event, context: Any) -> str:
        if given is None:
            function = getattr(context, "function_name", None)
            return _short(kind, f"{function}/{name}" if isinstance(function, str) else name)
        found = given(event) if callable(given) else given
        if not isinstance(found, str) or not found:
            raise ValidationError("the scope of an event is a text of 1 or more characters", field="scope")
        return _short(kind, found)

    return scoped


def _name(handler: Any) -> str:
    """The full name of a function; that of its file stands for a module that was started as the program."""
    module, name = getattr(handler, "__module__", None), getattr(handler, "__qualname__", None)
    if not (isinstance(module, str) and isinstance(name, str)):
        return "<without a name>"
    code = getattr(handler, "__code__", None)
    if module == "__main__" and code is not None:
        module = Path(code.co_filename).stem
    return f"{module}.{name}"


def _short(kind: str, name: str) -> str:
    """A scope of at most 64 characters."""
    scope = f"{kind}:{name}"
    return scope if len(scope) <= 64 else f"{kind}:{sha256(name.encode()).hexdigest()[:40]}"


def records_of(event: Event) -> list[Event]:
    """The messages of a batch. Raises: ValidationError for an event that is none."""
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        raise ValidationError("an event of SQS has a list of messages, Records: this one has none", field="Records")
    return records


def id_of(record: Event) -> str:
    """The id of a message; empty for one that has none."""
    found = record.get("messageId") if isinstance(record, Mapping) else None
    return found if isinstance(found, str) else ""


def message_id(record: Event) -> str:
    """The key of a message where nothing else was said. Raises: ValidationError for one without an id."""
    found = id_of(record)
    if not found:
        raise ValidationError(
            "a message of SQS has a messageId, a text, and this one has none: give key=, a function of the message that names it",
            field="messageId",
        )
    return found


def message_body(record: Event) -> Any:
    """What must be the same where a message comes again. Raises: ValidationError for one without a body."""
    if not isinstance(record, Mapping) or "body" not in record:
        raise ValidationError(
            "a message of SQS has a body, and this one has none: give payload=, a function of the message", field="body"
        )
    return record["body"]


def group_of(record: Event) -> str | None:
    """The group of a message of a FIFO queue, which keeps its order."""
    attributes = record.get("attributes") if isinstance(record, Mapping) else None
    if not isinstance(attributes, Mapping):
        return None
    group = attributes.get("MessageGroupId")
    if group is not None and not isinstance(group, str):
        raise ValidationError("MessageGroupId of a message is a text", field="MessageGroupId")
    # A standard queue may have groups too, which say nothing about the order.
    return group if str(record.get("eventSourceARN", "")).endswith(".fifo") else None
