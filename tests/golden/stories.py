"""All stories: who imports this module has them in `kit.STORIES`."""

from . import commands, files, forms, payments, plain, protected

__all__ = ["commands", "files", "forms", "payments", "plain", "protected"]
