"""All stories: who imports this module has them in `kit.STORIES`."""

from . import commands, files, payments, plain, protected

__all__ = ["commands", "files", "payments", "plain", "protected"]
