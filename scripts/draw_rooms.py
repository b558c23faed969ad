"""Draw docs/rooms.svg: the rooms in the order of the import contracts, and the ways of a create and of a query through them.

The order and the names come from the contracts in ``pyproject.toml``, the words from the docstrings of the rooms; with
``--check`` nothing is written, and a drawing that is not that of the tree is an error.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = ROOT / "src" / "dynamorm"
DRAWING: Final = ROOT / "docs" / "rooms.svg"

INSIDE: Final = ("models", "ops")
"""The rooms whose own rooms, which are folders, are drawn in them."""
WAYS: Final = {
    "create": (
        "#1f6fb2",
        ("faces", "ops.verbs", "codec", "ops.rules", "ops.writes", "ops.calls", "wire", "io", "codec"),
    ),
    "query": ("#2e8540", ("faces", "ops.queries", "models.expressions", "ops.calls", "wire", "io", "codec")),
}
"""The rooms that a verb passes, in order, and the colour of its numbers."""

WIDTH, LEFT, HEIGHT, GAP, INDENT = 940, 20, 34, 6, 26
NAME, LONGEST = 150, 96


class Room(NamedTuple):
    """One row of the drawing: rooms that stand beside each other have one each, with the same ``level``."""

    name: str
    depth: int
    level: int


def rooms() -> list[Room]:
    """The rooms from the highest to the lowest, those inside another one behind it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = {
        tuple(contract.get("containers", ["dynamorm"])): contract["layers"]
        for contract in contracts
        if contract["type"] == "layers"
    }
    found: list[Room] = []
    for level, line in enumerate(layers["dynamorm",]):
        for name in (part.strip().removeprefix("dynamorm.") for part in line.split("|")):
            found.append(Room(name, 0, level))
            if name in INSIDE:
                for below, inner in enumerate(layers[f"dynamorm.{name}",]):
                    parts = [part.strip() for part in inner.split("|")]
                    found += [Room(f"{name}.{part}", 1, below) for part in parts if (SOURCE / name / part).is_dir()]
    return found


def said(name: str) -> str:
    """The first sentence of what a room says of itself."""
    path = SOURCE.joinpath(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = " ".join((ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").replace("`", "").split())
    text = text.partition(". ")[0].rstrip(".")
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0].rstrip(",:") + " ..."


def drawn() -> str:
    """The drawing."""
    places: dict[str, int] = {}
    rows: list[str] = []
    top = 64
    for room in rooms():
        left = LEFT + INDENT * room.depth
        places[room.name] = top
        fill = "#f4f1ea" if room.depth else "#ffffff"
        rows.append(
            f'<rect x="{left}" y="{top}" width="{WIDTH - left - LEFT}" height="{HEIGHT}" rx="4" fill="{fill}"'
            f' stroke="#8a8577"/>'
            f'<text x="{left + 10}" y="{top + 22}" class="name">{room.name.rpartition(".")[2]}</text>'
            f'<text x="{left + NAME}" y="{top + 22}" class="said">{escape(said(room.name))}</text>'
        )
        top += HEIGHT + GAP
    taken: dict[str, int] = {}
    for colour, way in WAYS.values():
        for number, name in enumerate(way, 1):
            place = taken[name] = taken.get(name, -1) + 1
            x, y = WIDTH - LEFT - 78 + 24 * place, places[name] + HEIGHT // 2
            rows.append(
                f'<circle cx="{x}" cy="{y}" r="10" fill="{colour}"/>'
                f'<text x="{x}" y="{y + 4}" class="step" text-anchor="middle">{number}</text>'
            )
    legend = "".join(
        f'<circle cx="{LEFT + 10 + 190 * at}" cy="46" r="7" fill="{colour}"/>'
        f'<text x="{LEFT + 24 + 190 * at}" y="50" class="said">the way of a {name}</text>'
        for at, (name, (colour, _)) in enumerate(WAYS.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + 14}" viewBox="0 0 {WIDTH} {top + 14}"'
        ' role="img" aria-label="The rooms of the library, each above those that it may import from">\n'
        "<style>text{font-family:Helvetica,Arial,sans-serif;fill:#222}.name{font-size:14px;font-weight:bold}"
        ".said{font-size:12px}.step{font-size:11px;fill:#fff;font-weight:bold}</style>\n"
        f'<rect width="{WIDTH}" height="{top + 14}" fill="#fbfaf7"/>\n'
        f'<text x="{LEFT}" y="28" class="name">Each room imports only from rooms below it</text>\n{legend}\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )


def main() -> None:
    """Run as a command."""
    drawing = drawn()
    if "--check" not in sys.argv:
        DRAWING.write_text(drawing, "utf-8")
        print(f"{DRAWING.relative_to(ROOT)}: {len(rooms())} rooms")
    elif not DRAWING.exists() or DRAWING.read_text("utf-8") != drawing:
        sys.exit("docs/rooms.svg is not the drawing of this tree: run python scripts/draw_rooms.py")


if __name__ == "__main__":
    main()
