"""The drivers: they perform what flows ask for. Only here are sockets, the event loop and threads touched."""
