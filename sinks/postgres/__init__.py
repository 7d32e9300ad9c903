"""The Postgres sink: facts, entities and balances for queries across entities. A copy; it can be dropped and rebuilt."""
