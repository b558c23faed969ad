"""Preparing for the items of several models in one answer. It must not know which rules there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import dumps, read_object
from dynamorm.effects import Flow

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests


def prepare_each(plans: Sequence[ModelRequests | None]) -> Callable[[bytes], Flow[None]] | None:
    """What prepares for an answer with one response for each of these (None: of no model); None where there is nothing to prepare."""
    for plan in plans:
        if plan is not None and plan.prepare is not None:
            return partial(_prepared, tuple(plans))
    return None


def _prepared(plans: tuple[ModelRequests | None, ...], body: bytes) -> Flow[None]:
    """Hand each model the items that are its own, once."""
    responses: list[Any] = read_object(body).get("Responses") or []
    own: dict[ModelRequests, list[Any]] = {}
    for plan, response in zip(plans, responses, strict=False):  # that there are as many is seen where they are decoded
        if plan is not None and plan.prepare is not None and response:
            own.setdefault(plan, []).append(response)
    for plan, items in own.items():
        assert plan.prepare is not None  # as above
        yield from plan.prepare(b'{"Responses":%b}' % dumps(items))
