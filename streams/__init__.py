"""Faust, and only here: the worker's app, its transport, its agents and the direct door. See README.md."""
