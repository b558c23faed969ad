"""Updates of loaded objects that only set attributes as wholes: what the request says besides values is made once.

Which attributes are set decides the whole text of such an update, its condition and its names. It is kept from the first
update of these attributes, whose checks hold for all later ones; the checks of values are made each time. Where a rule is
asked of it that may say another thing of other values, nothing is kept: ``silent_of_sets`` is what rules of the library's own
say of themselves that do not.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.library_attributes import bytes_wire, number_wire
from dynamorm.engine.sizes import MAX_ITEM
from dynamorm.errors import NotFound, Outcome, ValidationError
from dynamorm.models.expressions.path import Update
from dynamorm.models.expressions.tree import Node
from dynamorm.ops.requests import ModelRequests, encode
from dynamorm.ops.writes.version_check import VersionCheck
from dynamorm.ops.writes.write import Write

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec
    from dynamorm.ops.context import Context

    from .draft import UpdateDraft

MOST: Final = 100
"""Different sets of attributes that are kept for a model."""
_VALUES: Final = "ExpressionAttributeValues"


def known(context: Context, obj: Any, updates: tuple[Any, ...]) -> Write | None:
    """The write of an update of a loaded object, as it would be built anew; None where nothing is kept for it.

    Raises: ValidationError for a changed key.
    """
    if isinstance(obj, type):
        return None
    plan = context.plan(type(obj))
    fields: list[Any] = []
    for change in updates:
        if not _sets_whole(change):
            return None
        fields.append(change.path.field)
    text = plan.known_sets.get(tuple(fields))
    codec = plan.codec
    loaded = None if text is None else codec.loaded(obj)
    if text is None or loaded.__class__ is not bytes:
        return None
    assert loaded is not None
    check = VersionCheck(context, plan, loaded)
    if check.version is None or not check.ring:
        return None
    key = codec.key_of(obj)
    values = {":v0": number_wire(check.version), ":v1": bytes_wire(check.ring)}
    at = 2
    for change in updates:
        try:
            wire = codec.encode_field(change.path.field.name, change.value)
        except ValidationError:  # whoever builds it anew says which of several is wrong first
            return None
        if wire is None:  # then the attribute is removed
            return None
        values[f":v{at}"] = wire
        at += 1
    for wire in check.stamps()[0].values():
        values[f":v{at}"] = wire
        at += 1
    try:
        body = b"%b%b%b%b}" % (plan.key_head, key, text, encode(values))
    except UnicodeEncodeError:  # whoever builds it anew says of which field
        return None
    if len(body) > MAX_ITEM:
        return None
    shown = partial(brought_up, codec, obj)
    return Write(
        plan, "Update", key, body, partial(told, plan, shown),
        token=check.token, on_item=shown, returns="new", expects="version", known_version=check.version, known_ring=check.ring,
    )  # fmt: skip


def keep(draft: UpdateDraft, said: dict[str, Any]) -> None:
    """Keep what an update said, for the next ones that set the same attributes; nothing where that depends on more than those."""
    plan, check, updates = draft.plan, draft.version_check, draft.updates
    codec = plan.codec
    if check is None or check.version is None or not check.ring or not plan.tokens or draft.obj is None or draft.upsert:
        return
    if plan.needs_stored or plan.foresee is not None:
        return
    if codec.unstored or codec.placed or codec.renamed or codec.whole is not None:
        return
    asked = () if draft.rule is None else (*plan.transforms["update"], *plan.contributes["update"])
    if draft.explain or draft.together_with or not all(getattr(rule, "silent_of_sets", False) for rule in asked):
        return  # a rule may say another thing of other values
    if draft.begun is not None or draft.whole is not None or draft.more or draft.late or len(draft.terms) != 1:
        return
    fields = tuple([change.path.field for change in updates])
    values = said[_VALUES]
    if not all(map(_sets_whole, updates)) or len(values) != 2 + len(updates) + len(draft.stamps):
        return
    if any(field.protected or field.immutable or field.write_once for field in fields):  # the caller's allow= may tell
        return
    if len(plan.known_sets) >= MOST:
        plan.known_sets.clear()
    constant = encode({name: value for name, value in said.items() if name != _VALUES})
    plan.known_sets[fields] = b",%b,%b:" % (constant[1:-1], encode(_VALUES))


def _sets_whole(change: Any) -> bool:
    return (
        change.__class__ is Update
        and change.kind == "set"
        and change.value is not None
        and change.start is None
        and change.where is None
        and not change.also
        and not isinstance(change.value, Node)
        and len(change.path.parts) == 1
    )


def told(plan: ModelRequests, shown: Any, raw: bytes | None) -> Any:
    """The result of an update that was applied, from what is stored now."""
    if raw is None:
        raise NotFound(
            f"the {plan.codec.schema.name} was updated, and gone when it was read back",
            outcome=Outcome.APPLIED,
            table=plan.table,
        )
    return shown(plan.codec.decode(raw))


def brought_up(codec: ModelCodec, obj: Any, fresh: Any) -> Any:
    """The result of an update, from an object made of the item: by key that one, else the caller's, brought up to date."""
    if obj is None:
        return fresh
    codec.assign(obj, fresh)
    return obj
