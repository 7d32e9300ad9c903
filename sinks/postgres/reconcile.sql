-- What `z0 reconcile` asks: facts whose named fact the partition could not look up, compared with that fact.

-- name: positions
SELECT partition, next_offset FROM sink_positions

-- name: count_unproved
SELECT count(*)
  FROM facts f
  JOIN unnest(%(partitions)s::int[], %(ends)s::bigint[]) AS upto (partition, next_offset)
    ON f.log_partition = upto.partition AND f.log_offset < upto.next_offset
 WHERE f.proof_id IS NOT NULL AND f.proof_checked IS NOT TRUE

-- name: unproved
-- The next ones of a partition, each with the first thing that does not fit; NULL: all fits. What a type of fact may name and
-- whether it may be earlier is the decision's own rule (a charge names an outcome, a cost an invocation).
SELECT f.log_offset, f.id, f.proof_id,
       CASE
           WHEN f.source_id IS NOT NULL AND f.source_id <> f.proof_id THEN 'id'
           WHEN n.id IS NULL THEN 'missing'
           WHEN n.tenant_id <> f.tenant_id THEN 'tenant'
           WHEN n.ledger_id <> f.proof_ledger_id THEN 'ledger'
           WHEN n.seq <> f.proof_seq THEN 'seq'
           WHEN n.hash <> f.proof_hash THEN 'hash'
           WHEN f.type = 'charge' AND n.type <> 'outcome' OR f.type = 'cost' AND n.type <> 'invocation' THEN 'type'
           WHEN f.type = 'charge' AND n.timestamp > f.timestamp THEN 'time'
       END,
       f.source_id, f.tenant_id, f.proof_ledger_id, f.proof_seq, f.proof_hash, f.type, f.timestamp,
       n.tenant_id, n.ledger_id, n.seq, n.hash, n.type, n.timestamp
  FROM facts f
  LEFT JOIN facts n ON n.id = f.proof_id
 WHERE f.proof_id IS NOT NULL AND f.proof_checked IS NOT TRUE
   AND f.log_partition = %(partition)s AND f.log_offset >= %(start)s AND f.log_offset < %(upto)s
 ORDER BY f.log_offset
 LIMIT %(limit)s
