"""A payment service: FastAPI over the asyncio face, as a model to copy from. Run it with ``python -m examples.payments``.

It uses public names of the library alone. ``app`` puts the parts together; each module has one matter.
"""
