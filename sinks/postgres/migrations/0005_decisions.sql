-- What a decision looked at and counted, and the proof of a fact on another ledger that a fact names.
-- The jsonb columns are NULL where jsonb cannot hold the value; `value` always has it. `proof_*` is the fact's `source`,
-- flat: what a partition could not look up is compared by `z0 reconcile`.
ALTER TABLE facts
    ADD COLUMN configs         jsonb,
    ADD COLUMN counted         jsonb,
    ADD COLUMN purpose         text,
    ADD COLUMN usage           jsonb,
    ADD COLUMN warnings        jsonb,
    ADD COLUMN proof_id        text,
    ADD COLUMN proof_ledger_id text,
    ADD COLUMN proof_seq       bigint,
    ADD COLUMN proof_hash      text,
    ADD COLUMN proof_checked   boolean;

-- In the order of the log: reconciliation walks it in pieces.
CREATE INDEX facts_unproved ON facts (log_partition, log_offset) WHERE proof_id IS NOT NULL AND proof_checked IS NOT TRUE;
