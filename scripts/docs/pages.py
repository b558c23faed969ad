"""The source that Sphinx reads: the pages of ``docs``, those beside it in the repository, and the ones made from the code.

A page that is committed links to files of the repository, so that it reads well there. Where such a file is a page of the
documentation the link is turned to it; another file is copied beside the pages; a folder is only named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

BESIDE = {
    "README.md": "project/readme.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "COMMERCIAL.md": "project/commercial.md",
    "src/dynamorm/ASSISTANTS.md": "guide/assistants.md",
}
"""Pages of the repository that stand outside of ``docs``, and where they are put; the examples' own pages come beside."""

LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?!https?://|mailto:|#)(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
FENCE = re.compile(r"^\s*(```|~~~)")


def beside() -> dict[Path, str]:
    """Each page outside of ``docs`` by its file, and its place in the source."""
    examples = {page: f"examples/{page.parent.name}.md" for page in sorted((ROOT / "examples").glob("*/README.md"))}
    return {**{ROOT / name: place for name, place in BESIDE.items()}, **examples}


def assemble(source: Path, made: Mapping[str, str]) -> None:
    """Write all pages under ``source``; a page that is as before is not touched, so that it is not built again."""
    places = {page: page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} | beside()
    kept: set[Path] = set()
    for page, place in places.items():
        if place in made:  # of which the committed page is the beginning
            continue
        kept |= _with_links(page, place, places, source)
    for page in (one for kind in ("*.png", "*.svg", "*.json") for one in DOCS.rglob(kind)):
        kept.add(_write(source / page.relative_to(DOCS), page.read_bytes()))
    for place, text in made.items():
        kept.add(_write(source / place, text.encode()))
    for old in source.rglob("*"):
        if old.is_file() and old not in kept:
            old.unlink()


def _with_links(page: Path, place: str, places: Mapping[Path, str], source: Path) -> set[Path]:
    """Write one page whose links are turned; gives every file that was written."""
    written: set[Path] = set()
    here = (source / place).parent

    def turned(match: re.Match[str]) -> str:
        target = (page.parent / match["target"]).resolve()
        anchor = match["anchor"] or ""
        if target in places:
            return f"[{match['text']}]({os.path.relpath(source / places[target], here)}{anchor})"
        if target.is_relative_to(DOCS) or not target.exists():
            return match[0]  # which Sphinx judges
        if target.is_dir():
            return match["text"]
        copy = source / "files" / target.relative_to(ROOT)
        written.add(_write(copy, target.read_bytes()))
        return f"[{match['text']}]({os.path.relpath(copy, here)})"

    lines, fenced = [], False
    for line in page.read_text("utf-8").splitlines():
        if FENCE.match(line):
            fenced = not fenced
        lines.append(line if fenced else LINK.sub(turned, line))
    text = "\n".join(lines) + "\n"
    written.add(_write(source / place, text.encode()))
    return written


def _write(target: Path, content: bytes) -> Path:
    if not target.is_file() or target.read_bytes() != content:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return target
