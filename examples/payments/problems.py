"""Answers that say what is wrong, as RFC 9457 has them. None of them repeats what was sent."""

from __future__ import annotations

import logging
import re

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from dynamorm.errors import (
    ConditionFailed,
    CurrencyMismatch,
    DynamORMError,
    ForbiddenTransition,
    InProgress,
    InvalidSignature,
    KeyReused,
    NotFound,
    Outcome,
    OutOfBounds,
    Retryable,
    TamperedCursor,
    TenantMismatch,
    VersionConflict,
)

LOG = logging.getLogger("payments")
NAME = re.compile(r"[a-z_]{1,32}")
"""What may be a name of ours: anything else in the place of a mistake is what somebody has sent."""

KINDS: tuple[tuple[type[DynamORMError], int, str], ...] = (
    (NotFound, 404, "there is none"),
    (TenantMismatch, 404, "there is none"),
    (TamperedCursor, 400, "this cursor is none of this list: begin without one"),
    (InvalidSignature, 400, "the signature, or the time, of the webhook is not right"),
    (ForbiddenTransition, 409, "the payment is in no state for this"),
    (OutOfBounds, 422, "this is more than is left"),
    (CurrencyMismatch, 422, "the payment is in another currency"),
    (KeyReused, 422, "this key was used before, for another request"),
    (InProgress, 409, "this is being done at this moment"),
    (VersionConflict, 503, "this was not done, for others wrote at the same time: send it again, with the same key"),
    (ConditionFailed, 409, "what is stored does not allow this"),
    (Retryable, 503, "this was not done: send it again, with the same key"),
)


class Problem(Exception):
    """Ends a request with an answer that says why."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail


def problem(status: int, kind: str, detail: str, fields: list[dict[str, str]] | None = None) -> JSONResponse:
    """The answer to what is wrong."""
    body: dict[str, object] = {"type": f"urn:payments:{kind}", "status": status, "detail": detail}
    if fields is not None:
        body["fields"] = fields
    return JSONResponse(body, status, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Let an application answer what is wrong in this way."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(DynamORMError, _library)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return problem(error.status, error.kind, error.detail)


async def _library(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DynamORMError)
    for kind, status, detail in KINDS:
        if isinstance(error, kind):
            return problem(status, _kebab(kind), detail)
    LOG.error("a request has failed: %s", error.safe, exc_info=error)
    if error.outcome is Outcome.UNKNOWN:
        return problem(503, "unknown", "it is not known yet whether this was done: send it again, with the same key")
    return problem(500, "internal", "this was not done, for a fault of ours")


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """The mistakes of a request, without its values: a card number must not come back."""
    assert isinstance(error, RequestValidationError)
    fields = [{"field": _place(one["loc"]), "message": _said(one)} for one in error.errors()]
    return problem(422, "invalid", "the request is not as it should be", fields)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, "http", "there is none" if error.status_code == 404 else str(error.detail))


def _place(parts: tuple[object, ...]) -> str:
    return ".".join(part if isinstance(part, str) and NAME.fullmatch(part) else "?" for part in parts)


def _said(one: dict[str, object]) -> str:
    """What is wrong; what a validator of ours says is a text of ours."""
    return str(one["msg"]) if one["type"] != "json_invalid" else "no JSON"


def _kebab(kind: type[Exception]) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()
