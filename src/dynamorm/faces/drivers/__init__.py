"""What a face does its I/O by: the driver to the endpoint of its session, one for each face, and other services of AWS."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .service import Service as Service


def __getattr__(name: str) -> Any:
    if name != "Service":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .service import Service  # only who asks another service needs it

    return Service
