"""The settings: checked when they are made, frozen afterwards. Nothing here opens a connection."""
