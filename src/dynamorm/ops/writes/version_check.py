"""What protects a write: the version of a loaded object with its token ring, or a token transaction.

It must not know which verb it protects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.library_attributes import bytes_wire, number_wire, time_wire
from dynamorm.codec.strict import decoded, parts_of
from dynamorm.errors import ValidationError
from dynamorm.models.expressions.compile import Placeholders
from dynamorm.models.schema.schema import TOKEN_ATTRIBUTE
from dynamorm.ops.calls.op import Safety
from dynamorm.ops.requests import ModelRequests

from . import token_ring

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

OLD_ON_FAILURE: Final = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
"""With a failed condition the stored item comes back, so that it need not be read again."""


def how_to_send(
    context: Context, plan: ModelRequests, *, conditional: bool, returning: str | None
) -> tuple[bool, Safety]:
    """How a write that no version protects is sent: (as a transaction?, safety).

    Unconditional writes are sent again after a lost reply. Conditional ones are sent as a token transaction, or once
    only where tokens are switched off or the old item is asked for, which a transaction cannot return.
    """
    if returning is not None:
        if returning != "old":
            raise ValidationError(f"returning is 'old' or None, not {returning!r}", field="returning")
        return False, Safety.ONCE
    if not conditional:
        return False, Safety.RESEND
    if plan.tokens and context.config.on_ambiguous == "transact":
        return True, Safety.RESEND
    return False, Safety.ONCE


def made_at(plan: ModelRequests, obj: Any) -> dict[str, Any]:
    """The time of creation that a loaded object was read with, by the name of its field."""
    codec, created = plan.codec, plan.created
    assert created is not None
    stored = codec.stored(obj, created.stored)
    return {created.name: None if stored is None else codec.decode_field(created.name, stored)}


class VersionCheck:
    """What protects a write of a loaded object: its version, and the token ring that goes with it."""

    __slots__ = ("context", "loaded", "next_version", "plan", "ring", "token", "version")

    ring: bytes
    version: int | None

    def __init__(self, context: Context, plan: ModelRequests, loaded: bytes) -> None:
        self.context: Context = context
        self.plan: ModelRequests = plan
        self.loaded: bytes = loaded
        self.version, self.ring = plan.own.version_and_ring(loaded)
        self.token: bytes = context.random_bytes(token_ring.TOKEN)
        # The version this write stores; an item of another writer may have none yet, which is read, and counts, as 0.
        self.next_version: int = (self.version or 0) + 1

    def condition(self, places: Placeholders) -> str:
        """The text that lets the write happen only to the item as it was loaded."""
        field = self.plan.version
        if field is None:
            return f"attribute_exists({places.name(self.plan.partition.stored)})"
        if self.version is None:
            name = places.name(self.plan.partition.stored)
            text = f"attribute_exists({name}) AND attribute_not_exists({places.name(field.stored)})"
        else:
            text = f"{places.name(field.stored)} = {places.value(number_wire(self.version))}"
        if not self.plan.tokens:
            return text
        # A version alone may come back, of an item that was made again or replaced; with its tokens it does not.
        if self.ring:
            return f"{text} AND {places.name(TOKEN_ATTRIBUTE)} = {places.value(bytes_wire(self.ring))}"
        return text + self._same_tokens(places)

    def _same_tokens(self, places: Placeholders) -> str:
        """The term that what stands in the place of a ring is as it was."""
        stored = parts_of(self.loaded).get(TOKEN_ATTRIBUTE)
        if stored is None:
            return f" AND attribute_not_exists({places.name(TOKEN_ATTRIBUTE)})"
        return f" AND {places.name(TOKEN_ATTRIBUTE)} = {places.value(decoded(stored))}"  # it is not ours

    def stamps(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The library-owned attributes of this write as wire values by stored name, and its times by field name."""
        plan = self.plan
        wires: dict[str, Any] = {}
        times: dict[str, Any] = {}
        if plan.updated is not None:
            now = self.context.now()
            wires[plan.updated.stored] = time_wire(now)
            times[plan.updated.name] = now
        if plan.version is not None:
            wires[plan.version.stored] = number_wire(self.next_version)
            if plan.tokens:
                wires[TOKEN_ATTRIBUTE] = bytes_wire(token_ring.prepend(self.token, self.ring))
        return wires, times
