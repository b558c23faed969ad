"""A process of the service that is killed behind the commit of its first charge: ``python -m tests.service.killed FOLDER``."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import uvicorn

from dynamorm.engine import Engine
from examples.payments.app import make_app
from examples.payments.service import Service
from examples.payments.settings import local
from tests.service.kit import Client


class Fatal(Engine):
    """An engine that kills the process behind the transaction of a payment."""

    def handle(self, operation, body, **named):
        answer = super().handle(operation, body, **named)
        if operation.endswith("TransactWriteItems") and b"service-payments" in body:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


async def main(folder: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Fatal(Path(folder) / "data.db") as engine:
        port = listener.getsockname()[1]
        settings = local(folder, engine=engine, url=f"http://127.0.0.1:{port}")
        service = Service(settings, works=False)
        app = make_app(service)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=settings.url) as http:
            card = await Client(http, settings.demo_keys["acme"]).card()
        print(port, settings.demo_keys["acme"], card, flush=True)  # noqa: T201 - the test reads it
        await task


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
