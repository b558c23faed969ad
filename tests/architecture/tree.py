"""The source files of the library as data, each one parsed once: what the architecture tests look at."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, its tree, and every module that it imports, wherever in the file."""

    path: Path

    @cached_property
    def name(self) -> str:
        parts = self.path.relative_to(SOURCE).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @cached_property
    def imports(self) -> tuple[tuple[int, str], ...]:
        """(line, dotted name) of each import; ``from a import b`` counts as ``a.b``, which is ``a`` or something in it."""
        found: list[tuple[int, str]] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self._resolve(node)
                found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        return tuple(found)

    def _resolve(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".")
        climb = node.level - (1 if self.path.name == "__init__.py" else 0)
        return ".".join([*package[: len(package) - climb], *filter(None, [node.module])])

    def inside(self, *names: str) -> bool:
        """Whether this module is one of ``names`` or lies in one of those packages."""
        return any(within(self.name, name) for name in names)

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def library() -> tuple[Module, ...]:
    """Every module of the library."""
    return tuple(Module(path) for path in sorted((SOURCE / "dynamorm").rglob("*.py")))
