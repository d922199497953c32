"""A campaign of faults: what a killed, full or damaged run leaves behind, and whether it heals.

``python -m benchmarks.faults`` runs it on a small project and writes the table of
``docs/reliability.md``.
"""
