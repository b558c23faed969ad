"""A game's back end on asyncio: sessions, inventories, matchmaking, leaderboards. Run it with ``python -m examples.gaming``."""
