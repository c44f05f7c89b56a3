# Rendered from infra/templates/systemd: change that.
# The socket outlives its service: while a node restarts its requests wait here, or go to the other one.
[Unit]
Description=IronTrack: the socket of node %i

[Socket]
ListenStream=/run/irontrack-node-%i/node.sock
SocketUser=${at.user}
SocketGroup=${at.user}
SocketMode=0660
DirectoryMode=0755
Backlog=1024
RemoveOnStop=yes
