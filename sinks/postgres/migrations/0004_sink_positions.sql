-- Where the sink goes on. Written in the transaction of the rows, and only from the position that the writer expects.
CREATE TABLE sink_positions (
    partition   integer PRIMARY KEY,
    next_offset bigint NOT NULL,
    epoch       bigint NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
