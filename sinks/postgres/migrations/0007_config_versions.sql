-- Every version of every config, and from when to when it is in force: at a moment the highest version holds that is
-- effective by then, so a version ends with the earliest of those after it. One whose end is not after its beginning never held.
CREATE INDEX facts_configs ON facts (tenant_id, ledger_id, seq) WHERE type = 'config' AND subtype = 'versioned';

-- A ledger has one tenant; it stands in the partition so that a query for one tenant reads that tenant's configs only.
CREATE VIEW config_versions AS
SELECT v.*,
       min(effective_at) OVER (
           PARTITION BY tenant_id, ledger_id ORDER BY version ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
       ) AS superseded_at
  FROM (
       SELECT data -> 'config' ->> 'id' AS config_id,
              (data -> 'config' ->> 'version')::bigint AS version,
              (data -> 'config' ->> 'effective_at')::bigint AS effective_at,
              data -> 'config' ->> 'type' AS type,
              data -> 'config' ->> 'scope' AS scope,
              data -> 'config' ->> 'applies_to' AS applies_to,
              data -> 'config' ->> 'name' AS name,
              data -> 'config' AS config,
              tenant_id,
              ledger_id,
              id AS fact_id,
              seq,
              recorded_at
         FROM facts
        WHERE type = 'config' AND subtype = 'versioned'
       ) v;
