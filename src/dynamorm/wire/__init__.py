"""The wire below the models: signing, HTTP/1.1, the pool as data, retry policy, credentials. It does no I/O."""
