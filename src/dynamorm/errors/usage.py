"""A command line that is none, told on one line. For commands that read their arguments themselves."""

from __future__ import annotations

import argparse
from typing import NoReturn


class OneLine(argparse.ArgumentParser):
    """A parser that says what is wrong on one line, and where to look; the exit status is 2."""

    def error(self, message: str) -> NoReturn:
        """Say it, and end."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see `{self.prog} --help`\n")
