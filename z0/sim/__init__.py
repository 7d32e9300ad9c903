"""Seeded simulation of the whole ledger in one process under a virtual clock, with an independent auditor. See README.md."""
