"""Get and put from end to end: against the embedded engine and DynamoDB Local, which really store what they are sent.

The engine takes most of the time, and on a small machine shares the cores with the client: these figures tell what a test
suite may expect, not what a library costs.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import payload, sample
from benchmarks.child import ROOT, Worker
from benchmarks.work import BY_NAME
from dynamorm.errors import ConfigError
from dynamorm.testing import DynamoDBLocal, Ministack

LIBRARIES = ("dynamorm", "dynamorm-async", "boto3")
WORKS = ("get", "put")

PerSecond = dict[str, dict[str, dict[str, list[float]]]]
"""By engine, work and library: operations per second of each round."""


class Direct:
    """Speaks to the engine itself, past any library. Neither engine looks at the signature."""

    def __init__(self, endpoint: str) -> None:
        self._address = endpoint.removeprefix("http://")

    def ask(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request. Raises RuntimeError for what the engine refuses."""
        connection = http.client.HTTPConnection(self._address, timeout=30)
        scope = f"{sample.KEY_ID}/20260101/{sample.REGION}/dynamodb/aws4_request"
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
        }
        try:
            connection.request("POST", "/", json.dumps(body), headers)
            reply = connection.getresponse()
            text = reply.read()
        finally:
            connection.close()
        if reply.status != http.client.OK:
            raise RuntimeError(f"{operation}: {text.decode(errors='replace')}")
        return json.loads(text)  # type: ignore[no-any-return]

    def create_tables(self) -> None:
        """The tables of the payments."""
        names = {"merchant_id": "HASH", "id": "RANGE"}
        for name in payload.FLAVOURS:
            self.ask(
                "CreateTable",
                {
                    "TableName": f"{name}-payments",
                    "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in names.items()],
                    "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in names],
                    "BillingMode": "PAY_PER_REQUEST",
                },
            )

    def store(self, number: int, flavour: str) -> None:
        """Store a payment as libraries of this flavour do."""
        item = payload.stored_payment(number, flavour)
        self.ask("PutItem", {"TableName": f"{flavour}-payments", "Item": item})


def measure(
    libraries: list[str], *, rounds: int, seconds: float, tell: Callable[[str], None]
) -> tuple[PerSecond, dict[str, str]]:
    """Operations per second, one at a time, on every engine that this machine has; and why an engine is left out."""
    libraries = [library for library in LIBRARIES if library in libraries]
    found: PerSecond = {}
    left_out: dict[str, str] = {}
    engines = {"the embedded engine": lambda: Ministack(services=("dynamodb",)), "DynamoDB Local": _local}
    for title, start in engines.items() if libraries else ():
        tell(title)
        try:
            with start() as process:
                found[process.name] = _measured(process.endpoint, libraries, rounds, seconds)
        except Exception as error:  # noqa: BLE001 - the other engine, and all that was measured before, must not be lost
            left_out[title] = f"{type(error).__name__}: {error}"
            print(f"{title} is left out: {left_out[title]}", file=sys.stderr)
    return found, left_out


def _local() -> DynamoDBLocal:
    """DynamoDB Local from where the project's script keeps it, or fetches it to. Raises ConfigError."""
    script = ROOT / "scripts" / "dynamodb_local.py"
    ran = subprocess.run(
        [sys.executable, str(script), "path"], capture_output=True, text=True, check=False, timeout=300
    )
    if ran.returncode:
        raise ConfigError((ran.stderr.strip().splitlines() or ["DynamoDB Local was not found"])[-1])
    return DynamoDBLocal(ran.stdout.strip())


def _measured(endpoint: str, libraries: list[str], rounds: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    direct = Direct(endpoint)
    direct.create_tables()
    for flavour in payload.FLAVOURS:
        direct.store(1, flavour)
    workers = {library: Worker(library, endpoint) for library in libraries}
    figures: dict[str, dict[str, list[float]]] = {work: {name: [] for name in libraries} for work in WORKS}
    try:
        for work in WORKS:
            for turn in range(rounds):
                for library in libraries[turn % len(libraries) :] + libraries[: turn % len(libraries)]:
                    answer = workers[library].ask(BY_NAME[work], seconds=seconds)
                    figures[work][library] += [1e6 / answer["wall"]] if "wall" in answer else []
    finally:
        for worker in workers.values():
            worker.close()
    return figures


def rows(found: PerSecond, cell: Callable[[list[float]], str]) -> Iterator[list[str]]:
    """The table's rows: engine and work, then the libraries."""
    for engine, figures in found.items():
        for work, by_library in figures.items():
            yield [f"{work}, {engine}", *(cell(values) if values else "failed" for values in by_library.values())]
