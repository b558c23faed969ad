"""``audit verify`` and ``keys reencrypt`` over all items of a model: segments, on the database of a program."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.json import decode, encode
from msgspec.structs import replace

from dynamorm import DB
from dynamorm.models.schema.schema import schema_of

from ..ends import Code, Stop
from ..program import Program
from ..settings import Settings, Table
from .checkpoint import going_on
from .executors import Workers
from .pace import Ended, Pace
from .pages import Done, Place, over_all
from .progress import Progress

_PAGE: Final = 50
_LONGEST: Final = 0.5
_COUNTS: Final = ("items", "rewritten", "failed")


class Whole(Struct, frozen=True):
    """All items of a model, on the database of a program; both with the names that they were given by."""

    program: Program
    model: type[Any]
    model_name: str
    segments: int
    workers: Workers = Workers()
    checkpoint: Path | None = None

    def place(self, command: str) -> Path:
        """Where it is noted how far a command came."""
        if self.checkpoint is not None:
            return self.checkpoint
        return Path(f".dynamorm-{command}-{self.program.db.config.table_prefix}{schema_of(self.model).name}.checkpoint")

    def progress(self, settings: Settings, what: str) -> Progress:
        """What is told meanwhile. Raises: TableNotFound, ConnectFailed, before anything is done."""
        db = self.program.db
        count = Table(db, schema_of(self.model).table or "").shape.item_count
        return Progress(settings.out, what, db.config.region, count or None)

    def asked(self, command: str) -> dict[str, Any]:
        """What tells this command from another one."""
        table = Table(self.program.db, schema_of(self.model).table or "")
        return {"command": command, "table": table.place, "model": self.model_name, "segments": self.segments}


def verified(db: DB, model: type[Any], key: tuple[Any, ...]) -> dict[str, Any]:
    """What is told of the records of an item."""
    verdict = db.audit.verify(model, *key)
    return {
        "key": [str(part) for part in key],
        "ok": verdict.ok,
        "checked": verdict.checked,
        "first_bad": verdict.first_bad,
        "reason": verdict.reason,
    }


def verify(settings: Settings, wanted: Whole, *, pace: Pace, restart: bool) -> None:
    """Verify the records of all items. Raises: Stop where some do not hold."""
    wanted.program.db.audit._trail.log.of(wanted.model)  # noqa: SLF001 - it is refused, if nothing is recorded of it
    progress = wanted.progress(settings, f"verifying {wanted.model_name}")
    bad = 0

    def took(done: Done) -> None:
        nonlocal bad
        bad += len(done.rows)
        for row in done.rows:
            settings.out.row(**row)

    with going_on(wanted.place("audit-verify"), wanted.asked("audit verify"), restart=restart) as checkpoint:
        progress.begin(sum(line["items"] for line in checkpoint.lines))
        for row in (row for line in checkpoint.lines for row in line.get("rows", ())):
            bad += 1
            settings.out.row(**row)
        over_all(_Verifying(wanted, pace), pace, wanted.segments, wanted.workers, checkpoint, progress, took)
    progress.end()
    if bad:
        raise Stop(Code.REFUSED, f"the records of {bad} items do not hold")


class _Verifying:
    """What a worker does: it reads objects of a segment, and verifies the records of each."""

    def __init__(self, wanted: Whole, pace: Pace) -> None:
        self._program = wanted.program
        self._model = wanted.model
        self._segments = wanted.segments
        self._pace = pace

    def __call__(self, at: Place, _: str) -> tuple[Done, Place | None]:
        """Verify some. Returns what was found, and where the segment goes on."""
        db, done, end = self._program.db, Done(), time.monotonic() + _LONGEST
        query = db.model(self._model).allow_scan().segments(self._segments, only=at.segment).page_size(_PAGE)
        session = query._session  # noqa: SLF001 - it belongs to the library
        reader = session.verbs.query.page_reader_of(replace(query._request, start=at.start))  # noqa: SLF001 - as above
        key = schema_of(self._model).key
        assert key is not None  # it has a table
        while True:
            self._pace.check()
            before = done.counts["items"]
            for obj in self._pace.patient(lambda: db._io.run(reader.next(session))):  # noqa: SLF001 - as above
                where = tuple(getattr(obj, name) for name in key.fields)
                row = self._pace.patient(lambda: verified(db, self._model, where))  # noqa: B023 - it is called at once
                done.add("items")
                if not row["ok"]:
                    done.rows.append(row)
            self._pace.take(done.counts["items"] - before)
            if reader.done or time.monotonic() > end:
                break
        done.key = None if reader.done else reader.start
        return done, None if done.key is None else Place(at.segment, done.key)


def reencrypt(settings: Settings, wanted: Whole, tenant: str | None, *, pace: Pace, restart: bool) -> None:
    """Store every item under the key in use. Raises: Stop where that is not so of all."""
    progress = wanted.progress(settings, f"writing {wanted.model_name} anew")
    names = (*_COUNTS, "skipped", "complete")
    counts = dict.fromkeys(names, 0)

    def took(done: Done) -> None:
        for name in names:
            counts[name] += done.counts.get(name, 0)

    asked = wanted.asked("keys reencrypt") | {"tenant": tenant}
    with going_on(wanted.place("keys-reencrypt"), asked, restart=restart) as checkpoint:
        for line in checkpoint.lines:
            for name in names:
                counts[name] += line.get(name, 0)
        progress.begin(counts["items"])
        work = _Reencrypting(wanted, tenant, pace)
        over_all(work, pace, wanted.segments, wanted.workers, checkpoint, progress, took)
    progress.end()
    complete = bool(counts.pop("complete"))
    settings.out.row(**counts, complete=complete)
    if counts["failed"]:
        raise Stop(Code.REFUSED, f"{counts['failed']} items could not be written anew: run it again")
    if not complete:
        raise Stop(Code.RESUMABLE, "something may still be in a former form: run it again, behind old_writers_until")


class _Enough(Exception):
    """A worker has done its share for now. How far the segment is, the pass has noted."""


class _Reencrypting:
    """What a worker does: a while of the pass over a segment, which notes in the table how far it is."""

    def __init__(self, wanted: Whole, tenant: str | None, pace: Pace) -> None:
        self._program = wanted.program
        self._model = wanted.model
        self._segments = wanted.segments
        self._tenant = tenant
        self._pace = pace

    def __call__(self, at: Place, _: str) -> tuple[Done, Place | None]:
        """Go on with a segment for a while. Its place is what of it is counted already."""
        end, now = time.monotonic() + _LONGEST, dict.fromkeys(_COUNTS, 0)
        counted = [0, 0, 0] if at.start is None else decode(at.start)

        def progress(done: Any) -> None:
            before = now["items"]
            now.update(done._asdict())
            with suppress(Ended):
                self._pace.take(max(0, done.items - max(before, counted[0])))
            if self._pace.stopped.is_set() or time.monotonic() > end:
                raise _Enough

        self._pace.check()
        done = Done()
        keys = self._program.db.keys
        try:
            report = self._pace.patient(
                lambda: keys.reencrypt(
                    self._model, tenant=self._tenant, progress=progress, segment=(at.segment, self._segments)
                )
            )
        except _Enough:
            done.key = encode([now[name] for name in _COUNTS])
        else:
            now.update({name: getattr(report, name) for name in _COUNTS})
            done.counts |= {"skipped": report.skipped, "complete": int(report.complete)}
        done.counts |= {name: max(0, now[name] - count) for name, count in zip(_COUNTS, counted, strict=True)}
        return done, None if done.key is None else Place(at.segment, done.key)
