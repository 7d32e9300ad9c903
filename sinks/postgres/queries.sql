-- What the Postgres sink says to its store. `facts_in` is the batch; it has the columns of `facts`, payloads still as text.

-- name: read_positions
SELECT partition, next_offset, epoch FROM sink_positions

-- name: move_position
-- One row where the stored position is the expected one, none otherwise. A first row is only made at the log's start.
INSERT INTO sink_positions (partition, next_offset, epoch)
SELECT %(partition)s, %(next_offset)s, %(epoch)s
 WHERE %(expected_offset)s = 0 OR EXISTS (SELECT FROM sink_positions WHERE partition = %(partition)s)
ON CONFLICT (partition) DO UPDATE
   SET next_offset = excluded.next_offset, epoch = excluded.epoch, updated_at = now()
 WHERE sink_positions.next_offset = %(expected_offset)s AND sink_positions.epoch = %(expected_epoch)s

-- name: create_facts_in
CREATE TEMPORARY TABLE IF NOT EXISTS facts_in (
    id text,
    ledger_id text,
    seq bigint,
    type text,
    subtype text,
    timestamp bigint,
    recorded_at bigint,
    tenant_id text,
    entity_id text,
    outcome text,
    command_id text,
    digest text,
    rules integer,
    amount numeric(38, 12),
    currency text,
    held numeric(38, 12),
    available numeric(38, 12),
    reservation_id text,
    expires_at bigint,
    source_id text,
    asset_id text,
    campaign_id text,
    contact_id text,
    deal_id text,
    tool_id text,
    user_id text,
    parent_invocation_id text,
    from_entity text,
    to_entity text,
    config_id text,
    config_version bigint,
    trace_id text,
    correlation_id text,
    external_source text,
    external_id text,
    workflow_id text,
    data text,
    sealed text,
    configs text,
    counted text,
    purpose text,
    usage text,
    warnings text,
    proof_id text,
    proof_ledger_id text,
    proof_seq bigint,
    proof_hash text,
    proof_checked boolean,
    reply_to text,
    cause_topic text,
    cause_partition integer,
    cause_offset bigint,
    epoch bigint,
    log_offset bigint,
    prev_hash text,
    hash text,
    log_partition integer,
    log_time bigint,
    value bytea
) ON COMMIT DELETE ROWS

-- name: copy_facts
-- The short way: nearly every batch has only facts that are new and that jsonb can hold.
COPY facts ({columns}) FROM STDIN

-- name: copy_facts_in
-- `columns` is `sinks.postgres.rows.COLUMNS`: the order that a row is built in.
COPY facts_in ({columns}) FROM STDIN

-- name: merge_facts
-- Inserts what is new and gives back the places of what is not.
WITH new AS (
    INSERT INTO facts (id, ledger_id, seq, type, subtype, timestamp, recorded_at, tenant_id, entity_id, outcome, command_id, digest,
        rules, amount, currency, held, available, reservation_id, expires_at, source_id, asset_id, campaign_id,
        contact_id, deal_id, tool_id, user_id, parent_invocation_id, from_entity, to_entity, config_id, config_version,
        trace_id, correlation_id, external_source, external_id, workflow_id, data, sealed, configs, counted, purpose, usage, warnings,
        proof_id, proof_ledger_id, proof_seq, proof_hash, proof_checked, reply_to, cause_topic,
        cause_partition, cause_offset, epoch, log_offset, prev_hash, hash, log_partition, log_time, value)
    SELECT id, ledger_id, seq, type, subtype, timestamp, recorded_at, tenant_id, entity_id, outcome, command_id, digest,
        rules, amount, currency, held, available, reservation_id, expires_at, source_id, asset_id, campaign_id,
        contact_id, deal_id, tool_id, user_id, parent_invocation_id, from_entity, to_entity, config_id, config_version,
        trace_id, correlation_id, external_source, external_id, workflow_id,
        CASE WHEN pg_input_is_valid(data, 'jsonb') THEN data::jsonb END,
        CASE WHEN pg_input_is_valid(sealed, 'jsonb') THEN sealed::jsonb END,
        CASE WHEN pg_input_is_valid(configs, 'jsonb') THEN configs::jsonb END,
        CASE WHEN pg_input_is_valid(counted, 'jsonb') THEN counted::jsonb END,
        purpose,
        CASE WHEN pg_input_is_valid(usage, 'jsonb') THEN usage::jsonb END,
        CASE WHEN pg_input_is_valid(warnings, 'jsonb') THEN warnings::jsonb END,
        proof_id, proof_ledger_id, proof_seq, proof_hash, proof_checked, reply_to, cause_topic, cause_partition,
        cause_offset, epoch, log_offset, prev_hash, hash, log_partition, log_time, value
      FROM facts_in
        ON CONFLICT DO NOTHING
    RETURNING log_partition, log_offset
)
SELECT i.log_partition, i.log_offset
  FROM facts_in i
  LEFT JOIN new USING (log_partition, log_offset)
 WHERE new.log_offset IS NULL

