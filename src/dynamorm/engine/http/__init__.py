"""The engine over HTTP/1.1: a server on loopback, connections, signatures. It must not know what is stored."""
