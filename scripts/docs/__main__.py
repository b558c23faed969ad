"""Build the documentation: ``python -m scripts.docs``. What Sphinx warns of ends it with an error."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from . import api, errors, settings
from .pages import ROOT, assemble


def main(arguments: list[str] | None = None) -> int:
    """Assemble the source, let Sphinx make pages of it, and say where they are."""
    parser = argparse.ArgumentParser(prog="python -m scripts.docs", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "docs", help="where the pages are put")
    parser.add_argument("--fresh", action="store_true", help="make every page anew")
    options = parser.parse_args(arguments)
    source, html = options.out / "source", options.out / "html"
    if options.fresh:
        shutil.rmtree(options.out, ignore_errors=True)
    assemble(source, {**api.pages(), **settings.pages(), **errors.pages()})
    command = [  # all pages are written, for each one shows the list of all pages
        *(sys.executable, "-m", "sphinx", "-b", "html", "-a", "-W", "-n", "--keep-going", "-q", "-j", "auto"),
        *("-c", str(ROOT / "docs"), "-d", str(options.out / "doctrees"), str(source), str(html)),
    ]
    ended = subprocess.run(command, cwd=ROOT, check=False).returncode
    if not ended:
        print(f"the documentation is in {html / 'index.html'}")
    return ended


if __name__ == "__main__":
    sys.exit(main())
