"""Whether the policy of a session allows a request. It must not know how requests come.

Requests to DynamoDB and its streams are looked at; those to the key service and the token service are not.
"""

from __future__ import annotations

from dynamorm.engine.access.asks import asks_of
from dynamorm.engine.access.policy import first_refused
from dynamorm.engine.core import Core
from dynamorm.engine.dispatch import TARGETS
from dynamorm.engine.kms.sts import session_of
from dynamorm.engine.refusal import Refusal
from dynamorm.engine.shapes.legacy import LEGACY, modern
from dynamorm.engine.shapes.requests import reader


def denial(core: Core, target: str, body: bytes, access_key: str) -> tuple[int, bytes] | None:
    """What a request is refused with by the policy of the session whose key asks; None where it goes on."""
    found = TARGETS.get(target)
    session = None if found is None else session_of(core, access_key)
    if found is None or session is None or session["policy"] is None:
        return None
    operation = found[0]
    try:
        request = reader(operation)(body)
        if not LEGACY.isdisjoint(request):
            modern(request)
        refused = first_refused(session["policy"], asks_of(core, operation, request))
    except Refusal:
        return None  # the engine says the same
    if refused is None:
        return None
    ask, why = refused
    text = f"User: {session['arn']} is not authorized to perform: {ask.action} on resource: {ask.resource} {why}"
    refusal = Refusal("AccessDeniedException", text)
    return refusal.status, refusal.body()
