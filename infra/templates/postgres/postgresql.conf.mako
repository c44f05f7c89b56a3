<%doc>
PostgreSQL 18 for `memory` MB of RAM and a hard disk. Each line is a name, an equals sign and a value: app/stack reads them.
</%doc>\
# Rendered from infra/templates/postgres/postgresql.conf.mako: change that.
# For ${memory} MB of memory and a disk of 7200 rpm.

# Nothing that was acknowledged is lost, whatever fails.
fsync = on
synchronous_commit = on
full_page_writes = on
wal_sync_method = fdatasync
# After a crash: one call, instead of one for each of the thousands of files.
recovery_init_sync_method = syncfs

# Reached through PgBouncer; migrations, backups and whoever repairs something connect directly.
max_connections = ${connections}
superuser_reserved_connections = 3
password_encryption = scram-sha-256
% for name, value in more.items():
${name} = '${value}'
% endfor

shared_buffers = ${memory // 4}MB
effective_cache_size = ${memory * 2 // 3}MB
work_mem = ${max(4, memory // 768)}MB
maintenance_work_mem = ${max(64, memory // 24)}MB
autovacuum_work_mem = ${max(64, memory // 48)}MB
huge_pages = try
temp_file_limit = 4GB
jit = off

# A disk that seeks: 8 ms for each place, 100 MB/s in a row.
random_page_cost = 4
seq_page_cost = 1
effective_io_concurrency = 2
maintenance_io_concurrency = 2
bgwriter_delay = 100ms
bgwriter_lru_maxpages = 200
# Writers that commit at the same time share one turn of the disk.
commit_delay = 200
commit_siblings = 4

# The log of changes: enough for a standby, and for an archive (see infra/README.md).
wal_level = replica
max_wal_senders = 5
wal_buffers = 16MB
wal_compression = on
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
max_wal_size = 4GB
min_wal_size = 512MB

autovacuum_max_workers = 2
autovacuum_vacuum_scale_factor = 0.05
autovacuum_analyze_scale_factor = 0.02
autovacuum_vacuum_cost_limit = 400

timezone = UTC
log_timezone = UTC
log_checkpoints = on
log_lock_waits = on
log_temp_files = 16MB
log_autovacuum_min_duration = 1s
# The application logs slow statements with the request that they belong to; here only what nobody should wait for.
log_min_duration_statement = 2s
log_line_prefix = '%m [%p] %u '
track_io_timing = on
