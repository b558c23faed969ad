"""What a hit and a miss cost, beside a get without a cache: calls of Python, which are the same on every machine, and times."""

import time

from benchmarks import payload, sample
from benchmarks.calls import Scripted, count
from benchmarks.libraries.dynamorm_models import payment_model, settings
from dynamorm import DB, Cache
from dynamorm.testing import reply

KEY = (sample.MERCHANT, "payment-00000001")
ROUNDS, GETS = 5, 400


class Looking:
    """A plugin that looks at verbs and at calls, and does nothing: what any plugin of this kind costs."""

    name = "looking"

    def operation(self, next):
        return next

    def around(self, call):
        def passed(op):
            return (yield from call(op))

        return passed


class Forgetful(Cache):
    """A cache that keeps nothing."""

    def __init__(self):
        super().__init__()
        self._store.find = lambda identity: None


def test_the_cost_of_a_hit_and_of_a_miss(figure):
    model = payment_model("payments")
    found = reply({"Item": payload.stored_payment(1, "nanos")})
    gets = {}
    for name, plugins in {"plain": (), "looking": (Looking(),), "hit": (Cache(),), "miss": (Forgetful(),)}.items():
        db = DB(settings("http://127.0.0.1:9"), extensions=plugins)
        db._io = Scripted(found)
        gets[name] = lambda db=db: db.get(model, *KEY)
        gets[name]()
    # The least of some: with each new second a call more or two is made, for its signature and its clock.
    calls = {name: min(count(get)["python"] for _ in range(5)) for name, get in gets.items()}
    best = dict.fromkeys(gets, 1.0)
    for _ in range(ROUNDS):  # in turn, so that all meet the same machine
        for name, get in gets.items():
            began = time.perf_counter()
            for _ in range(GETS):
                get()
            best[name] = min(best[name], (time.perf_counter() - began) / GETS)
    assert calls["hit"] <= calls["looking"] + 4
    assert calls["miss"] <= calls["looking"] + 55
    told = ", ".join(f"{name} {best[name] * 1e6:.1f} us, {calls[name]} calls" for name in gets)
    figure(f"cache in memory, a get over a scripted reply: {told}")
