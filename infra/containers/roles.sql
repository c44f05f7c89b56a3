-- Roles and rights besides the tables; may be repeated. Passwords are set by whoever runs this.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'irontrack') THEN
        CREATE ROLE irontrack LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgbouncer') THEN
        CREATE ROLE pgbouncer LOGIN;
    END IF;
END
$$;

-- PgBouncer refuses these as parameters of a connection. The application gives up after 30 s by itself; migrations, dumps
-- and restores set their own.
ALTER ROLE irontrack SET statement_timeout = '35s';
ALTER ROLE irontrack SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE irontrack SET timezone = 'UTC';
ALTER ROLE pgbouncer CONNECTION LIMIT 5;
ALTER ROLE pgbouncer SET statement_timeout = '5s';

-- What PgBouncer needs to check a password: of roles that are no superusers and whose password has not expired.
CREATE SCHEMA IF NOT EXISTS pgbouncer;
REVOKE ALL ON SCHEMA pgbouncer FROM PUBLIC;
GRANT USAGE ON SCHEMA pgbouncer TO pgbouncer;
CREATE OR REPLACE FUNCTION pgbouncer.get_auth(asked text) RETURNS TABLE (user_name text, secret text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT rolname::text, CASE WHEN rolvaliduntil < pg_catalog.now() THEN NULL ELSE rolpassword END
    FROM pg_catalog.pg_authid
    WHERE rolname = asked AND rolcanlogin AND NOT rolsuper AND NOT rolreplication
$$;
REVOKE ALL ON FUNCTION pgbouncer.get_auth(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgbouncer.get_auth(text) TO pgbouncer;
