<%doc>
Valkey: live refresh tokens, rate limits and news between workers. Nothing is evicted; what it has survives a restart.
</%doc>\
# Rendered from infra/templates/valkey/valkey.conf.mako: change that.
port 0
unixsocket "${socket}"
unixsocketperm ${socket_mode}
dir "${folder}"
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory ${memory}mb
maxmemory-policy noeviction
maxclients 1024
timeout 0
% if acl_file:
aclfile ${acl_file}
% else:
${acl}
% endif
