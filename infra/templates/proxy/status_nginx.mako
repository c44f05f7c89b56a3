    server {
        listen ${settings.status_listen};
<%include file="status_locations.mako"/>\
% if program.stub_status:
        location = /status/ {
            stub_status;
        }
% endif
    }
