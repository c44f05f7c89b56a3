<%doc>
PgBouncer. Values: app/stack/pgbouncer.py, PgBouncerSettings; `version` is that of the program.
</%doc>\
; Rendered from infra/templates/pgbouncer/pgbouncer.ini.mako: change that.
[databases]
${settings.database} = host=${settings.postgres_sockets} port=5432 dbname=${settings.database} auth_user=${settings.auth_user}

[pgbouncer]
listen_addr =
listen_port = ${settings.port}
unix_socket_dir = ${settings.sockets}
unix_socket_mode = ${settings.socket_mode}
; A session of a client holds a server's connection for a transaction only: no LISTEN, no SET, no advisory locks of sessions.
pool_mode = transaction
% if version >= (1, 21):
; The application's prepared statements are kept track of for each server's connection.
max_prepared_statements = 200
% endif
max_client_conn = ${settings.client_connections}
default_pool_size = ${settings.server_connections}
min_pool_size = ${min(settings.server_connections, 4)}
max_db_connections = ${settings.server_connections}
% if version >= (1, 24):
; One role that leaks connections must not take those of the others.
max_user_client_connections = ${settings.client_connections - 10}
% endif
; Passwords are looked up where they are: a new one needs no change here. Only ${settings.auth_user}'s own is in the file.
auth_type = scram-sha-256
auth_file = ${settings.auth_file}
auth_query = SELECT user_name, secret FROM pgbouncer.get_auth($1)
admin_users = ${settings.auth_user}
stats_users = ${settings.auth_user}
; Whoever waits longer gets an error, which the application answers as 503.
query_wait_timeout = 10
server_connect_timeout = 5
server_login_retry = 0.3
server_lifetime = 3600
server_idle_timeout = 600
server_check_query = select 1
server_check_delay = 30
client_login_timeout = 10
idle_transaction_timeout = 60
; asyncpg asks for none that would have to be ignored, pg_dump and psql do; but those connect to PostgreSQL itself.
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
log_pooler_errors = 1
stats_period = 60
logfile =
pidfile =
syslog = 0
tcp_keepalive = 0
