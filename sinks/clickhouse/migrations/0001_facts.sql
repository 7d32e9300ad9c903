-- Facts, one row each; money Decimal(38, 12), times Unix milliseconds, absent texts ''. The names are those of the wire.
-- Every table keeps a deduplication window: a plain MergeTree has none, and then a repeated insert stays doubled.
-- On a replicated table the setting is `replicated_deduplication_window`, which is on by default.
CREATE TABLE IF NOT EXISTS facts
(
    partition            Int32,
    offset               Int64,
    log_time             Int64,
    id                   String,
    ledger_id            String,
    seq                  Int64,
    type                 LowCardinality(String),
    subtype              LowCardinality(String),
    timestamp            Int64,
    recorded_at          Int64,
    tenant_id            String,
    entity_id            String,
    outcome              LowCardinality(String),
    command_id           String,
    digest               String,
    rules                Int32,
    amount               Nullable(Decimal(38, 12)),
    currency             LowCardinality(String),
    held                 Nullable(Decimal(38, 12)),
    available            Nullable(Decimal(38, 12)),
    reservation_id       String,
    expires_at           Nullable(Int64),
    source_id            String,
    asset_id             String,
    campaign_id          String,
    contact_id           String,
    deal_id              String,
    tool_id              String,
    user_id              String,
    parent_invocation_id String,
    from_entity          String,
    to_entity            String,
    config_id            String,
    config_version       Nullable(Int64),
    trace_id             String,
    correlation_id       String,
    external_source      String,
    external_id          String,
    workflow_id          String,
    data                 String CODEC(ZSTD(3)),
    sealed               String CODEC(ZSTD(3)),
    reply_to             String,
    cause                String CODEC(ZSTD(3)),
    epoch                Int64,
    prev_hash            String,
    hash                 String,
    event_time           DateTime64(3, 'UTC') ALIAS fromUnixTimestamp64Milli(timestamp, 'UTC'),
    -- Finds the rows of an offset range without reading the table: recovery asks for one.
    INDEX by_partition partition TYPE minmax GRANULARITY 1,
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (tenant_id, entity_id, timestamp, partition, offset)
SETTINGS non_replicated_deduplication_window = 10000;
