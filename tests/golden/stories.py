"""All stories: who imports this module has them in `kit.STORIES`."""

from . import files, payments, plain, protected

__all__ = ["files", "payments", "plain", "protected"]
