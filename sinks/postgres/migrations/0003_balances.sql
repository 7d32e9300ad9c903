-- Sums of every budget, moved by the deltas of new facts in the transaction that inserts them.
CREATE TABLE balances (
    ledger_id       text NOT NULL,
    currency        text NOT NULL,
    tenant_id       text NOT NULL,
    deposited       numeric(38, 12) NOT NULL DEFAULT 0,
    credits         numeric(38, 12) NOT NULL DEFAULT 0,
    spent           numeric(38, 12) NOT NULL DEFAULT 0,
    transferred_in  numeric(38, 12) NOT NULL DEFAULT 0,
    transferred_out numeric(38, 12) NOT NULL DEFAULT 0,
    reserved        numeric(38, 12) NOT NULL DEFAULT 0,
    remaining       numeric(38, 12) NOT NULL
        GENERATED ALWAYS AS (deposited + credits + transferred_in - spent - transferred_out) STORED,
    available       numeric(38, 12) NOT NULL
        GENERATED ALWAYS AS (deposited + credits + transferred_in - spent - transferred_out - reserved) STORED,
    PRIMARY KEY (ledger_id, currency)
);

CREATE INDEX balances_tenant ON balances (tenant_id, currency);
