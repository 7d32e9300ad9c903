-- What the ClickHouse sink asks its store.

-- name: read_ranges
-- The newest range of each partition and state.
SELECT partition, state, first_offset, last_offset, digest, facts, epoch_before, epoch_after, writer
  FROM sink_ranges
 ORDER BY first_offset DESC
 LIMIT 1 BY partition, state

-- name: stored_facts
SELECT offset, hash
  FROM facts
 WHERE partition = {partition:Int32} AND offset BETWEEN {first:Int64} AND {last:Int64}

-- name: stored_points
SELECT offset, ''
  FROM z0_invocations
 WHERE partition = {partition:Int32} AND offset BETWEEN {first:Int64} AND {last:Int64}

-- name: count_facts
SELECT count() FROM facts
