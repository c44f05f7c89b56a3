#!/bin/sh
# Runs once, when the container makes its cluster; again by hand after a new password (see infra/README.md). With the
# argument `new` the application's comes from the standard input: PostgreSQL has it then before any file says it.
set -eu
PGPASSWORD="$(cat /run/secrets/postgres_password)"
if [ "${1:-}" = new ]; then APPLICATION_PASSWORD="$(cat)"; else APPLICATION_PASSWORD="$(cat /run/secrets/database_password)"; fi
POOLER_PASSWORD="$(cat /run/secrets/pgbouncer_password)"
export PGPASSWORD APPLICATION_PASSWORD POOLER_PASSWORD
as_superuser() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres "$@"; }
as_superuser --dbname postgres <<'SQL'
SELECT 'CREATE ROLE irontrack LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'irontrack') \gexec
SELECT 'CREATE DATABASE irontrack OWNER irontrack' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'irontrack') \gexec
SQL
as_superuser --dbname irontrack --file /etc/irontrack/roles.sql
# Passwords are in the environment, so that they stand on no command line, and in no log of the server.
as_superuser --dbname irontrack <<'SQL'
\getenv application APPLICATION_PASSWORD
\getenv pooler POOLER_PASSWORD
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
ALTER ROLE irontrack PASSWORD :'application';
ALTER ROLE pgbouncer PASSWORD :'pooler';
SQL
