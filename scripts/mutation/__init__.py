"""Mutation testing of the modules on which money, tenants and secrets depend: ``python -m scripts.mutation --help``.

A mutant is the library with one small fault. A test should fail because of it; where none does, a rule is not tested, or
the changed place says nothing. Results are kept in ``.cache/mutation``, so a run goes on where it was stopped, and
``docs/mutation.md`` is made of them.
"""
