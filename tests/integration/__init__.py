"""Tests against servers that are really started."""
