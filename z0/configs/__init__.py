"""
The configs in this process: its copy of them, and what they say about an entity. Owns: see `README.md`.
"""

from z0.configs.book import Book

__all__ = ["Book"]
