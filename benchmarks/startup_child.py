"""One fresh interpreter: imports a library as its users do, then makes a first get. Prints milliseconds."""

from time import perf_counter, process_time

WALL, CPU = perf_counter(), process_time()

import sys  # noqa: E402 - the clocks come first

statement, module, endpoint = sys.argv[1:4]
sys.path.insert(0, sys.argv[4])


def told(label: str) -> None:
    """Print what has passed since the start."""
    print(label, (perf_counter() - WALL) * 1e3, (process_time() - CPU) * 1e3)


exec(statement, {})
told("import")


def first_get() -> None:
    """Define the model, connect and read one item."""
    from importlib import import_module

    library = import_module(module).connect(endpoint)
    if library.face == "sync":
        library.get()()
        told("first get")
        return
    import asyncio

    async def run() -> None:
        await library.start()
        await library.get()()
        told("first get")
        await library.stop()

    asyncio.run(run())


first_get()
