"""
The reference pages that are generated from the code. Owns: what stands on each page. Writes nothing by itself.

`pages()` is pure: the same code gives the same bytes. `z0 reference` writes them, `z0 reference --check` compares.
"""

from z0.reference.pages import FOLDER, pages, stale

__all__ = ["FOLDER", "pages", "stale"]
