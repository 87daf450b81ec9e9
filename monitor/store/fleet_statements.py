"""The statements of `FleetSession`, one for each question: what a process of a fleet asks beside the store."""

from __future__ import annotations

from monitor.lease import VALID

GONE = 10.0
"""Seconds without a sign of life after which a process counts as gone, and is led by another one."""
FORGOTTEN = 3600.0
"""Seconds after which a process that is gone is no longer listed."""
LEADER = 0x696D7075_6C736503
"""The advisory lock "impulse", 3 of the process that leads."""

NOW = "extract(epoch FROM clock_timestamp())::float8"

# what a statement writes it does not read: its own row as it was is left out
BEAT = f"""
WITH own AS (
  INSERT INTO process (id, role, host, address, version, started, seen, backend, digest, leads, report)
  VALUES ($1, $2, $3, $4, $5, {NOW}, {NOW}, pg_backend_pid(), $6, $7, $8)
  ON CONFLICT (id) DO UPDATE
  SET seen = excluded.seen, backend = excluded.backend, digest = excluded.digest, leads = excluded.leads,
    report = excluded.report
  RETURNING *
)
SELECT id, role, host, address, version, started, {NOW} - seen AS age, digest, leads, report, {NOW} AS now
FROM (SELECT * FROM process WHERE id <> $1 UNION ALL SELECT * FROM own) AS there ORDER BY started
"""
# the holder of the lock is cut off where it has given no sign of life for long: its connection may outlive it
LEAD = f"""
WITH tried AS MATERIALIZED (SELECT pg_try_advisory_lock({LEADER}) AS leads)
SELECT CASE WHEN leads THEN true ELSE (
  SELECT count(pg_terminate_backend(lock.pid)) < 0
  FROM pg_locks lock LEFT JOIN process ON process.backend = lock.pid
  WHERE lock.locktype = 'advisory' AND lock.classid = {LEADER >> 32} AND lock.objid = {LEADER & 0xFFFFFFFF}
  AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND lock.granted AND lock.pid <> pg_backend_pid() AND coalesce(process.seen, 0) < {NOW} - {GONE}
) END FROM tried
"""
TAKE = f"""
WITH free AS (
  SELECT project FROM turn
  WHERE project = ANY($1::text[]) AND (NOT running OR confirmed < {NOW} - {VALID})
  FOR UPDATE SKIP LOCKED
), taken AS (
  UPDATE turn SET epoch = epoch + 1, worker = $2, running = true, taken = {NOW}, confirmed = {NOW}
  FROM free WHERE turn.project = free.project
  RETURNING turn.project, epoch, closed_until
)
SELECT taken.project, taken.epoch, taken.closed_until - {NOW} AS closed_for, due.name, {NOW} - due.at AS late
FROM taken LEFT JOIN due ON due.project = taken.project AND due.at <= {NOW}
"""
CONFIRM = f"""
UPDATE turn SET confirmed = {NOW}, closed_until = {NOW} + held.closed_for
FROM unnest($1::text[], $2::bigint[], $3::float8[]) AS held (project, epoch, closed_for)
WHERE turn.project = held.project AND turn.epoch = held.epoch AND turn.running
RETURNING turn.project
"""
# what was asked for since the turn began is not forgotten
END = f"""
WITH ended AS (
  UPDATE turn SET running = false, closed_until = {NOW} + held.closed_for
  FROM unnest($1::text[], $2::bigint[], $3::float8[]) AS held (project, epoch, closed_for)
  WHERE turn.project = held.project AND turn.epoch = held.epoch AND turn.running
  RETURNING turn.project, turn.taken
), moved AS (
  UPDATE due SET at = CASE WHEN due.at > ended.taken THEN least(due.at, next.at) ELSE next.at END
  FROM ended JOIN unnest($4::text[], $5::text[], $6::float8[]) AS next (project, name, at) USING (project)
  WHERE due.name = next.name
)
"""
# epochs begin with the time: one that comes back after it was removed has none that was there before
PLAN = f"""
WITH wanted AS (
  SELECT * FROM unnest($1::text[], $2::text[], $3::float8[], $4::float8[]) AS wanted (name, project, first, latest)
), projects AS (
  INSERT INTO turn (project, epoch) SELECT DISTINCT project, {NOW}::bigint FROM wanted ON CONFLICT DO NOTHING
)
INSERT INTO due (name, project, at) SELECT name, project, {NOW} + first FROM wanted
ON CONFLICT (name) DO UPDATE SET
  project = excluded.project,
  at = least(due.at, {NOW} + (SELECT latest FROM wanted WHERE wanted.name = excluded.name))
"""
# what is due already and is being done is to be done once more
RUN_NOW = f"""
UPDATE due SET at = CASE
  WHEN turn.running AND due.at <= turn.taken THEN {NOW} + $2 ELSE least(due.at, {NOW} + $2)
END
FROM turn WHERE due.name = $1 AND turn.project = due.project
"""
UNPLAN = "DELETE FROM due WHERE name = ANY($1::text[])"
KEEP = """
WITH gone AS (DELETE FROM due WHERE name <> ALL($1::text[]))
DELETE FROM turn WHERE NOT running AND NOT EXISTS (
  SELECT 1 FROM due WHERE due.project = turn.project AND due.name = ANY($1::text[])
)
"""
DUE = f"""
WITH standing AS (
  SELECT due.project, min(due.at) AS at,
    coalesce(bool_or(turn.running AND turn.confirmed > {NOW} - {VALID}), false) AS runs
  FROM due JOIN turn ON turn.project = due.project WHERE due.at <= {NOW} GROUP BY due.project
)"""
STANDING = f"""
SELECT project, at, runs, %s AS missing FROM standing
UNION ALL SELECT project, NULL, true, false FROM turn WHERE running AND confirmed > {NOW} - {VALID}
UNION ALL SELECT NULL, min(at) - {NOW}, false, false FROM due WHERE at > {NOW}
"""
FORGET = f"DELETE FROM process WHERE seen < {NOW} - {FORGOTTEN}"
SNAPSHOT = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
CHANGED = "SELECT subject FROM change WHERE xid >= $1"
