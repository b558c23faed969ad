"""The demo: payments under contention, over a network that loses replies. Run it with ``make demo``.

Or, where the extra `demo` is installed, from the top of the checkout with ``python -m examples.demo``. It is no part of
the package that is installed.
"""
