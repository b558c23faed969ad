"""What a crash leaves behind: at each request of a charge to the database, before and behind it, and in a process that is killed."""

import asyncio
import itertools
import subprocess
import sys
from collections import Counter
from contextvars import ContextVar

import httpx
import pytest

from dynamorm.effects import TransportError
from dynamorm.engine import Engine
from examples.payments.models import Payment
from tests.service.kit import CVV, Client, opened, served
from tests.support.wheel import ROOT

LEASE = 3.0
"""Seconds. A process that a busy machine keeps from its turn for as long has lost what it does, and is answered 503."""


class Killed(BaseException):
    """The process is gone: nothing that it does afterwards happens."""


DOOM: ContextVar["Doom | None"] = ContextVar("doom", default=None)


class Doom:
    """How long the process lives that serves this task: it dies with its request ``at``, before or behind that is applied."""

    def __init__(self, at, *, applied):
        self.left, self.applied, self.dead = at, applied, False


class Mortal(Engine):
    """An engine that is asked by processes which die: of one that has, nothing comes any more."""

    def handle(self, operation, body, **named):
        doom = DOOM.get()
        if doom is None:
            return super().handle(operation, body, **named)
        doom.left -= 1
        if doom.dead or (doom.left == 0 and not doom.applied):
            doom.dead = True
            raise Killed
        answer = super().handle(operation, body, **named)
        if doom.left == 0:
            doom.dead = True
            raise Killed
        return answer


async def dies(shop, card, key, at, applied):
    """Charge once in a process that dies at its request ``at``; whether it got that far."""
    DOOM.set(doom := Doom(at, applied=applied))
    try:
        answer = await shop.acme.charge(key=key, card=card)
    except (Killed, BaseExceptionGroup):
        return True
    assert (answer.status_code, doom.dead) == (201, False)
    return False


def test_a_crash_at_any_moment_and_a_repetition_are_one_charge(tmp_path):
    """Each point of a charge on its own: the first service dies there, another one is asked again once the lease has ended."""

    async def run():
        with Mortal() as engine:
            points = []
            async with opened(tmp_path, engine, lease=LEASE) as shop:
                card = await shop.acme.card()
                await shop.acme.paid(card=card)
                for at in itertools.count(1):
                    both = [(at, False), (at, True)]
                    died = [
                        await asyncio.create_task(dies(shop, card, f"k{at}{applied}", at, applied))
                        for at, applied in both
                    ]
                    points += both
                    if not any(died):
                        break  # a charge has fewer requests
                assert at >= 8
            async with opened(tmp_path, engine, lease=LEASE) as shop:
                keys = [f"k{at}{applied}" for at, applied in points]
                answers = await asyncio.gather(*(settled(shop.acme, key, card) for key in keys))
                again = [await shop.acme.charge(key=key, card=card) for key in keys]
                assert [one.content for one in again] == [one.content for one in answers]
                stored = await shop.view().model(Payment).all()
                assert Counter(one.id for one in stored[1:]) == Counter(one.json()["id"] for one in answers)
                await shop.delivered()
                async with shop.other_side() as db:
                    kinds = Counter(one.kind for one in await shop.instructions(db))
                assert kinds == {"authorize": len(points) + 1, "capture": len(points) + 1}
                found = await shop.service.books.trial_balance()
                assert (found.ok, found.postings) == (True, len(points) + 1)

    asyncio.run(run())


async def settled(client, key, card):
    """The answer to a request that is sent until it is one."""
    while True:
        answer = await client.charge(key=key, card=card)
        if answer.status_code == 201:
            return answer
        assert answer.status_code in (409, 503), answer.text
        await asyncio.sleep(0.1)


@served
async def test_an_error_in_the_handler_gives_the_key_back(shop):
    card = await shop.acme.card()

    async def fails():
        raise RuntimeError("behind the authorization")

    shop.service.acquirer.behind = fails
    with pytest.raises(RuntimeError):
        await shop.acme.charge(key="k", card=card)
    shop.service.acquirer.behind = None
    assert (await shop.acme.charge(key="k", card=card)).status_code == 201
    async with shop.other_side() as db:
        assert [one.kind for one in await shop.instructions(db)] == ["authorize"]  # asked twice, under one key
    assert shop.service.acquirer.asked == 2


@served
async def test_replies_that_are_lost_double_nothing(shop):
    card = await shop.acme.card()
    engine, lost, count = shop.service.settings.config.engine, [], [0]
    handle = engine.handle

    def lossy(operation, body, **named):
        answer = handle(operation, body, **named)
        count[0] += 1
        if count[0] % 3 == 0:
            lost.append(operation.rpartition(".")[2])
            raise TransportError("reset", "the reply was lost", sent=True)
        return answer

    engine.handle = lossy
    answers = [await settled(shop.acme, f"k{number}", card) for number in range(8)]
    await shop.delivered()
    del engine.handle
    assert "TransactWriteItems" in lost
    assert len({one.json()["id"] for one in answers}) == 8
    assert await shop.view().model(Payment).count() == 8
    found = await shop.service.books.trial_balance()
    assert (found.ok, found.postings) == (True, 8)
    assert (await shop.service.books.verify()).ok


def test_a_process_that_is_killed_behind_its_commit_has_charged_once(tmp_path):
    """The answer was never sent; what was applied is in the file, and the next process answers with it."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.service.killed", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        port, key, card = child.stdout.readline().split()
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        body = {"amount": 5, "currency": "EUR", "card": card, "cvv": CVV, "order": "order-1", "capture": True}
        headers = {"authorization": f"Bearer {key}", "idempotency-key": "k1"}
        with pytest.raises(httpx.HTTPError):
            client.post("/v1/payments", json=body, headers=headers)
        assert child.wait(60) == -9
    finally:
        child.kill()
        child.communicate()

    async def run():
        with Engine(tmp_path / "data.db") as engine:
            async with opened(tmp_path, engine) as shop:
                (stored,) = await shop.view().model(Payment).all()
                answer = await Client(shop.http, key).post("/v1/payments", body, key="k1")
                assert (answer.status_code, answer.headers["idempotency-replayed"]) == (201, "true")
                assert answer.json()["id"] == stored.id  # no lease is waited for: it was done
                assert await shop.view().model(Payment).count() == 1

    asyncio.run(run())
