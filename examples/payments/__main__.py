"""``python -m examples.payments``: the service on this machine, on an engine inside the process. No Java, no network."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

try:
    import uvicorn

    from dynamorm.engine import Engine
    from dynamorm.plugins import Dashboard

    from .app import make_app
    from .service import Service
    from .settings import local
except ModuleNotFoundError as missing:
    sys.exit(f"the service needs {missing.name}: pip install 'dynamorm-py[service]'")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C. Example: ``main(["--port", "8000", "--data", ".payments"])``."""
    options = _options(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with ExitStack() as stack:
        folder = options.data or stack.enter_context(tempfile.TemporaryDirectory(prefix="payments-"))
        engine = None
        if options.endpoint is None:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            engine = stack.enter_context(Engine(Path(folder) / "data.db"))
        settings = local(
            folder,
            engine=engine,
            endpoint=options.endpoint,
            url=options.url or f"http://127.0.0.1:{options.port}",
            lease=options.lease,
        )
        service = Service(settings, dashboard=Dashboard() if options.dashboard else None)
        app = make_app(service)
        if not options.quiet:
            print(_greeting(service, folder, is_kept=options.data is not None), flush=True)
        uvicorn.run(
            app,
            host="127.0.0.1",
            port=options.port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=5,
        )
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.payments", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="where it listens, on 127.0.0.1 (default: 8000)")
    parser.add_argument("--data", help="a folder that is kept: tables and secrets (default: one that goes at the end)")
    parser.add_argument("--endpoint", help="DynamoDB elsewhere on this machine, for several processes at once")
    parser.add_argument("--url", help="where the webhooks of local development are sent (default: to itself)")
    parser.add_argument("--lease", type=float, default=30.0, help="seconds until a dead process is taken over from")
    parser.add_argument("--no-dashboard", dest="dashboard", action="store_false", help="no page with live figures")
    parser.add_argument("--quiet", action="store_true", help="say nothing at the start")
    return parser.parse_args(arguments)


def _greeting(service: Service, folder: str, *, is_kept: bool) -> str:
    keys = [f"API key of {tenant}: {key}" for tenant, key in service.settings.demo_keys.items()]
    lines = [
        f"Payments: {service.settings.url}  (Ctrl-C ends it)",
        f"Metrics:  {service.settings.url}/metrics",
        f"Figures:  {service.settings.url}/play/dashboard, once signed in",
        *keys,
        f"Data:     {Path(folder).resolve()}{'' if is_kept else ', deleted at the end'}",
    ]
    return "\n".join(lines)


def _end(*_: object) -> None:
    """End by SIGTERM as by Ctrl-C: what is deleted at the end is deleted."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)  # uvicorn stops first, and then lets this handler have the signal
    sys.exit(main())
