"""``python -m dynamorm.dashboard``: a page with the figures of a database. See `dynamorm.plugins.dashboard.command`."""

from dynamorm.plugins.dashboard.command import main

if __name__ == "__main__":
    raise SystemExit(main())
