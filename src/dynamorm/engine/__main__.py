"""``python -m dynamorm.engine --port 8000 --file dev.db``."""

from dynamorm.engine.command import main

if __name__ == "__main__":
    raise SystemExit(main())
