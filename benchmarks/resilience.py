"""What the plugins for bad days cost on good ones, and what hedged reads do to a server of which some answers are slow.

``python -m benchmarks.resilience`` prints both. The first table is CPU of ``db.get`` without network (a scripted reply), the
least of some rounds, in turns with a database that has none of them. The second one is CPU of ``db.get`` that the circuit breaker
refuses, with the error that is raised, on each face. The third one is wall-clock time of ``db.get`` on sockets, from a server in
this process that delays two of a hundred answers.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from benchmarks import payload, sample
from benchmarks.calls import Scripted
from benchmarks.libraries.dynamorm_models import payment_model, settings
from benchmarks.ratios import quarters
from dynamorm import DB, AsyncDB, CircuitBreakerConfig, Config
from dynamorm.effects import Flow, Hedge
from dynamorm.errors import CircuitOpen
from dynamorm.plugins import Bulkhead, CapacityLimiter, CircuitBreaker, Hedging, HotKeys, ThrottlePacing
from dynamorm.testing import FaultServer, answers, reply

ROUNDS = 5
BLOCK = 1_000
SLOW = 0.02
DELAY = 0.1
WARM = 2.0
READS = 2_000

PLUGINS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "none": lambda: (),
    "circuit breaker": lambda: (CircuitBreaker(CircuitBreakerConfig()),),
    "circuit breaker, by ratio": lambda: (CircuitBreaker(CircuitBreakerConfig(failure_ratio=0.5)),),
    "throttle pacing": lambda: (ThrottlePacing(),),
    "limiter of requests": lambda: (CapacityLimiter(requests=1e9),),
    "bulkhead": lambda: (Bulkhead(100),),
    "hedging": lambda: (Hedging(),),
    "hot keys": lambda: (HotKeys(),),
}


class Answering(Scripted):
    """Answers what flows ask for besides replies."""

    def run(self, flow: Flow[Any]) -> Any:
        """Drive a flow to its end."""
        from dynamorm.effects import Acquire, Call, Send

        try:
            effect = next(flow)
            while True:
                if effect.__class__ is Send:
                    effect = flow.send(self.answer)
                elif isinstance(effect, Acquire):
                    permit = effect.limiter.permit()
                    permit.take()
                    effect = flow.send(permit)
                elif isinstance(effect, Hedge):
                    effect = flow.send((self.run(effect.first), False))
                elif isinstance(effect, Call):
                    effect = flow.send(effect.sync())
                else:
                    raise AssertionError(f"not expected: {effect!r}")
        except StopIteration as stop:
            return stop.value


def costs(rounds: int = ROUNDS) -> dict[str, float]:
    """µs of CPU of a get with each of the plugins, the least of the rounds."""
    model = payment_model("payments")
    found = reply({"Item": payload.stored_payment(1, "nanos")})
    key = (sample.MERCHANT, "payment-00000001")
    works: dict[str, Callable[[], Any]] = {}
    for name, make in PLUGINS.items():
        db = DB(settings("http://127.0.0.1:9"), extensions=make())
        db._io = Answering(found)  # type: ignore[assignment]  # noqa: SLF001 - the network is replaced
        works[name] = lambda db=db: db.get(model, *key)  # type: ignore[misc]
    least = dict.fromkeys(works, 1e9)
    for work in works.values():
        _block(work)
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, work in works.items():
                least[name] = min(least[name], _block(work))
    finally:
        gc.enable()
    return least


def _block(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    for _ in range(BLOCK):
        work()
    return (time.process_time() - begun) / BLOCK * 1e6


def refusals(rounds: int = 30) -> dict[str, list[float]]:
    """µs of CPU of a get that the breaker refuses, on each face, round by round; with the coroutine on the asyncio one."""
    return {"blocking": _refused(rounds), "asyncio": asyncio.run(_refused_there(rounds))}


def _refused(rounds: int) -> list[float]:
    model = payment_model("payments")
    with DB(_guarded()) as db:
        db.breaker.isolate()

        def refused() -> None:
            try:
                db.get(model, "m", "p")
            except CircuitOpen:
                return
            raise AssertionError("it was not refused")

        return [_block(refused) for _ in range(rounds)]


async def _refused_there(rounds: int) -> list[float]:
    model, found = payment_model("payments"), []
    async with AsyncDB(_guarded()) as db:
        db.breaker.isolate()
        for _ in range(rounds):
            begun, refused = time.process_time(), 0
            for _ in range(BLOCK):
                try:
                    await db.get(model, "m", "p")
                except CircuitOpen:
                    refused += 1
            assert refused == BLOCK
            found.append((time.process_time() - begun) / BLOCK * 1e6)
    return found


def _guarded() -> Config:
    return replace(settings("http://127.0.0.1:9"), circuit_breaker=CircuitBreakerConfig())


def latencies(face: str, hedging: Hedging | None, *, warm: float = WARM, reads: int = READS) -> list[float]:
    """The sorted seconds of so many reads, of a server of which `SLOW` of the answers come `DELAY` seconds late."""
    dice = random.Random(7)
    plugins = () if hedging is None else (hedging,)
    model = payment_model("payments")
    answer = answers.json({})

    def script(_: Any) -> Any:
        return answer.delayed(DELAY) if dice.random() < SLOW else answer

    with FaultServer(script, keep=1) as server:
        config = settings(server.endpoint)
        if face == "blocking":
            with DB(config, extensions=plugins) as db:
                return sorted(_timed(lambda: db.get(model, "m", "p"), warm, reads))

        async def main() -> list[float]:
            async with AsyncDB(config, extensions=plugins) as db:
                end, found = time.perf_counter() + warm, []
                while time.perf_counter() < end:
                    await db.get(model, "m", "p")
                for _ in range(reads):
                    begun = time.perf_counter()
                    await db.get(model, "m", "p")
                    found.append(time.perf_counter() - begun)
                return sorted(found)

        return asyncio.run(main())


def _timed(read: Callable[[], Any], warm: float, reads: int) -> list[float]:
    end, found = time.perf_counter() + warm, []
    while time.perf_counter() < end:
        read()
    for _ in range(reads):
        begun = time.perf_counter()
        read()
        found.append(time.perf_counter() - begun)
    return found


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--reads", type=int, default=READS, help="reads that are timed for each line of the second table"
    )
    reads = parser.parse_args().reads
    least = costs()
    print(f"{'db.get with':<28}{'µs':>8}{'more':>8}")
    for name, took in least.items():
        print(f"{name:<28}{took:>8.1f}{took - least['none']:>+8.1f}")
    print(f"\n{'db.get that the breaker refuses':<28}{'least':>12}{'quartiles, µs':>26}")
    for face, times in refusals().items():
        low, middle, high = quarters(times)
        print(f"{face:<28}{min(times):>12.1f}{low:>12.1f}{middle:>7.1f}{high:>7.1f}")
    print(f"\n{SLOW:.0%} of the answers take {DELAY * 1e3:.0f} ms")
    print(f"{'':<28}{'p50, ms':>9}{'p95':>9}{'p99':>9}{'p99.9':>9}{'sent twice':>12}")
    for face in ("blocking", "asyncio"):
        for hedging in (None, Hedging()):
            times = latencies(face, hedging, reads=reads)
            name = f"{face}, {'plain' if hedging is None else 'hedged'}"
            shown = "".join(f"{times[int(len(times) * at)] * 1e3:>9.2f}" for at in (0.5, 0.95, 0.99, 0.999))
            twice = "" if hedging is None else f"{hedging.hedges / hedging.reads:>11.1%}"
            print(f"{name:<28}{shown}{twice}")


if __name__ == "__main__":
    main()
