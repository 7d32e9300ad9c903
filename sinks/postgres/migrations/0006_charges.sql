-- Incurred charges and the stage that each has reached. The money was spent when it was incurred: this is settlement.
-- A stage only moves forward: `stage_seq` is the seq of the fact that moved it.
CREATE TABLE charges (
    id          text PRIMARY KEY,
    ledger_id   text NOT NULL,
    seq         bigint NOT NULL,
    tenant_id   text NOT NULL,
    amount      numeric(38, 12) NOT NULL,
    currency    text NOT NULL,
    stage       text NOT NULL,
    incurred_at bigint NOT NULL,
    stage_seq   bigint NOT NULL,
    stage_at    bigint NOT NULL
);

INSERT INTO charges
SELECT f.id, f.ledger_id, f.seq, f.tenant_id, f.amount, f.currency, coalesce(s.subtype, 'incurred'), f.timestamp,
       coalesce(s.seq, f.seq), coalesce(s.recorded_at, f.recorded_at)
  FROM facts f
  LEFT JOIN LATERAL (
       SELECT subtype, seq, recorded_at
         FROM facts
        WHERE tenant_id = f.tenant_id AND source_id = f.id AND ledger_id = f.ledger_id
          AND type = 'charge' AND subtype IN ('pending', 'settled')
        ORDER BY seq DESC
        LIMIT 1
       ) s ON true
 WHERE f.type = 'charge' AND f.subtype = 'incurred';

CREATE INDEX charges_open ON charges (ledger_id, seq) WHERE stage <> 'settled';
CREATE INDEX charges_tenant_open ON charges (tenant_id, stage, incurred_at) WHERE stage <> 'settled';
