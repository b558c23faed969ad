"""Making a plan: step by step, looking before and after each, so that it can be interrupted and made again. Returns flows.

Before anything is sent, the tables must still be as the plan saw them, or as far as an earlier run of it came.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from dynamorm.codec.replies.table_description import TableDescription
from dynamorm.effects import Flow
from dynamorm.errors import InvalidUse, ModelError, TableNotFound
from dynamorm.ops.callbacks import check_progress, told

from .aspects import EXISTENCE, WARM, aspects, reached
from .changes import change, check_tags, switch
from .lifecycle import send_create
from .look import EXTRAS, Patience, describe, look, polls, wait_active, wait_until
from .plan import TablePlan
from .steps import Step

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


class Progress(Struct, frozen=True, kw_only=True):
    """Where `db.tables.apply` is; ``str(progress)`` says it in words.

    Example: ``db.tables.apply(plan, progress=print)``
    """

    step: Step
    number: int
    total: int
    state: Literal["started", "waiting", "done", "skipped"]
    detail: str = ""

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.number}/{self.total} {self.state}: {self.step}{detail}"


def apply(
    context: Context,
    plan: TablePlan,
    progress: Callable[[Progress], object] | None,
    timeout: float | timedelta,
    *,
    skip_unavailable: bool,
) -> Flow[tuple[Step, ...]]:
    """Make a plan. Returns the steps that were made, not those that had been made before."""
    if not isinstance(plan, TablePlan):
        raise InvalidUse("apply takes what db.tables.plan(Model) returns")
    if progress is not None:
        check_progress(progress, "a Progress")
    if plan.problems:
        raise ModelError(f"this plan cannot be made: {'; '.join(plan.problems)}")
    return (yield from _Run(context, plan, progress, timeout, skip_unavailable=skip_unavailable).run())


class _Run:
    """One run of a plan."""

    def __init__(
        self,
        context: Context,
        plan: TablePlan,
        progress: Callable[[Progress], object] | None,
        timeout: float | timedelta,
        *,
        skip_unavailable: bool,
    ) -> None:
        self.context = context
        self.plan = plan
        self.progress = progress
        self.patience = Patience(context, timeout)
        self.skip_unavailable = skip_unavailable
        self.made: list[Step] = []
        self.unavailable: set[str] = set()

    def run(self) -> Flow[tuple[Step, ...]]:
        """Look at every table first, so that nothing is begun when one of them has changed."""
        pending: list[Step] = []
        for name in self.plan.tables:
            steps = [step for step in self.plan.steps if step.table == name]
            if steps:
                live = yield from self._live(name)
                pending += _pending(name, steps, self.plan.seen[name], aspects(live))
        for number, step in enumerate(self.plan.steps, 1):
            if step in pending:
                yield from self._step(step, number)
            else:
                self._tell(step, number, "skipped", "it was made before")
        yield from self._verify()
        return tuple(self.made)

    def _live(self, table: str) -> Flow[TableDescription | None]:
        """The table as it is when nothing is under way any more; None when there is none."""
        try:
            yield from describe(self.context, table, ())
        except TableNotFound:
            return None
        yield from wait_active(self.context, table, self.patience)
        return (yield from describe(self.context, table, EXTRAS))

    def _step(self, step: Step, number: int) -> Flow[None]:
        self._tell(step, number, "started")
        if not (yield from self._send(step)):
            self.unavailable.add(step.aspect)
            self._tell(step, number, "skipped", "the engine has no such feature")
            return
        yield from self._settle(step, number)
        if "Tags" in step.request and step.call == "CreateTable" and not self.skip_unavailable:
            yield from check_tags(self.context, (yield from look(self.context, step.table)))
        self.made.append(step)
        self._tell(step, number, "done")

    def _send(self, step: Step) -> Flow[bool]:
        """Send a step's request; False when the engine cannot do it, and that is accepted."""
        context, patience = self.context, self.patience
        if step.call == "CreateTable":
            yield from send_create(context, step.table, step.request, patience)
            return True
        if step.call == "UpdateTable":
            yield from change(context, step.call, step.table, step.request, lambda: self._done(step), patience)
            return True
        return (
            yield from switch(
                context,
                step.call,
                step.table,
                step.request,
                lambda: self._done(step),
                patience,
                skip_unavailable=self.skip_unavailable,
            )
        )

    def _done(self, step: Step) -> Flow[bool]:
        live = yield from describe(self.context, step.table, _extras(step))
        return reached(step.aspect, aspects(live).get(step.aspect), step.after)

    def _settle(self, step: Step, number: int) -> Flow[None]:
        """Wait until the table is ready and shows the change."""
        told = ""

        def watch(why: str) -> None:
            nonlocal told
            if why != told:
                told = why
                self._tell(step, number, "waiting", why)

        if not _extras(step):
            yield from wait_until(
                self.context,
                step.table,
                self.patience,
                lambda live: reached(step.aspect, aspects(live).get(step.aspect), step.after),
                watch,
            )
            return
        for seconds in polls():
            if (yield from self._done(step)):
                return
            watch(why := f"{step.kind} of table {step.table!r} does not show yet")
            self.patience.unseen(f"{step.kind} of table {step.table!r}", ready=True)
            yield from self.patience.pause(seconds, why)

    def _verify(self) -> Flow[None]:
        """What was made must still be so at the end: nobody else may have changed it meanwhile."""
        last = {(step.table, step.aspect): step for step in self.made}
        for table in dict.fromkeys(step.table for step in self.made):
            live = aspects((yield from describe(self.context, table, EXTRAS)))
            for step in last.values():
                if step.table != table or step.aspect == EXISTENCE:
                    continue
                if not reached(step.aspect, live.get(step.aspect), step.after):
                    raise ModelError(
                        f"table {table!r} was changed by somebody else while the plan was made: plan again"
                    )

    def _tell(
        self, step: Step, number: int, state: Literal["started", "waiting", "done", "skipped"], detail: str = ""
    ) -> None:
        if self.progress is not None:
            total = len(self.plan.steps)
            told(self.progress, Progress(step=step, number=number, total=total, state=state, detail=detail))


def _extras(step: Step) -> tuple[str, ...]:
    """What has to be asked for besides the description, to see the step's change."""
    extras_by_aspect = {"expiry": ("ttl",), "recovery": ("recovery",), "tags": ("tags",)}
    return extras_by_aspect.get(step.aspect, ())


def _pending(table: str, steps: list[Step], seen: dict[str, Any], now: dict[str, Any]) -> list[Step]:
    """The steps that are still to be made. Raises: ModelError when the table is neither as seen nor on the plan's way."""
    made_before = EXISTENCE in seen and seen[EXISTENCE] is None and now[EXISTENCE] is not None
    moved = [] if seen[EXISTENCE] is None or now.get("key") == seen["key"] else ["key"]
    pending: list[Step] = []
    for aspect in dict.fromkeys(step.aspect for step in steps):
        chain = [step for step in steps if step.aspect == aspect]
        value = now.get(aspect)
        if now[EXISTENCE] is None and aspect != EXISTENCE:
            value = chain[0].before  # of a table that is still to be made
        reached_steps = [number for number, step in enumerate(chain, 1) if reached(aspect, value, step.after)]
        if reached_steps:
            pending += chain[reached_steps[-1] :]
        elif value == chain[0].before or aspect.startswith(WARM) or (made_before and aspect != EXISTENCE):
            pending += chain
        else:
            moved.append(aspect)
    if moved:
        raise ModelError(
            f"table {table!r} is not as the plan saw it any more ({', '.join(moved)} changed): plan again", table=table
        )
    return pending
