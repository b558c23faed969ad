"""The two engines in child processes that tests can run on. It must know nothing of pytest, nor of ours beyond errors."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Final

from dynamorm.errors import ConfigError
from dynamorm.testing.engine import HOST, Engine, ask

SHORT_RUN: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Options of Java for a run of minutes: no time is spent on code that only a run of hours would repay.

Measured on two cores, in processor time: the start 3.5 s (7.8 s without), the first 1,000 PutItems 2.4 ms each (6.1 ms).
"""


class Ministack(Engine):
    """The engine of the ``ministack`` package (pure Python: DynamoDB, streams, KMS, STS and S3) as a child process.

    It keeps everything in memory, starts in under a second and listens on 127.0.0.1 only. Requires the
    package: ``pip install 'ministack>=1.5,<2'``. ``services`` are ministack's names of what it shall offer;
    ``start_timeout`` is in seconds.

    Raises `ConfigError` when ministack is not installed, or does not start.

    Example: ``with Ministack() as engine: print(engine.endpoint)``
    """

    name = "ministack"

    def __init__(
        self,
        *,
        services: tuple[str, ...] = ("dynamodb", "dynamodbstreams", "kms", "sts", "s3"),
        start_timeout: float = 30.0,
    ) -> None:
        if importlib.util.find_spec("ministack") is None:
            raise ConfigError(
                "Ministack needs the package ministack: pip install 'ministack>=1.5,<2'; dynamorm.engine needs none"
            )
        self._services = services
        super().__init__(start_timeout=start_timeout)

    def _command(self) -> list[str]:
        return ["--module", "ministack"]

    def _environment(self) -> dict[str, str]:
        return {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "SERVICES": ",".join(self._services),
            "LOG_LEVEL": "WARNING",
            "IOT_MTLS_ENABLED": "0",  # these two would open ports of their own
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{self._folder}/no-docker",  # it must never look for containers to remove
            "MINISTACK_EDITION": self._identity,  # echoed by the health page, which tells it from a stranger
        }

    def _is_ours(self) -> bool:
        status, body = ask(self.port, "GET", "/_ministack/health")
        with contextlib.suppress(ValueError, AttributeError):
            return status == http.client.OK and json.loads(body).get("edition") == self._identity
        return False


EmbeddedEngine = Ministack
"""The former name of `Ministack`."""


class DynamoDBLocal(Engine):
    """Amazon's DynamoDB Local (Java) in memory, as a child process.

    ``home`` is the folder that holds ``DynamoDBLocal.jar`` (default: the environment variable
    ``DYNAMODB_LOCAL_HOME``). Tables are shared by all credentials and Regions unless ``shared=False``.
    ``start_timeout`` is in seconds. ``jvm`` are options for Java, such as `SHORT_RUN`. The program has no option for its
    address: it listens on every interface, so use it on machines whose ports are not open to others. Its telemetry is
    switched off.

    Raises `ConfigError` when the jar or ``java`` is missing, or the engine does not start.

    Example: ``with DynamoDBLocal("/opt/dynamodb-local") as engine: print(engine.endpoint)``
    """

    name = "DynamoDB Local"

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        shared: bool = True,
        start_timeout: float = 60.0,
        jvm: Sequence[str] = (),
    ) -> None:
        folder = home or os.environ.get("DYNAMODB_LOCAL_HOME")
        if not folder:
            raise ConfigError("set DYNAMODB_LOCAL_HOME to the folder that holds DynamoDBLocal.jar, or pass home=")
        self._home = pathlib.Path(folder).resolve()
        if not (self._home / "DynamoDBLocal.jar").is_file():
            raise ConfigError(f"there is no DynamoDBLocal.jar in {self._home} (DYNAMODB_LOCAL_HOME)")
        java = shutil.which("java")
        if java is None:
            raise ConfigError("DynamoDB Local needs the program java (Debian: apt-get install default-jre-headless)")
        self._java = java
        self._shared = shared
        self._options = tuple(jvm)
        super().__init__(start_timeout=start_timeout)

    def _command(self) -> list[str]:
        jar = ["-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"]
        options = ["-inMemory", "-disableTelemetry", "-port", str(self.port)]
        return [self._java, *self._options, *jar, *options, *(["-sharedDb"] if self._shared else [])]

    def _cwd(self) -> pathlib.Path:
        return self._home
