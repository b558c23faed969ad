"""What `benchmarks.transfers` compares with: an export and an import by boto3 with four threads, as a program would write it."""

from __future__ import annotations

import json
import os
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

THREADS = 4


def client() -> Any:
    """A client of the engine."""
    return boto3.client(
        "dynamodb",
        endpoint_url=os.environ["DYNAMODB_ENDPOINT"],
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(max_pool_connections=THREADS, read_timeout=120),
    )


def export(table: str, path: Path) -> None:
    """All items, as lines of DynamoDB's JSON."""
    dynamodb, lock = client(), threading.Lock()
    with path.open("w", encoding="utf-8") as file:

        def segment(number: int) -> None:
            pages = dynamodb.get_paginator("scan").paginate(TableName=table, Segment=number, TotalSegments=THREADS)
            for page in pages:
                lines = "".join(json.dumps(item) + "\n" for item in page["Items"])
                with lock:
                    file.write(lines)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(segment, range(THREADS)))


def import_(table: str, path: Path) -> None:
    """All items of such lines, 25 at a time."""
    dynamodb = client()

    def write(lines: list[str]) -> None:
        left: Any = {table: [{"PutRequest": {"Item": json.loads(line)}} for line in lines]}
        while left:
            left = dynamodb.batch_write_item(RequestItems=left).get("UnprocessedItems")

    with path.open(encoding="utf-8") as file, ThreadPoolExecutor(THREADS) as pool:
        under_way: set[Future[None]] = set()
        while lines := list(islice(file, 25)):
            under_way.add(pool.submit(write, lines))
            if len(under_way) >= THREADS * 4:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for one in done:
                    one.result()
        for one in under_way:
            one.result()


if __name__ == "__main__":
    {"export": export, "import": import_}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
