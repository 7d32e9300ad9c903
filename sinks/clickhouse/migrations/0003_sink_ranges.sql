-- The sink's journal: which range of offsets was intended, and which is done. The newest row by (partition, state) counts;
-- ReplacingMergeTree lets older ones go, so the journal stays small, and readers take the newest and need no merge to happen.
CREATE TABLE IF NOT EXISTS sink_ranges
(
    partition    Int32,
    state        LowCardinality(String),
    first_offset Int64,
    last_offset  Int64,
    digest       String,
    facts        Int64,
    epoch_before Int64,
    epoch_after  Int64,
    writer       String,
    written_at   DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(first_offset)
ORDER BY (partition, state)
SETTINGS non_replicated_deduplication_window = 10000;
