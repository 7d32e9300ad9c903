-- What a decision looked at and counted, and the proof of a fact that a fact names (`source`, as JSON).
ALTER TABLE facts
    ADD COLUMN IF NOT EXISTS configs Map(String, Int64),
    ADD COLUMN IF NOT EXISTS counted Map(String, Int64),
    ADD COLUMN IF NOT EXISTS purpose LowCardinality(String),
    ADD COLUMN IF NOT EXISTS usage Map(String, String),
    ADD COLUMN IF NOT EXISTS warnings Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS source String CODEC(ZSTD(3));
