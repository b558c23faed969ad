"""Sends random expressions, compiled by the library, to an engine and compares what it did with the evaluator.

One world after another: its items are stored, then conditions are checked a hundred to a transaction, filters by queries,
projections read a hundred to a transaction, and every item walks through a row of updates. Each expression is judged on its own;
what must be refused is asked alone. All requests of a world go out together.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from dynamorm.codec.strict import dumps, read_object
from dynamorm.errors import ConditionFailed, ValidationError
from dynamorm.models.expressions.compile import Placeholders, condition_text, projection_text, update_text
from dynamorm.ops.calls.op import Op, Safety
from dynamorm.ops.requests import names

from .evaluator import Action, Item, Literal, Refused, check, find, holds, project, read_item, refuse_overlaps, update
from .generator import Generator, Made
from .worlds import TABLE, World, item_of, random_fields, random_world

ITEMS = 100
PARTITIONS = 5
CONDITIONS = 40
PROJECTIONS = 10
UPDATES = 6
"""Of each item; the former are cheap to ask for."""
FILTERS = 300
GENTLE = {"CONDITIONS": 10, "PROJECTIONS": 2, "FILTERS": 150}
"""What a gentle run asks for instead."""
KINDS = ("conditions", "filters", "projections", "updates")
BY_VERB = 0.1
"""The share of filters and updates that goes through the public face instead of the compiler alone."""
AT_ONCE = 16
ROOM = 250 * 1024
"""An item larger than this takes no more updates: DynamoDB's limit of 400 KB is not what is tested here."""


