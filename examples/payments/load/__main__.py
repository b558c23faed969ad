"""``python -m examples.payments.load --seconds 30``: charges while replies are lost and servers are killed."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Sequence

from dynamorm.engine import Engine
from dynamorm.errors import ConfigError
from dynamorm.testing import LossyProxy

from ..service import Service
from ..settings import local
from .proof import Line, proof, secret_of_merchant, settled
from .servers import LEASE, Merchant, Servers
from .storm import Storm


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it. Returns 0 where everything is right. Example: ``main(["--seconds", "30"])``."""
    options = _options(arguments)
    logging.basicConfig(level=logging.CRITICAL)  # what is lost is lost on purpose
    try:
        with (
            tempfile.TemporaryDirectory(prefix="payments-load-") as folder,
            Engine() as engine,
            engine.serve() as server,  # the processes of the service reach it over HTTP
            LossyProxy(server.endpoint, seed=options.seed, loss=options.loss) as proxy,
        ):
            lines = asyncio.run(_run(options, folder, server.endpoint, proxy))
    except ConfigError as error:
        print(error.message, file=sys.stderr)
        return 2
    for line in lines:
        print(f"  {'right' if line.ok else 'WRONG'}  {line.name:<44} {line.found}")
    return 0 if all(line.ok for line in lines) else 1


async def _run(options: argparse.Namespace, folder: str, endpoint: str, proxy: LossyProxy) -> list[Line]:
    begun = time.monotonic()
    async with Merchant() as merchant:
        settings = local(folder, endpoint=endpoint, url=merchant.url, lease=LEASE)  # past the proxy
        storm = Storm(
            ports=[], api_key=settings.demo_keys["acme"], loss=options.loss, seed=options.seed
        )  # fmt: skip
        async with Service(settings, works=False) as service:  # which makes the tables
            merchant.secrets = [await secret_of_merchant(service, "acme")]
            with Servers(
                options.servers, endpoint=proxy.endpoint, folder=folder, url=merchant.url, seed=options.seed
            ) as servers:
                await servers.up()
                storm.ports = servers.ports
                watch = asyncio.create_task(_progress(begun, storm, servers, merchant, proxy))
                again = asyncio.create_task(servers.watch())
                killer = asyncio.create_task(_kill(servers, storm, options.kill_every))
                try:
                    await storm.run(options.customers, options.seconds)
                finally:
                    killer.cancel()
                    proxy.set_loss(0)
                await settled(service, merchant)
                watch.cancel()
                again.cancel()
            _say(begun, storm, servers, merchant, proxy, end="\n")
            return await proof(service, storm, merchant)


async def _kill(servers: Servers, storm: Storm, every: float) -> None:
    """Kill one now and then, as long as customers come: what they have begun then must come to its end on the slowest machine, too."""
    while every:
        await asyncio.sleep(every)
        if storm.is_over:
            return
        servers.kill_one()


async def _progress(*parts: object) -> None:
    is_terminal = sys.stdout.isatty()
    while True:
        await asyncio.sleep(1 if is_terminal else 5)
        _say(*parts, end="\r" if is_terminal else "\n")  # type: ignore[arg-type]


def _say(begun: float, storm: Storm, servers: Servers, merchant: Merchant, proxy: LossyProxy, *, end: str) -> None:
    counts = storm.counts
    print(
        f"{time.monotonic() - begun:5.0f} s: {counts['charges']} charges, {counts['refunds']} given back,"
        f" {counts['no answer']} answers lost, {counts['to be sent again']} sent again, {servers.killed} servers killed, {servers.fell} begun again,"
        f" {proxy.faulted} requests to the database spoiled, {len(merchant.ids)} webhooks ",
        end=end,
        flush=True,
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.payments.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long customers come (default: 30)")
    parser.add_argument("--customers", type=int, default=6, help="how many at once (default: 6)")
    parser.add_argument("--servers", type=int, default=2, help="processes of the service (default: 2)")
    parser.add_argument("--kill-every", type=float, default=3.0, help="seconds between two kills (default: 3; 0: none)")
    parser.add_argument("--loss", type=float, default=0.15, help="share of answers that are lost (default: 0.15)")
    parser.add_argument("--seed", type=int, default=7, help="of amounts, losses and kills (default: 7)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
