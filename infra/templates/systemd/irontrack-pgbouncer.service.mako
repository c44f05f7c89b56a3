# Rendered from infra/templates/systemd: change that.
[Unit]
# As often as it takes: systemd gives up after five failures in ten seconds otherwise.
StartLimitIntervalSec=0
Description=IronTrack: PgBouncer
After=postgresql.service

[Service]
Type=notify
ExecStart=${at.pgbouncer} ${etc}/pgbouncer.ini
ExecReload=/bin/kill -HUP $MAINPID
KillSignal=SIGINT
RuntimeDirectory=irontrack-pgbouncer
LimitNOFILE=4096
Restart=always
RestartSec=1
TimeoutStopSec=45
MemoryMax=256M
<%include file="hardening.mako"/>\
