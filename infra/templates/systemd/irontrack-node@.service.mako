# Rendered from infra/templates/systemd: change that.
[Unit]
# As often as it takes: systemd gives up after five failures in ten seconds otherwise.
StartLimitIntervalSec=0
Description=IronTrack: node %i
Requires=irontrack-node@%i.socket
After=irontrack-node@%i.socket irontrack-migrate.service irontrack-pgbouncer.service irontrack-valkey.service
Wants=irontrack-pgbouncer.service irontrack-valkey.service

[Service]
WorkingDirectory=${at.root}
EnvironmentFile=${etc}/settings.env
Environment=PROMETHEUS_MULTIPROC_DIR=/run/irontrack-node-%i-metrics
RuntimeDirectory=irontrack-node-%i-metrics
ExecStart=${litestar} stack serve --workers ${at.workers}
Restart=always
RestartSec=1
KillMode=mixed
TimeoutStopSec=45
MemoryMax=1G
<%include file="hardening.mako"/>\
