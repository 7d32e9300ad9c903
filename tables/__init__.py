"""Faust tables: snapshots of the entities' state. See README.md. Never install beside PyTables: it has the same import name."""
