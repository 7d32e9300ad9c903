-- One data point a fact of type `invocation`, shaped as Analytics Engine shapes them. Metrics, not facts: doubles are floats.
--   index1   tenant_id
--   blob1    asset_id      blob2  campaign_id   blob3  fact type   blob4  subtype   blob5  tool_id   blob6  error_code ('': success)
--   double1  amount (a metric: the exact one is in `facts`)        double2  duration_ms              double3  count, always 1
-- `_sample_interval` is 1: nothing is sampled. `partition` and `offset` say which fact it was, and that it is counted once.
CREATE TABLE IF NOT EXISTS z0_invocations
(
    timestamp        DateTime('UTC'),
    tenant_id        String,
    _sample_interval UInt32 DEFAULT 1,
    dataset          LowCardinality(String) DEFAULT 'z0_invocations',
    index1           String,
    blob1            String,
    blob2            String,
    blob3            String,
    blob4            String,
    blob5            String,
    blob6            String,
    blob7            String,
    blob8            String,
    blob9            String,
    blob10           String,
    blob11           String,
    blob12           String,
    blob13           String,
    blob14           String,
    blob15           String,
    blob16           String,
    blob17           String,
    blob18           String,
    blob19           String,
    blob20           String,
    double1          Float64,
    double2          Float64,
    double3          Float64,
    double4          Float64,
    double5          Float64,
    double6          Float64,
    double7          Float64,
    double8          Float64,
    double9          Float64,
    double10         Float64,
    double11         Float64,
    double12         Float64,
    double13         Float64,
    double14         Float64,
    double15         Float64,
    double16         Float64,
    double17         Float64,
    double18         Float64,
    double19         Float64,
    double20         Float64,
    partition        Int32,
    offset           Int64,
    INDEX by_partition partition TYPE minmax GRANULARITY 1,
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (tenant_id, timestamp, partition, offset)
TTL timestamp + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000;
