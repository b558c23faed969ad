"""What payments need beside items: operations that are run once, and their tables. Names are loaded when they are asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .handlers import lambda_handler as lambda_handler
    from .handlers import sqs_handler as sqs_handler
    from .handlers import webhook_handler as webhook_handler
    from .middleware import IdempotencyMiddleware as IdempotencyMiddleware
    from .middleware import current_operation as current_operation
    from .tables import ensure_tables as ensure_tables

__all__ = [
    "IdempotencyMiddleware",
    "current_operation",
    "ensure_tables",
    "lambda_handler",
    "sqs_handler",
    "webhook_handler",
]

_HOMES = {
    "IdempotencyMiddleware": "middleware",
    "current_operation": "middleware",
    "ensure_tables": "tables",
    "lambda_handler": "handlers",
    "sqs_handler": "handlers",
    "webhook_handler": "handlers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING"})