class Run:
    """What a run has seen: how many expressions of each kind, how many were true, refused, and every difference.

    A ``gentle`` run has no updates, and only conditions that ministack understands.
    """

    def __init__(self, db: Any, seed: int, *, gentle: bool = False) -> None:
        self.gentle = gentle
        self.session = db._session
        self.drive = db._io.run
        self.db = db
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.differences: list[str] = []
        self.gate = asyncio.Semaphore(AT_ONCE)

    async def until(self, count: int, first: int = 0, tell: Callable[[str], None] = lambda _: None) -> None:
        """World after world, from the one with the number ``first`` on, until so many expressions were compared."""
        number = first
        while self.compared < count:
            await _World(self, number).run()
            number += 1
            if not (number - first) % 5:
                tell(self.told(first, number))
        tell(self.told(first, number))

    def told(self, first: int, end: int) -> str:
        """The counts."""
        return (
            f"seed {self.seed}, worlds {first} to {end - 1}: {self.compared:,} expressions, {len(self.differences)} differences,"
            f" {dict(self.counts)}"
        )

    def size(self, name: str) -> int:
        """How many of a kind are asked for in a world."""
        return GENTLE[name] if self.gentle and name in GENTLE else int(globals()[name])

    @property
    def compared(self) -> int:
        """Expressions compared so far."""
        return sum(self.counts[kind] for kind in KINDS)

    async def ask(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One call of DynamoDB's own; of a cancelled transaction the ``codes``, one for each operation."""
        op = Op(operation, TABLE, dumps(request), read_object, Safety.ONCE, _codes)
        op.parts = len(request.get("TransactItems", ()))
        async with self.gate:
            answer: dict[str, Any] = await self.drive(self.session.call(op))
            return answer


class _World:
    def __init__(self, run: Run, number: int) -> None:
        self.run_of, self.number = run, number
        self.rng = random.Random(f"{run.seed}/{number}")
        self.world: World = random_world(self.rng)
        self.plan = run.session.plan(self.world.model)
        self.table = self.plan.table
        self.generator = Generator(self.rng, self.world, gentle=run.gentle)
        self.items: list[Item] = []
        self.ask = run.ask
        self.counts = run.counts

    async def run(self) -> None:
        await self._store()
        await asyncio.gather(self._conditions(), self._filters(), self._projections())
        if not self.run_of.gentle:
            await asyncio.gather(*(self._walk(index) for index in range(ITEMS)))
            await self._same("after the updates")

    def differs(self, what: str, index: int, **shown: Any) -> None:
        if isinstance(shown.get("expected"), dict) and isinstance(shown.get("found"), dict):
            wanted, found = shown["expected"], shown["found"]
            odd = {name for name in {*wanted, *found} if wanted.get(name) != found.get(name)}
            shown["expected"], shown["found"] = [{one: side.get(one) for one in odd} for side in (wanted, found)]
        text = "\n".join(f"  {name}: {value!r}"[:1000] for name, value in shown.items())
        self.run_of.differences.append(f"seed {self.run_of.seed}, world {self.number}, item {index}, {what}\n{text}")

    def key(self, index: int) -> dict[str, Any]:
        return {"pk": {"S": self.partition(index)}, "sk": {"N": f"{index}"}}

    def partition(self, index: int) -> str:
        return f"{self.run_of.seed}/{self.number}/{index % PARTITIONS}"

    # Items

    async def _store(self) -> None:
        """Store the items through the library, and read them back as they are: values round-trip exactly."""
        objects = []
        for index in range(ITEMS):
            fields = random_fields(self.rng, self.world)
            objects.append(self.world.model(pk=self.partition(index), sk=index, **fields))
            self.items.append({**read_item(self.key(index)), **item_of(self.world, fields)})
        await asyncio.gather(*map(self._put, objects))
        await self._same("stored")
        await asyncio.gather(*(self._loaded(index, one) for index, one in enumerate(objects)))

    async def _loaded(self, index: int, obj: Any) -> None:
        """See that an object is read as it was stored."""
        async with self.run_of.gate:
            found = await self.run_of.db.get(self.world.model, obj.pk, obj.sk, consistent=True)
        fields = {field: getattr(found, field) for field in self.world.kinds}
        if {**read_item(self.key(index)), **item_of(self.world, fields)} != self.items[index]:
            self.differs("loaded", index, expected=obj, found=found)

    async def _put(self, obj: Any) -> None:
        async with self.run_of.gate:
            await self.run_of.db.put(obj)

    async def _same(self, what: str) -> None:
        """See that all items are stored as they should be."""
        found: dict[str, Item] = {}
        keys = [self.key(index) for index in range(ITEMS)]
        while keys:
            answer = await self.ask(
                "BatchGetItem", {"RequestItems": {self.table: {"Keys": keys, "ConsistentRead": True}}}
            )
            found |= {one["sk"]["N"]: _own(one) for one in answer["Responses"].get(self.table, ())}
            keys = answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", ())
        for index, item in enumerate(self.items):
            stored = found.get(f"{index}", {})
            if stored != item:
                self.differs(what, index, expected=item, found=stored)

    def _whole(self, index: int) -> dict[str, Any]:
        return {"TableName": self.table, "Key": self.key(index), "ConsistentRead": True}

    # Conditions

    async def _conditions(self) -> None:
        await asyncio.gather(*(self._batch() for _ in range(self.run_of.size("CONDITIONS"))))

    async def _batch(self) -> None:
        """One condition on each item, all in one transaction; those that must be refused go alone."""
        made = [self.generator.condition(item) for item in self.items]
        checks: dict[int, dict[str, Any]] = {}
        for index, one in enumerate(made):
            self.counts["conditions"] += 1
            places = Placeholders()
            expected = _refusal(check, one.meaning)
            try:
                text = condition_text(one.ours, places, self.plan.operand)
            except ValidationError as error:
                self._refused_early("condition", index, one, expected, error)
                continue
            checks[index] = {
                "TableName": self.table,
                "Key": self.key(index),
                "ConditionExpression": text,
                **names(places),
            }
            if expected is not None:
                await self._must_refuse(index, one, checks.pop(index), expected)
        await self._check(checks, made)

    async def _check(self, checks: dict[int, dict[str, Any]], made: list[Made]) -> None:
        if not checks:
            return
        request = {"TransactItems": [{"ConditionCheck": one} for one in checks.values()]}
        try:
            codes = (await self.ask("TransactWriteItems", request)).get("codes") or [None] * len(checks)
        except ValidationError as error:
            if len(checks) == 1:
                ((index, body),) = checks.items()
                self.differs("condition refused", index, request=body, meaning=made[index].meaning, error=error)
                return
            half = len(checks) // 2
            for part in (list(checks)[:half], list(checks)[half:]):
                await self._check({index: checks[index] for index in part}, made)
            return
        for (index, body), code in zip(checks.items(), codes, strict=True):
            expected = holds(made[index].meaning, self.items[index])
            self.counts["true conditions"] += expected
            if (code is None) is not expected or code not in {None, "ConditionalCheckFailed"}:
                shown = {"request": body, "meaning": made[index].meaning, "item": self.items[index]}
                self.differs("condition", index, expected=expected, code=code, **shown)

    async def _must_refuse(self, index: int, made: Made, body: dict[str, Any], expected: Refused) -> None:
        self.counts["refused conditions"] += 1
        try:
            answer = await self.ask("TransactWriteItems", {"TransactItems": [{"ConditionCheck": body}]})
        except ValidationError:
            return
        if answer.get("codes") == ["ValidationError"]:
            return
        self.differs("condition not refused", index, request=body, meaning=made.meaning, expected=expected)

    def _refused_early(
        self, what: str, index: int, made: Made, expected: Refused | None, error: ValidationError
    ) -> None:
        """The library refused before the wire: right only where DynamoDB would."""
        self.counts[f"refused {what}s"] += 1
        if expected is None:
            self.differs(f"{what} refused by the library", index, error=error, meaning=made.meaning, ours=made.ours)

    # Filters

    async def _filters(self) -> None:
        generator = Generator(self.rng, self.world, keys=False, gentle=self.run_of.gentle)
        count = self.run_of.size("FILTERS")
        await asyncio.gather(*(self._filter(generator, number % PARTITIONS) for number in range(count)))

    async def _filter(self, generator: Generator, partition: int) -> None:
        """A filter over all items of a partition."""
        self.counts["filters"] += 1
        members = range(partition, ITEMS, PARTITIONS)
        index = self.rng.choice(members)
        made = generator.condition(self.items[index])
        expected = _refusal(check, made.meaning)
        request: dict[str, Any] = {}
        try:
            if self.rng.random() < BY_VERB:
                self.counts["filters by the query builder"] += 1
                found: Any = await self._query(index, made)
            else:
                request = self._filter_request(index, made)
                found = {int(one["sk"]["N"]) for one in await self._pages(request)}
        except ValidationError as error:
            found = error
        if isinstance(found, ValidationError) and found.request_id is None:
            self._refused_early("filter", index, made, expected, found)
            return
        if expected is not None:
            self.counts["refused filters"] += 1
            if not isinstance(found, ValidationError):
                self.differs("filter not refused", index, request=request, meaning=made.meaning, expected=expected)
            return
        wanted = {one for one in members if holds(made.meaning, self.items[one])}
        self.counts["items filtered"] += len(members)
        self.counts["items found"] += len(wanted)
        if found != wanted:
            odd = next(iter(wanted ^ found)) if isinstance(found, set) else index
            shown = {"request": request, "meaning": made.meaning, "item": self.items[odd]}
            self.differs("filter", odd, expected=wanted, found=found, **shown)

    async def _query(self, index: int, made: Made) -> set[int]:
        model = self.world.model
        async with self.run_of.gate:
            found = await self.run_of.db.model(model).where(model.pk == self.partition(index)).filter(made.ours).all()
        return {one.sk for one in found}

    def _filter_request(self, index: int, made: Made) -> dict[str, Any]:
        places = Placeholders()
        text = condition_text(made.ours, places, self.plan.operand)
        return {
            "TableName": self.table,
            "KeyConditionExpression": f"{places.name('pk')} = {places.value({'S': self.partition(index)})}",
            "FilterExpression": text,
            "ProjectionExpression": places.name("sk"),
            "ConsistentRead": True,
            **names(places),
        }

    async def _pages(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            answer = await self.ask("Query", request)
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return found
            request = {**request, "ExclusiveStartKey": answer["LastEvaluatedKey"]}

    # Projections

    async def _projections(self) -> None:
        await asyncio.gather(*(self._project() for _ in range(self.run_of.size("PROJECTIONS"))))

    async def _project(self) -> None:
        """One projection of each item, all in one transaction; those that must be refused go alone."""
        made: dict[int, Any] = {}
        gets: dict[int, dict[str, Any]] = {}
        for index, item in enumerate(self.items):
            self.counts["projections"] += 1
            one = self.generator.projection(item)
            made[index] = distinct = list(dict.fromkeys(one.meaning))  # the library counts a path given twice once
            expected = _refusal(refuse_overlaps, distinct)
            places = Placeholders()
            try:
                text = projection_text(one.ours, places)
            except ValidationError as error:
                self._refused_early("projection", index, one, expected, error)
                continue
            request = {"TableName": self.table, "Key": self.key(index), "ProjectionExpression": text, **names(places)}
            if expected is None:
                gets[index] = request
            else:
                await self._must_refuse_projection(index, request, expected)
        await self._read(gets, made)

    async def _must_refuse_projection(self, index: int, request: dict[str, Any], expected: Refused) -> None:
        try:
            await self.ask("GetItem", request)
        except ValidationError:
            return
        self.differs("projection not refused", index, request=request, expected=expected)

    async def _read(self, gets: dict[int, dict[str, Any]], made: dict[int, Any]) -> None:
        if not gets:
            return
        try:
            if len(gets) == 1 or self.run_of.gentle:
                found = [await self.ask("GetItem", one | {"ConsistentRead": True}) for one in gets.values()]
            else:
                answer = await self.ask("TransactGetItems", {"TransactItems": [{"Get": one} for one in gets.values()]})
                found = answer["Responses"]
        except ValidationError as error:
            if len(gets) == 1:
                ((index, request),) = gets.items()
                self.differs("projection refused", index, request=request, error=error)
                return
            half = len(gets) // 2
            for part in (list(gets)[:half], list(gets)[half:]):
                await self._read({index: gets[index] for index in part}, made)
            return
        for (index, request), one in zip(gets.items(), found, strict=True):
            wanted, stored = project(made[index], self.items[index]), read_item(one.get("Item", {}))
            self.counts["attributes found"] += bool(wanted)
            if wanted != stored:
                item = self.items[index]
                self.differs("projection", index, request=request, item=item, expected=wanted, found=stored)

    # Updates

    async def _walk(self, index: int) -> None:
        """Update one item again and again, each time from what the last update left."""
        generator = Generator(random.Random(f"{self.run_of.seed}/{self.number}/{index}"), self.world)
        for _ in range(UPDATES):
            if len(json.dumps(self.items[index], default=str)) > ROOM:
                break
            self.counts["updates"] += 1
            if not await self._update(generator, index):
                break

    async def _update(self, generator: Generator, index: int) -> bool:
        """One update; False when engine and evaluator no longer agree on the item."""
        item = self.items[index]
        made = generator.update(item)
        if generator.rng.random() < BY_VERB:
            return await self._update_verb(generator, index, made)
        try:
            wanted, expected = update(made.meaning, item), None
        except Refused as refused:
            wanted, expected = item, refused
            self.counts["refused updates"] += 1
        places = Placeholders()
        try:
            text = update_text(made.ours, places, self.plan.update_operand)
        except ValidationError as error:
            self._refused_early("update", index, made, expected, error)
            return True
        request = {"TableName": self.table, "Key": self.key(index), "ReturnValues": "ALL_NEW"}
        request |= {"UpdateExpression": text, **names(places)}
        shown = {"request": request, "meaning": made.meaning, "item": item}
        try:
            answer = await self.ask("UpdateItem", request)
        except ValidationError as error:
            if expected is None:
                self.differs("update refused", index, error=error, expected=wanted, **shown)
            return True
        found = _own(answer["Attributes"])
        if expected is not None:
            self.differs("update not refused", index, expected=expected, found=found, **shown)
            return False
        self.items[index] = wanted
        if found != wanted:
            self.differs("update", index, expected=wanted, found=found, **shown)
            return False
        return True

    async def _update_verb(self, generator: Generator, index: int, made: Made) -> bool:
        """One update by the verb ``update``, half the time under a condition; False as above."""
        self.counts["updates by the verb"] += 1
        item = self.items[index]
        condition = generator.condition(item) if generator.rng.random() < 0.5 else None
        wanted, outcome = _update_outcome(made, condition, item)
        model, found = self.world.model, ""
        async with self.run_of.gate:
            try:
                loaded = await self.run_of.db.update(
                    model, self.partition(index), index, *made.ours, condition=condition and condition.ours
                )
            except (ConditionFailed, ValidationError) as error:
                found = "failed" if isinstance(error, ConditionFailed) else "refused"
        self.counts[f"{outcome or 'applied'} by the verb"] += 1
        stored = _own((await self.ask("GetItem", self._whole(index)))["Item"])
        shown = {"updates": made, "condition": condition, "item": item}
        if found != outcome or stored != wanted:
            self.differs("update by the verb", index, outcome=(outcome, found), expected=wanted, found=stored, **shown)
            return False
        if not outcome and _own(json.loads(self.plan.codec.loaded(loaded))) != stored:
            self.differs("what update returned", index, loaded=loaded, stored=stored, **shown)
        self.items[index] = stored
        return True


def _update_outcome(made: Made, condition: Made | None, item: Item) -> tuple[Item, str]:
    """What the verb ``update`` leaves, and what it says: nothing, ``failed`` or ``refused``.

    To the library NULL counts as missing, wherever something is computed from what is stored.
    """
    if _refusal(refuse_overlaps, [one.path for one in made.meaning]) is not None:
        return item, "refused"
    if condition is not None:
        if _refusal(check, condition.meaning) is not None:
            return item, "refused"
        if not holds(condition.meaning, item):
            return item, "failed"
    nulls = [one for one in made.meaning if one.kind in _COMPUTED and find(item, one.path) == ("NULL", None)]
    freed = item
    elements = [one for one in nulls if isinstance(one.path[-1], int)]  # without one, those behind it would move up
    for one in nulls:
        if one not in elements:
            freed = update([Action("remove", one.path)], freed)
    emptied = [one for one in nulls if one.kind == "delete_from_set"]  # nothing less is still the empty set
    changes = [
        Action("set", one.path, Literal(("NULL", None)) if one in emptied else one.operand)
        if one in emptied or one in elements
        else one
        for one in made.meaning
    ]
    forms = [(changes, freed)]
    if all(one.kind != "if_not_exists" for one in nulls):
        forms.insert(0, (made.meaning, item))
    for meaning, start in forms:
        try:
            return update(meaning, start), ""
        except Refused:
            continue
    return item, "refused"


_COMPUTED = {"add", "add_to_set", "delete_from_set", "append_or_create", "extend_or_create", "if_not_exists"}


def _own(wire: dict[str, Any]) -> Item:
    """The item without what the library keeps beside it."""
    found = read_item(wire)
    found.pop("_wt", None)
    return found


def _codes(fault: Any, _: bool, __: dict[str, Any]) -> dict[str, Any]:
    return {"codes": [one.code for one in fault.cancellation]}


def _refusal(question: Any, asked: Any) -> Refused | None:
    try:
        question(asked)
    except Refused as refused:
        return refused
    return None
