"""``python -m examples.lambda``: both functions on this machine. Webhooks come twice, the stream's events too; the totals are right."""

from __future__ import annotations

import argparse
import os
import random
import secrets
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from statistics import median

from dynamorm import DB, Presets
from dynamorm.engine import Engine

from .models import DayTotal
from .play import Context, stream_events, webhook_event
from .tables import make_tables

COLD = """
import time
begun = time.process_time()
from importlib import import_module
functions = import_module("examples.lambda.functions")
imported = time.process_time()
print(imported - begun)
"""
"""What a new execution environment does before its first invocation."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Play. Returns 1 when a total is wrong. Example: ``main(["--webhooks", "50"])``."""
    parser = argparse.ArgumentParser(prog="python -m examples.lambda", description=__doc__)
    parser.add_argument("--webhooks", type=int, default=100, help="how many come, each twice (default: 100)")
    parser.add_argument("--lost", type=float, default=0.1, help="the share of replies that are lost (default: 0.1)")
    parser.add_argument("--seed", type=int, default=7, help="of what comes and what is lost (default: 7)")
    options = parser.parse_args(arguments)
    if options.webhooks < 1:
        parser.error("--webhooks is 1 or more")
    secret = f"whsec_{secrets.token_hex(24)}"
    with Engine() as engine:
        os.environ.update(DYNAMODB_ENDPOINT=engine.address, WEBHOOK_SECRETS=secret)
        functions = import_module("examples.lambda.functions")
        with DB(Presets.local_development(endpoint=engine.address)) as db:
            make_tables(db)
            dice, wanted, answers = random.Random(options.seed), 0, []
            with engine.faults.lose_reply(share=options.lost, seed=options.seed):
                for number in range(options.webhooks):
                    cents = dice.randrange(100, 10_000)
                    told = {"type": "payment.paid", "payment": f"p{number}", "cents": cents, "day": "2024-01-01"}
                    wanted += cents
                    event = webhook_event(secret, f"msg_{number}", told)
                    answers += [_sent(functions, event), _sent(functions, event)]  # senders repeat what they have sent
                for event in stream_events(db):
                    for _ in range(2):  # so does Lambda
                        while functions.totals(event, Context())["batchItemFailures"]:
                            continue
            total = db.require(DayTotal, "2024-01-01", consistent=True)
    print(
        f"{len(answers)} webhooks came of {options.webhooks} that were sent twice, {answers.count(200)} were answered by 200"
    )
    print(f"the total of the day: {total.payments} payments, {total.cents} cents; paid were {wanted} cents")
    print(f"a cold start imports and opens in {_cold_start(secret):.0f} ms of processor time")
    return 0 if (total.payments, total.cents) == (options.webhooks, wanted) else 1


def _sent(functions: object, event: dict[str, object]) -> int:
    """Send a webhook as its sender does: again, while the answer is a 503."""
    while (answer := functions.webhook(event, Context())["statusCode"]) == 503:  # type: ignore[attr-defined]
        continue
    return int(answer)


def _cold_start(secret: str, starts: int = 3) -> float:
    """Milliseconds of processor time from the beginning of the module to its end, the median of some processes."""
    environment = {**os.environ, "WEBHOOK_SECRETS": secret, "DYNAMODB_ENDPOINT": "http://127.0.0.1:8000"}
    taken = [
        float(subprocess.run([sys.executable, "-c", COLD], env=environment, check=True, capture_output=True).stdout)
        for _ in range(starts)
    ]
    return median(taken) * 1000


if __name__ == "__main__":
    sys.exit(main())
