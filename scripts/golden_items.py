"""Write down what the present version stores: ``tests/golden/VERSION.json``.

What the file of a released version has is never changed; that of the version which is being made may be made anew until it is released.

    python scripts/golden_items.py

Call it for a new version, and after a change of what is stored, which belongs into the changelog: the former form stays in the file, and
must be read for good.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Write the file of the version that pyproject.toml says."""
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    import_module("tests.golden.stories")
    kit = import_module("tests.golden.kit")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    with tempfile.TemporaryDirectory() as folder:
        added = kit.store(version, Path(folder))
    path = kit.path_of(version).relative_to(ROOT)
    print(f"{path}: {len(kit.STORIES)} stories, {len(added)} added{': ' if added else ''}{', '.join(added)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
