# Rendered from infra/templates/systemd: change that.
[Unit]
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
