-- Current metadata of every entity: the fold of its lifecycle facts. `seq` is that of the last one folded; a row only moves forward.
CREATE TABLE entities (
    ledger_id       text PRIMARY KEY,
    id              text NOT NULL UNIQUE,
    type            text NOT NULL,
    tenant_id       text NOT NULL,
    subtype         text,
    parent_id       text,
    owner_id        text,
    status          text NOT NULL,
    version         bigint NOT NULL,
    external_source text,
    external_id     text,
    data            jsonb NOT NULL,
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL,
    seq             bigint NOT NULL,
    log_partition   integer NOT NULL,
    log_offset      bigint NOT NULL
);

CREATE INDEX entities_tenant_type ON entities (tenant_id, type, id);
CREATE INDEX entities_external ON entities (tenant_id, external_source, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX entities_parent ON entities (tenant_id, parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX entities_owner ON entities (tenant_id, owner_id) WHERE owner_id IS NOT NULL;
