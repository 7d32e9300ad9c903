"""The copy of all config versions that workers read: `z0.configs`. Owns: see `sink.py`."""
