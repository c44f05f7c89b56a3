    # Angie alone knows these.
    include ${settings.prometheus_templates};
    server {
        listen ${settings.status_listen};
<%include file="status_locations.mako"/>\
        location /status/ {
            api /status/;
        }
        location = /prometheus {
            prometheus all;
        }
    }
