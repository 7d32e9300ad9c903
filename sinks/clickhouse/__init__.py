"""The ClickHouse sink: facts in a wide table and metrics in Analytics Engine's shape. A copy; it can be dropped and rebuilt."""
