"""The extension points: Protocols and the public view of an operation. No behaviour lives here.

A plugin enters at three moments: when a field's code is generated (`FieldHook`), when a call is composed
(`AroundHook`), and when a reply has come (`ObserveHook`). None is looked up per call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from dynamorm.schema.schema import Field, Schema

    from .effects import Flow, Reply

FieldCodec: TypeAlias = tuple[Callable[[Any], Any], Callable[[Any], Any]]
"""(encode, decode) around one field's stored form."""


class Operation(Protocol):
    """The public view of one call to DynamoDB: ``name`` (``"PutItem"``), ``table``, and the request ``body``."""

    name: str
    table: str
    body: bytes


class FieldHook(Protocol):
    """``field(schema, field)`` returns (encode, decode) to wrap a field's generated code, or None to leave it alone."""

    def __call__(self, schema: Schema, field: Field, /) -> FieldCodec | None:
        """Wrap one field, or leave it alone."""
        ...


class ModelHook(Protocol):
    """``model(schema)`` returns the schema to generate code from: with added columns, prefixed keys, or unchanged."""

    def __call__(self, schema: Schema, /) -> Schema:
        """The schema to go on with."""
        ...


CallFlow: TypeAlias = "Callable[[Operation], Flow[Any]]"
"""One DynamoDB call as a flow: what `AroundHook` wraps."""


class AroundHook(Protocol):
    """``around(call)`` returns a call that may answer, refuse, retry or add to the one it wraps. Composed once."""

    def __call__(self, call: CallFlow, /) -> CallFlow:
        """The call to go on with."""
        ...


class ObserveHook(Protocol):
    """``observe(operation, reply)`` sees every complete reply. It must not block and its failures are its own."""

    def __call__(self, operation: Operation, reply: Reply, /) -> None:
        """Look at one reply."""
        ...


class Extension(Protocol):
    """What the session looks for on a plugin, once, when it is built. Every member is optional but ``name``.

    ``options`` are the field option classes the plugin claims.
    """

    @property
    def name(self) -> str:
        """What the plugin is called; two of one name are refused."""
        ...
