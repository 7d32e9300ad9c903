-- What the API reads from Postgres. Every statement filters on the tenant; `value` is the fact as it was stored in the log.

-- name: ping
SELECT 1

-- name: head
SELECT seq, value
  FROM facts
 WHERE tenant_id = %(tenant_id)s AND ledger_id = %(ledger_id)s
 ORDER BY seq DESC
 LIMIT 1

-- name: facts
SELECT seq, value
  FROM facts
 WHERE tenant_id = %(tenant_id)s AND ledger_id = %(ledger_id)s
   AND seq > %(after)s AND seq <= %(upto)s
   AND (%(type)s::text IS NULL OR type = %(type)s)
 ORDER BY seq
 LIMIT %(limit)s


-- name: config
-- Versions are in `config_versions` (sinks/postgres): each holds from `effective_at` up to, not including, `superseded_at`.
SELECT config_id, config::text, superseded_at, fact_id, recorded_at
  FROM config_versions
 WHERE tenant_id = %(tenant_id)s AND ledger_id = %(ledger_id)s
   AND (%(version)s::bigint IS NULL OR version = %(version)s)
   AND (%(at)s::bigint IS NULL OR (effective_at <= %(at)s AND (superseded_at IS NULL OR superseded_at > %(at)s)))
 LIMIT 1

-- name: configs
-- A config of the platform holds for every tenant, so every tenant may read it. Ids are unique, whoever's they are.
SELECT config_id, config::text, superseded_at, fact_id, recorded_at
  FROM config_versions
 WHERE tenant_id IN (%(tenant_id)s, %(platform)s) AND (tenant_id = %(tenant_id)s OR scope = 'platform')
   AND effective_at <= %(at)s AND (superseded_at IS NULL OR superseded_at > %(at)s)
   AND (%(type)s::text IS NULL OR type = %(type)s)
   AND ledger_id > %(after)s
 ORDER BY ledger_id
 LIMIT %(limit)s

-- name: applying
-- The facts themselves, for what they come to together is found by the code that decides. An array instead of a join: so the
-- view's window is put over these ledgers only. What jsonb cannot hold (`config` is NULL) is always among them.
SELECT value
  FROM config_versions v
  JOIN facts ON facts.id = v.fact_id
 WHERE v.tenant_id IN (%(tenant_id)s, %(platform)s) AND (v.tenant_id = %(tenant_id)s OR v.scope = 'platform' OR v.config IS NULL)
   AND v.ledger_id = ANY(ARRAY(
       SELECT ledger_id
         FROM facts
        WHERE type = 'config' AND subtype = 'versioned' AND tenant_id IN (%(tenant_id)s, %(platform)s)
          AND (data -> 'config' ->> 'applies_to' IS NULL OR data -> 'config' ->> 'applies_to' = ANY(%(names)s::text[]))
       ))
   AND (v.config IS NULL OR v.superseded_at IS NULL OR v.superseded_at > greatest(v.effective_at, %(at)s))

-- name: closings
-- What closed each of some reservations, below a seq of their ledgers (an id may be used again): the newest, and the seq up to
-- which the ledger is here. The conditions are written as the indexes are (`facts_closings`, `facts_expired`), and the tenant is
-- asked of what was found: a condition that another index serves too could have a hot ledger, or a tenant, walked through.
SELECT closed.subtype, closed.recorded_at, coalesce(newest.seq, 0)
  FROM unnest(%(ledger_ids)s::text[], %(reservation_ids)s::text[], %(below)s::bigint[])
       WITH ORDINALITY AS wanted (ledger_id, reservation_id, below, place)
  LEFT JOIN LATERAL (
       SELECT seq, subtype, recorded_at, tenant_id
         FROM facts
        WHERE type || '/' || subtype IN ('budget/confirmed', 'budget/released', 'budget/transferred_out')
          AND ledger_id || '/' || reservation_id = wanted.ledger_id || '/' || wanted.reservation_id AND seq < wanted.below
        UNION ALL
       SELECT seq, subtype, recorded_at, tenant_id
         FROM facts
        WHERE type || '/' || subtype = 'budget/expired'
          AND expired_names(ledger_id, data) @> ARRAY[wanted.ledger_id || '/' || wanted.reservation_id] AND seq < wanted.below
        ORDER BY seq DESC
        LIMIT 1
       ) closed ON closed.tenant_id = %(tenant_id)s
  LEFT JOIN LATERAL (
       SELECT seq, tenant_id FROM facts WHERE ledger_id = wanted.ledger_id ORDER BY seq DESC LIMIT 1
       ) newest ON newest.tenant_id = %(tenant_id)s
 ORDER BY wanted.place
