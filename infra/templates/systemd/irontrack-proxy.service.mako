# Rendered from infra/templates/systemd: change that.
[Unit]
# As often as it takes: systemd gives up after five failures in ten seconds otherwise.
StartLimitIntervalSec=0
Description=IronTrack: the proxy
After=network-online.target irontrack-node@a.socket irontrack-node@b.socket
Wants=network-online.target

[Service]
ExecStartPre=${at.proxy.path} -t -q -p /run/irontrack-proxy/ -c ${etc}/proxy.conf -e stderr
ExecStart=${at.proxy.path} -p /run/irontrack-proxy/ -c ${etc}/proxy.conf -e stderr
ExecReload=${at.proxy.path} -t -q -p /run/irontrack-proxy/ -c ${etc}/proxy.conf -e stderr
ExecReload=/bin/kill -HUP $MAINPID
KillSignal=SIGQUIT
KillMode=mixed
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
RuntimeDirectory=irontrack-proxy
CacheDirectory=irontrack-proxy
CacheDirectoryMode=0700
LogsDirectory=irontrack
LimitNOFILE=16384
Restart=always
RestartSec=1
TimeoutStopSec=60
MemoryMax=512M
<%include file="hardening.mako"/>\
