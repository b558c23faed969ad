"""The connections of a cache to Redis: bounded in time, dropped together when one of them led nowhere, on both faces."""
