"""What is fetched before the items of an answer are decoded: the keys they are encrypted with, say. Only where a rule asks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from dynamorm.effects import Flow
from dynamorm.errors import DynamORMError, MalformedResponse, Outcome, TenantMismatch
from dynamorm.errors.log import logger

from .op import Op, Safety

if TYPE_CHECKING:
    from dynamorm.wire.reply import ServiceFault


def prepared(op: Op, body: bytes) -> Flow[Any]:
    """Prepare for the items of a good answer, and decode it. What fails then fails behind the write, if it was one."""
    return op.decode_when(partial(_prepare, op), body)


def _prepare(op: Op, body: bytes) -> Flow[None]:
    assert op.prepare is not None  # else it is not asked for
    try:
        yield from op.prepare(body)
    except (MalformedResponse, TenantMismatch):  # of the answer itself: it is not to be believed
        raise
    except BaseException as error:
        if op.safety is not Safety.READ:
            error.outcome = Outcome.APPLIED  # type: ignore[attr-defined] # a note for the caller
            if isinstance(error, DynamORMError):
                error.retryable = False  # the write would be made a second time
        raise


def prepared_for(op: Op, fault: ServiceFault) -> Flow[None]:
    """Prepare for the items that a refusal shows. What fails then takes nothing from the refusal: its items cannot be read."""
    assert op.prepare is not None  # else it is not asked for
    if fault.item is not None:
        body = b'{"Item":%b}' % fault.item
    elif any(reason.item is not None for reason in fault.cancellation):
        shown = (b"null" if reason.item is None else b'{"Item":%b}' % reason.item for reason in fault.cancellation)
        body = b'{"Responses":[%b]}' % b",".join(shown)
    else:
        return
    try:
        yield from op.prepare(body)
    except Exception:
        logger.warning("what the item in a refusal of %s needs could not be prepared", op.name, exc_info=True)
