"""The project that ``dynamorm init`` makes: its files, in which NAME stands for the name of the project."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent

FILES: Final = {
    "README.md": "readme.txt",
    "Makefile": "makefile.txt",
    "pyproject.toml": "pyproject.txt",
    ".gitignore": "gitignore.txt",
    "NAME/__init__.py": "package.txt",
    "NAME/models.py": "models.txt",
    "NAME/store.py": "store.txt",
    "NAME/database.py": "database.txt",
    "NAME/page.py": "page.txt",
    "tests/test_store.py": "test_store.txt",
    "tests/test_page.py": "test_page.txt",
}


def write(folder: Path, name: str) -> list[Path]:
    """Write the files of a project into a folder that is empty. Returns them."""
    written = []
    for place, source in FILES.items():
        path = folder / place.replace("NAME", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((_HERE / source).read_text("utf-8").replace("NAME", name), "utf-8")
        written.append(path)
    return written
