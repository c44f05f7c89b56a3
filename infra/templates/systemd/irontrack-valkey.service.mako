# Rendered from infra/templates/systemd: change that.
[Unit]
# As often as it takes: systemd gives up after five failures in ten seconds otherwise.
StartLimitIntervalSec=0
Description=IronTrack: Valkey

[Service]
ExecStart=${at.valkey} ${etc}/valkey.conf
RuntimeDirectory=irontrack-valkey
StateDirectory=irontrack-valkey
Restart=always
RestartSec=1
TimeoutStopSec=30
MemoryMax=512M
<%include file="hardening.mako"/>\
