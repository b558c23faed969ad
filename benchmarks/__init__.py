"""The benchmark: DynamORM beside its peers and a hand-written floor, on one machine, in one run.

``python -m benchmarks`` runs it; ``docs/performance/README.md`` says what is measured and how.
"""
