"""What the engine answers in the place of a result: the service's errors, by the service's names. It must not know requests."""

from __future__ import annotations

from typing import Any, Final

from msgspec import json

_SERVICE: Final = "com.amazonaws.dynamodb.v20120810#"
_SPACES: Final = {
    "ValidationException": "com.amazon.coral.validate#",
    "SerializationException": "com.amazon.coral.service#",
    "UnknownOperationException": "com.amazon.coral.service#",
    "AccessDeniedException": "com.amazon.coral.service#",
    "ThrottlingException": "com.amazon.coral.availability#",
}

CANCELLED: Final = "TransactionCanceledException"


class Refusal(Exception):
    """An answer that is an error: its name, its text, the HTTP status, and further members of its body."""

    def __init__(self, name: str, text: str, *, status: int = 400, **members: Any) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text
        self.status = status
        self.members = members

    def body(self) -> bytes:
        """The error as bytes."""
        said = "Message" if self.name == CANCELLED else "message"
        kind = _SPACES.get(self.name, _SERVICE) + self.name
        return json.encode({"__type": kind, said: self.text, **self.members})


def invalid(text: str) -> Refusal:
    """A request that breaks a rule."""
    return Refusal("ValidationException", text)


def wrong_parameter(text: str) -> Refusal:
    """A request with a value that breaks a rule."""
    return Refusal("ValidationException", f"One or more parameter values were invalid: {text}")


def unreadable(text: str) -> Refusal:
    """Bytes that are no request."""
    return Refusal("SerializationException", text)


def not_found(text: str = "Requested resource not found") -> Refusal:
    """What is asked for does not exist."""
    return Refusal("ResourceNotFoundException", text)
