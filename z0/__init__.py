"""z0: an economic ledger on Kafka."""

from z0 import compiled

if not compiled.is_wanted():
    compiled.prefer_sources()
