"""What a dashboard serves its page with: Starlette and uvicorn, which the extra `dashboard` brings."""

from .app import application
from .server import Server, listening

__all__ = ["Server", "application", "listening"]
