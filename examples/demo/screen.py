"""What the demo shows: headings, progress bars, and tables. Only this module knows rich."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .make_payments import digits_of
from .storm import Books, Kind

_PLAIN_WIDTH = 112
_WIDEST = 120
_WRITES: dict[Kind, str] = {"add": "atomic add", "save": "versioned save"}


@dataclass(frozen=True)
class Run:
    """One line of the proof: who wrote what, what the writers were told, and what is stored. Sums are minor units."""

    client: str
    kind: Kind
    books: Books
    lost: int
    before: int
    after: int
    seconds: float

    @property
    def drift(self) -> int:
        """Stored minus confirmed: 0 when the money is right."""
        return self.after - self.before - self.books.confirmed

    @property
    def is_true(self) -> bool:
        """Whether all is stored as the writers were told: the drift is that of writes that were said to be unknown."""
        return self.books.allows(self.drift)


class Screen:
    """The demo's output. ``plain`` leaves out colours and moving bars, as for a file.

    Example: ``Screen(plain=True).heading("Payments")``
    """

    def __init__(self, *, plain: bool = False) -> None:
        console = Console(no_color=plain, force_terminal=False if plain else None, highlight=False)
        width = min(console.width, _WIDEST) if console.is_terminal else _PLAIN_WIDTH
        self.console: Console = Console(
            no_color=plain, force_terminal=False if plain else None, highlight=False, width=width
        )

    def title(self, text: str, under: str) -> None:
        """Show the opening panel."""
        body = Text.assemble((text, "bold"), "\n", (under, "dim"))
        self.console.print(Panel(body, box=box.ROUNDED, border_style="cyan", padding=(0, 2)))

    def heading(self, text: str) -> None:
        """Begin a section."""
        self.console.print()
        self.console.rule(Text(text, style="bold cyan"), align="left", style="cyan")

    def say(self, text: str, style: str = "") -> None:
        """Show one line of text."""
        self.console.print(Text(text, style=style))

    def steps(self, rows: Sequence[tuple[str, str, bool]]) -> None:
        """Show what was called and what came back; True marks an error that was meant to come."""
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 1))
        table.add_column(width=62)
        table.add_column()
        for code, result, refused in rows:
            source = Syntax(code, "python", theme="ansi_dark", background_color="default", word_wrap=True)
            table.add_row(source, Text(("✗ " if refused else "→ ") + result, style="yellow" if refused else "green"))
        self.console.print(table)

    @contextmanager
    def bars(self, **totals: int) -> Generator[dict[str, Callable[[], None]]]:
        """Show one bar for each name; the yielded functions move them. Underscores in names are shown as spaces."""
        columns = (
            TextColumn("  {task.description:<26}"),
            BarColumn(bar_width=36, complete_style="cyan", finished_style="green", pulse_style="bar.back"),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            tasks = {
                name: progress.add_task(name.replace("_", " "), start=False, total=total)
                for name, total in totals.items()
            }
            yield {name: _advancer(progress, task) for name, task in tasks.items()}

    def proof(self, runs: Sequence[Run], currency: str) -> None:
        """Show the table that the demo is about."""
        table = Table(box=box.ROUNDED, border_style="dim", header_style="bold", pad_edge=True)
        table.add_column("client")
        table.add_column("kind of write")
        for name in ("confirmed", "replies lost", "seconds", "sum should be", "sum stored", "drift"):
            table.add_column(name, justify="right", no_wrap=True)
        for at, run in enumerate(runs):
            style = "bold green" if run.drift == 0 else "bold red"
            table.add_row(
                Text(run.client, style=style),
                _WRITES[run.kind],
                f"{run.books.writes - run.books.failed - run.books.unknown:,}",
                f"{run.lost:,}",
                f"{run.seconds:.1f}",
                money(run.before + run.books.confirmed, currency),
                money(run.after, currency),
                Text(money(run.drift, currency, sign=True), style=style),
                end_section=at + 1 < len(runs) and runs[at + 1].kind != run.kind,
            )
        self.console.print(table)


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed or 0.0
        return Text(f"{speed:7,.0f}/s", style="dim")


def _advancer(progress: Progress, task: TaskID) -> Callable[[], None]:
    def advance() -> None:
        # Started by its first step, so that the clock of a bar that waits for its turn stands still.
        progress.start_task(task)
        progress.advance(task)

    return advance


def money(minor: int, currency: str, *, sign: bool = False) -> str:
    """An amount in minor units as text. Exact: no float is involved.

    Example: ``money(1250, "EUR") == "12.50 EUR"``
    """
    digits = digits_of(currency)
    whole, rest = divmod(abs(minor), 10**digits)
    mark = "-" if minor < 0 else "+" if sign and minor else ""
    fraction = f".{rest:0{digits}}" if digits else ""
    return f"{mark}{whole:,}{fraction} {currency}"
