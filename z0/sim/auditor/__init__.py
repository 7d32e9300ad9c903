"""
The auditor: judges a run from its bytes alone. Owns: what must hold. Shares no code with the engine's decisions, folds,
codec or validity rule: it reads JSON with the standard library, has its own arithmetic and its own SHA-256.
"""

from z0.sim.auditor.audit import Audit, Violation, audit

__all__ = ["Audit", "Violation", "audit"]
