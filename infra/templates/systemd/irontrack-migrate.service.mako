# Rendered from infra/templates/systemd: change that.
[Unit]
Description=IronTrack: the schema, roles and exercises
After=postgresql.service

[Service]
Type=oneshot
WorkingDirectory=${at.root}
EnvironmentFile=${etc}/settings.env
# Migrations need sessions, so they go to PostgreSQL itself.
Environment=DATABASE_URL=postgresql://irontrack@/irontrack?host=${at.postgres_sockets}
ExecStart=${litestar} stack migrate
TimeoutStartSec=30min
<%include file="hardening.mako"/>\
