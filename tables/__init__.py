"""Faust tables: snapshots of the entities' state. See README.md. Never install beside PyTables, which owns the same import name."""
