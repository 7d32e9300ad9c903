-- Facts, insert-only. `value` is the fact as the log stores it, to the byte: its hash is over these bytes.
-- Columns repeat what is inside `value` so that it can be searched. Money: numeric(38,12). Times: Unix milliseconds.
-- `data` and `sealed` are NULL where jsonb cannot hold the payload (U+0000, numbers out of range); `value` always has it.
CREATE TABLE facts (
    id                   text PRIMARY KEY,
    ledger_id            text NOT NULL,
    seq                  bigint NOT NULL,
    type                 text NOT NULL,
    subtype              text,
    timestamp            bigint NOT NULL,
    recorded_at          bigint NOT NULL,
    tenant_id            text NOT NULL,
    entity_id            text NOT NULL,
    outcome              text,
    command_id           text,
    digest               text,
    rules                integer NOT NULL,
    amount               numeric(38, 12),
    currency             text,
    held                 numeric(38, 12),
    available            numeric(38, 12),
    reservation_id       text,
    expires_at           bigint,
    source_id            text,
    asset_id             text,
    campaign_id          text,
    contact_id           text,
    deal_id              text,
    tool_id              text,
    user_id              text,
    parent_invocation_id text,
    from_entity          text,
    to_entity            text,
    config_id            text,
    config_version       bigint,
    trace_id             text,
    correlation_id       text,
    external_source      text,
    external_id          text,
    workflow_id          text,
    data                 jsonb,
    sealed               jsonb,
    reply_to             text,
    cause_topic          text,
    cause_partition      integer,
    cause_offset         bigint,
    epoch                bigint NOT NULL,
    log_partition        integer NOT NULL,
    log_offset           bigint NOT NULL,
    log_time             bigint NOT NULL,
    prev_hash            text NOT NULL,
    hash                 text NOT NULL,
    value                bytea NOT NULL,
    UNIQUE (log_partition, log_offset)
);

-- One entity's facts in their order. Unique also because two facts of one seq would be two histories.
CREATE UNIQUE INDEX facts_ledger ON facts (ledger_id, seq);
CREATE INDEX facts_tenant_time ON facts (tenant_id, timestamp);
CREATE INDEX facts_tenant_type_time ON facts (tenant_id, type, timestamp);
-- The links are sparse: each index holds only the facts that have the link.
CREATE INDEX facts_external ON facts (tenant_id, external_source, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX facts_source ON facts (tenant_id, source_id) WHERE source_id IS NOT NULL;
CREATE INDEX facts_asset ON facts (tenant_id, asset_id, timestamp) WHERE asset_id IS NOT NULL;
CREATE INDEX facts_campaign ON facts (tenant_id, campaign_id, timestamp) WHERE campaign_id IS NOT NULL;
CREATE INDEX facts_contact ON facts (tenant_id, contact_id, timestamp) WHERE contact_id IS NOT NULL;
CREATE INDEX facts_deal ON facts (tenant_id, deal_id, timestamp) WHERE deal_id IS NOT NULL;
CREATE INDEX facts_workflow ON facts (tenant_id, workflow_id) WHERE workflow_id IS NOT NULL;

CREATE FUNCTION facts_are_insert_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'facts are insert-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END;
$$;

-- For each statement: also one that would touch no row is refused, and TRUNCATE has no rows.
CREATE TRIGGER facts_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON facts
    FOR EACH STATEMENT EXECUTE FUNCTION facts_are_insert_only();

-- The trigger also holds for the owner and for superusers; the revocation says it to everybody who looks at the rights.
REVOKE UPDATE, DELETE, TRUNCATE ON facts FROM PUBLIC, CURRENT_USER;
