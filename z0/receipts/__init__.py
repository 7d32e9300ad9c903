"""
Receipts: a decision, decided again from the facts before it. Owns: see `README.md`.
"""

from z0.receipts.explain import explain
from z0.receipts.ports import History, Stored, Wanted, wanted_of
from z0.receipts.receipt import Receipt

__all__ = ["History", "Receipt", "Stored", "Wanted", "explain", "wanted_of"]
