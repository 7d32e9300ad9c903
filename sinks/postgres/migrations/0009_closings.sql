-- What closed a reservation: a ledger remembers only the last ones, who is late for an older one is told from here. Both indexes
-- go by one name for ledger and reservation, and by one for type and subtype. No other index serves these, so that neither a hot
-- ledger nor a tenant is walked through, whatever the planner believes about them.
CREATE INDEX facts_closings ON facts ((ledger_id || '/' || reservation_id), seq)
 WHERE type || '/' || subtype IN ('budget/confirmed', 'budget/released', 'budget/transferred_out');

-- An expiry closes up to hundreds at once; its data list them. What is no list has no names: an index must not refuse a fact.
CREATE FUNCTION expired_names(ledger_id text, data jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT ledger_id || '/' || id
      FROM jsonb_object_keys(
           CASE jsonb_typeof(data -> 'reservations') WHEN 'object' THEN data -> 'reservations' ELSE '{}' END
           ) AS id
);

-- Without a list of what is still to be indexed: each of a thousand look-ups would read through it.
CREATE INDEX facts_expired ON facts USING gin (expired_names(ledger_id, data)) WITH (fastupdate = off)
 WHERE type || '/' || subtype = 'budget/expired';
