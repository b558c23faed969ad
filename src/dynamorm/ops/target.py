"""What a verb is about: an object, or a model and a key. Parsed here, once for all verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.errors import ValidationError

from .reads.items import key_from_parts

if TYPE_CHECKING:
    from dynamorm.session import Session

    from .requests import ModelRequests


class Target:
    """The item that a verb is about.

    ``obj`` is the object, None for a model and a key; ``loaded`` its state as it was loaded, None for one that was not;
    ``key`` the JSON of the key, in the spelling in which it is stored.
    """

    __slots__ = ("key", "loaded", "obj", "plan")

    def __init__(self, session: Session, subject: Any, key: tuple[Any, ...], parts: dict[str, Any], usage: str) -> None:
        """Raises: ValidationError for a key that does not fit the model, and for an object with a key: ``usage`` says how."""
        self.plan: ModelRequests
        self.loaded: bytes | None
        if isinstance(subject, type):
            self.plan = plan = session.plan(subject)
            self.key: bytes = plan.codec.key_json(key_from_parts(plan, key, parts) if parts else key)
            self.obj: Any = None
            self.loaded = None
            return
        if key or parts:
            raise ValidationError(usage)
        self.plan = plan = session.plan(type(subject))
        self.key = plan.codec.key_of(subject)
        self.obj = subject
        self.loaded = plan.codec.loaded(subject)
