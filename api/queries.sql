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
