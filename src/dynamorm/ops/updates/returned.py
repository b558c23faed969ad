"""What an update gives, where that is not the whole object as it is afterwards. Used only where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.partial.taken import taken
from dynamorm.errors import MalformedResponse, ValidationError

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec
    from dynamorm.models.expressions.path import Update
    from dynamorm.ops.writes.write import Write

OLD: Final = frozenset({"old", "updated_old"})
_PARTS: Final = frozenset({"updated_new", "updated_old"})


def check_returning(subject: Any, returning: Any) -> None:
    """Refuse what an update cannot give. Raises: ValidationError."""
    if returning is not None and (not isinstance(returning, str) or returning not in OLD | _PARTS):
        raise ValidationError(
            f"returning is 'new', 'old', 'updated_new', 'updated_old' or None, not {returning!r}", field="returning"
        )
    if not isinstance(subject, type):
        raise ValidationError(
            f"returning={returning!r} is for a model and a key: an object is brought up to date by its update",
            field="returning",
        )


def returned(write: Write, result: str, updates: Iterable[Update]) -> Write:
    """The write of an update by key, whose verb gives what was before, or parts of it."""
    codec = write.plan.codec
    names = {update.path.field.stored for update in updates} if result in _PARTS else None
    if result in OLD:
        write.done, write.on_item = partial(_before, write, codec, names), None
    elif names is not None and write.on_item is not None:
        write.done, write.on_item = (
            partial(_part_of, codec, names, write.done),
            partial(_part_of, codec, names, write.on_item),
        )
    return write


def _before(write: Write, codec: ModelCodec, names: Collection[str] | None, raw: bytes | None) -> Any:
    """What was stored before, of an update that was applied."""
    if raw is None:
        if write.expects:
            raise MalformedResponse("the answer lacks the attributes that were asked for")
        return None
    obj = codec.decode_shown(raw)
    return obj if names is None or obj is None else taken(codec, obj, names)


def _part_of(codec: ModelCodec, names: Collection[str], make: Callable[[Any], Any], found: Any) -> Any:
    return taken(codec, make(found), names)
