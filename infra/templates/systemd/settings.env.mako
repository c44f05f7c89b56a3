# Rendered from infra/templates/systemd: settings of the application; README.md lists all of them.
# PUBLIC_URL is the one that every server has to set for itself.
PUBLIC_URL=
DATABASE_URL=postgresql://irontrack@/irontrack?host=/run/irontrack-pgbouncer&port=6432
DATABASE_PASSWORD_FILE=${etc}/secrets/database_password
% if at.pgbouncer_version < (1, 21):
DATABASE_STATEMENT_CACHE=0
% endif
VALKEY_URL=unix:///run/irontrack-valkey/valkey.sock?db=0
VALKEY_PASSWORD_FILE=${etc}/secrets/valkey_password
JWT_KEYS_FILE=${etc}/secrets/keys/keys.json
