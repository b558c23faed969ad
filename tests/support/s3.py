"""A small S3 over HTTP: objects are files in a folder, so that they outlive the processes that store them."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape


class S3Server:
    """``endpoint`` is its URL. ``lose`` counts replies to PUT that are lost: the object is stored, and the connection closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lose = 0
        self.refuse = 0
        self.requests: list[str] = []
        server = self

        class Handler(_Handler):
            of = server

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def path(self, bucket: str, key: str) -> Path:
        return self.folder / bucket / quote(key, safe="")

    def keys(self, bucket: str = "bucket") -> list[str]:
        folder = self.folder / bucket
        return (
            sorted(unquote(path.name) for path in folder.iterdir() if path.suffix != ".part") if folder.exists() else []
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    of: S3Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def _place(self) -> Path:
        _, bucket, key = urlsplit(self.path).path.split("/", 2)
        return self.of.path(bucket, unquote(key))

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.of.requests.append(f"{self.command} {status}")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.of.refuse:
            self.of.refuse -= 1
            return self._answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
        place = self._place()
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f"{uuid.uuid4().hex}.part")  # the name of an object may be too long for one more word
        part.write_bytes(data)
        part.rename(place)
        if self.of.lose:
            self.of.lose -= 1
            self.close_connection = True
            return None
        return self._answer(200, ETag='"x"')

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if "list-type" in url.query:
            return self._list(url.path.strip("/"), parse_qs(url.query))
        try:
            return self._answer(200, self._place().read_bytes(), ETag='"x"')
        except FileNotFoundError:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")

    def _list(self, bucket: str, query: dict[str, list[str]]) -> None:
        prefix, start = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        keys = [key for key in self.of.keys(bucket) if key.startswith(prefix) and key > start]
        page, more = keys[:100], len(keys) > 100
        contents = "".join(self._entry(bucket, key) for key in page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        body = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
        self._answer(200, body.encode())

    def _entry(self, bucket: str, key: str) -> str:
        at = datetime.fromtimestamp(self.of.path(bucket, key).stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return f"<Contents><Key>{escape(key)}</Key><LastModified>{at}</LastModified><Size>1</Size></Contents>"

    def do_DELETE(self) -> None:
        self._place().unlink(missing_ok=True)
        self._answer(204)


def client_of(endpoint: str) -> Any:
    """A client of boto3 for it."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b",
        config=Config(
            s3={"addressing_style": "path"}, request_checksum_calculation="when_required",
            response_checksum_validation="when_required", retries={"max_attempts": 2}, max_pool_connections=20,
        ),
    )  # fmt: skip
