# Rendered from infra/templates/systemd: change that.
[Unit]
Description=IronTrack
Wants=irontrack-valkey.service irontrack-pgbouncer.service irontrack-migrate.service irontrack-proxy.service
Wants=irontrack-node@a.service irontrack-node@b.service

[Install]
WantedBy=multi-user.target
