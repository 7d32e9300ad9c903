"""Tests. Own: what must hold. Do not own: product code."""