-- name: find_contradiction
-- A fact of the batch that the table knows otherwise: another hash, another place, or another fact at its place.
SELECT i.id, i.log_partition, i.log_offset, i.hash, f.hash
  FROM facts_in i
  LEFT JOIN facts f ON f.id = i.id
 WHERE (f.hash, f.log_partition, f.log_offset) IS DISTINCT FROM (i.hash, i.log_partition, i.log_offset)
 LIMIT 1

-- name: read_entities
SELECT ledger_id, seq, id, type, tenant_id, subtype, parent_id, owner_id, status, version, external_source, external_id,
       data::text, created_at, updated_at
  FROM entities
 WHERE ledger_id = ANY(%(ledger_ids)s)

-- name: write_entity
INSERT INTO entities (
    ledger_id, seq, log_partition, log_offset, id, type, tenant_id, subtype, parent_id, owner_id, status, version,
    external_source, external_id, data, created_at, updated_at
) VALUES (
    %(ledger_id)s, %(seq)s, %(log_partition)s, %(log_offset)s, %(id)s, %(type)s, %(tenant_id)s, %(subtype)s, %(parent_id)s,
    %(owner_id)s, %(status)s, %(version)s, %(external_source)s, %(external_id)s, %(data)s::jsonb, %(created_at)s, %(updated_at)s
)
ON CONFLICT (ledger_id) DO UPDATE
   SET seq = excluded.seq, log_partition = excluded.log_partition, log_offset = excluded.log_offset,
       subtype = excluded.subtype, parent_id = excluded.parent_id, owner_id = excluded.owner_id, status = excluded.status,
       version = excluded.version, external_source = excluded.external_source, external_id = excluded.external_id,
       data = excluded.data, updated_at = excluded.updated_at
 WHERE entities.seq < excluded.seq

-- name: move_balances
-- In the order of the key, so that two writers could not lock each other's rows crosswise.
INSERT INTO balances (ledger_id, currency, tenant_id, deposited, credits, spent, transferred_in, transferred_out, reserved)
SELECT *
  FROM unnest(
       %(ledger_ids)s::text[], %(currencies)s::text[], %(tenant_ids)s::text[], %(deposited)s::numeric[], %(credits)s::numeric[],
       %(spent)s::numeric[], %(transferred_in)s::numeric[], %(transferred_out)s::numeric[], %(reserved)s::numeric[]
       ) AS delta (ledger_id, currency, tenant_id, deposited, credits, spent, transferred_in, transferred_out, reserved)
 ORDER BY ledger_id, currency
    ON CONFLICT (ledger_id, currency) DO UPDATE
   SET deposited = balances.deposited + excluded.deposited,
       credits = balances.credits + excluded.credits,
       spent = balances.spent + excluded.spent,
       transferred_in = balances.transferred_in + excluded.transferred_in,
       transferred_out = balances.transferred_out + excluded.transferred_out,
       reserved = balances.reserved + excluded.reserved

-- name: open_charges
INSERT INTO charges (id, ledger_id, seq, tenant_id, amount, currency, stage, incurred_at, stage_seq, stage_at)
SELECT id, ledger_id, seq, tenant_id, amount, currency, 'incurred', incurred_at, seq, stage_at
  FROM unnest(
       %(ids)s::text[], %(ledger_ids)s::text[], %(seqs)s::bigint[], %(tenant_ids)s::text[], %(amounts)s::numeric[],
       %(currencies)s::text[], %(incurred_at)s::bigint[], %(stage_at)s::bigint[]
       ) AS new (id, ledger_id, seq, tenant_id, amount, currency, incurred_at, stage_at)
    ON CONFLICT (id) DO NOTHING

-- name: move_charges
-- A replay finds the row at this stage or beyond it.
UPDATE charges
   SET stage = moved.stage, stage_seq = moved.seq, stage_at = moved.stage_at
  FROM unnest(%(ids)s::text[], %(stages)s::text[], %(seqs)s::bigint[], %(stage_at)s::bigint[]) AS moved (id, stage, seq, stage_at)
 WHERE charges.id = moved.id AND charges.stage_seq < moved.seq

-- name: count_facts
SELECT count(*) FROM facts
