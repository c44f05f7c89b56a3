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
# On a disk: archives of runs are as large as they are. It is this unit's own, and goes with it.
Environment=TMPDIR=/var/tmp
ExecStart=${litestar} stack serve --workers ${at.workers}
Restart=always
RestartSec=1
KillMode=mixed
TimeoutStopSec=45
MemoryMax=1G
<%include file="hardening.mako"/>\
