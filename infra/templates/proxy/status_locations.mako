        access_log off;
        # The counters of each application node; behind one address they would be those of either.
% for number, server in enumerate(settings.servers):
        location = /metrics/${number} {
            proxy_set_header Host localhost;
            proxy_set_header X-Real-IP 127.0.0.1;
            proxy_pass http://${server}${":" if server.startswith("unix:") else ""}/metrics;
        }
% endfor
