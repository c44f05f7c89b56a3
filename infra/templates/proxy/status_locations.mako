        access_log off;
        # The counters of each application node; behind one address they would be those of either.
% for number, socket in enumerate(settings.sockets):
        location = /metrics/${number} {
            proxy_set_header Host localhost;
            proxy_set_header X-Real-IP 127.0.0.1;
            proxy_pass http://unix:${socket}:/metrics;
        }
% endfor
