<%doc>
The reverse proxy, for Angie and for nginx: what only one of them knows depends on `program`.
Values: app/stack/proxy.py, ProxySettings and ProxyProgram.
</%doc>\
<%
problems = (
    (400, "Bad Request", "The request can't be read.", 0),
    (405, "Method Not Allowed", "This method is not allowed here.", 0),
    (408, "Request Timeout", "The request did not arrive in time.", 0),
    (413, "Request Entity Too Large", "The body is too large.", 0),
    (414, "Request-URI Too Long", "The address is too long.", 0),
    (429, "Too Many Requests", "Too many requests from this address; try again in a moment.", 1),
    (431, "Request Header Fields Too Large", "The headers are too large.", 0),
    (500, "Internal Server Error", "Something went wrong.", 0),
    (502, "Bad Gateway", "The service did not answer; try again in a moment.", 2),
    (503, "Service Unavailable", "The service is away; try again in a moment.", 2),
    (504, "Gateway Timeout", "The service took too long to answer.", 2),
)
# A request that could not be read has no path, and so can't go to a named location; the others keep theirs in the log.
nameless = {status for status, *_ in problems} - {400, 414, 431}
error_pages = {str(status): status for status, *_ in problems} | {"494": 431, "495 496 497": 400}


def problem_place(status):
    return f"@problem_{status}" if status in nameless else f"/.problems/{status}"


def escaped(sentence):
    return sentence.replace("'", "\\'")


tls = bool(settings.certificate)
listen_options = " ssl" if tls else ""
if program.http2_in_listen and tls:
    listen_options += " http2"
%>\
# Rendered from infra/templates/proxy/nginx.conf.mako: change that.
worker_processes ${settings.workers};
worker_rlimit_nofile 16384;
worker_shutdown_timeout ${settings.grace}s;
pid ${settings.folder}/proxy.pid;
error_log ${settings.error_log} warn;
daemon off;

events {
    worker_connections 4096;
}

http {
    # Share links are passwords: whoever reads the log must not be able to follow them.
    map $uri $logged_path {
        "~^/api/v1/shared/" "/api/v1/shared/[redacted]";
        default $uri;
    }
    map $http_x_request_id $sane_request_id {
        "~^[A-Za-z0-9._:-]{1,128}$" $http_x_request_id;
        default $request_id;
    }
    # The trace of the request (W3C Trace Context): the client's where it is written as it must be, else a new one, whose id
    # is that of the request.
    map $request_id $own_span {
        "~^(?<first_half>[0-9a-f]{16})" $first_half;
    }
    map $http_traceparent $trace_parent {
        "~^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$" $http_traceparent;
        default "00-$request_id-$own_span-01";
    }
    map $trace_parent $logged_trace {
        "~^00-(?<whole_trace>[0-9a-f]{32})" $whole_trace;
    }
    map $request_uri $problem_instance {
        "~^(?<asked_path>/[A-Za-z0-9/._~%-]*)" $asked_path;
        default "/";
    }
    # Whoever has one IPv6 address has its /64.
    map $remote_addr $client_network {
        "~^(?<whole_prefix>(?:[0-9a-f]+:){4})" $whole_prefix;
        "~^(?<short_prefix>[0-9a-f:]*?::)" $short_prefix;
        default $remote_addr;
    }
    # A connection that is kept may be closed by a worker that ends, at the very moment at which a request is written to
    # it. What can be repeated is sent again; what can't goes over a connection of its own, which a worker either answers
    # or has not accepted yet.
    map $request_method $application {
        POST application_once;
        PATCH application_once;
        default application;
    }
    log_format json escape=json
        '{"time":"$time_iso8601","requestId":"$sane_request_id","traceId":"$logged_trace","address":"$remote_addr",'
        '"method":"$request_method","path":"$logged_path","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,'
        '"upstreamSeconds":"$upstream_response_time","upstreamStatus":"$upstream_status","upstream":"$upstream_addr",'
        '"protocol":"$server_protocol","tls":"$ssl_protocol","agent":"$http_user_agent"}';
    access_log ${settings.access_log} json;

    limit_req_zone $client_network zone=requests:10m rate=${settings.rate}r/s;
    limit_conn_zone $client_network zone=connections:10m;
    limit_req_status 429;
    limit_conn_status 429;
    limit_req_log_level info;
    limit_conn_log_level info;

% for name, kept in (("application", 64), ("application_once", 0)):
    upstream ${name} {
        zone ${name} 256k;
% for server in settings.servers:
        server ${server} ${"max_fails=0" if server.startswith("unix:") else "max_fails=1 fail_timeout=5s"};
% endfor
% if kept:
        keepalive ${kept};
        keepalive_timeout 20s;
% elif program.keeps_by_default:
        keepalive 0;
% endif
    }
% endfor

    server_tokens off;
    default_type application/octet-stream;
    sendfile off;
    tcp_nodelay on;
    reset_timedout_connection on;
    client_header_timeout 10s;
    client_body_timeout 15s;
    send_timeout 15s;
    keepalive_timeout 65s;
    keepalive_requests 10000;
% if program.keepalive_min_timeout:
    keepalive_min_timeout 5s;
% endif
    client_max_body_size ${settings.max_body};
    client_body_buffer_size 128k;
    large_client_header_buffers 4 16k;
    client_body_temp_path ${settings.folder}/body;
    proxy_temp_path ${settings.folder}/proxy;
% for kind in program.unused_temporary_folders:
    ${kind}_temp_path ${settings.folder}/${kind};
% endfor
% for network in settings.trusted_proxies:
    set_real_ip_from ${network};
% endfor
% if settings.trusted_proxies:
    real_ip_header X-Forwarded-For;
    real_ip_recursive on;
% endif

    # The application compresses by itself, and sends the security headers of its answers.
    gzip off;
    proxy_http_version 1.1;
    proxy_request_buffering on;
    proxy_buffers 16 16k;
    proxy_buffer_size 16k;
    proxy_connect_timeout 2s;
    proxy_send_timeout 15s;
    proxy_read_timeout ${settings.timeout}s;
    proxy_next_upstream error timeout;
    proxy_next_upstream_tries ${len(settings.sockets) + 1};
    proxy_next_upstream_timeout 10s;
    # Said by the client, believed by nobody: each is set here or left out.
    proxy_set_header Host $host;
    proxy_set_header Connection "";
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Request-ID $sane_request_id;
    proxy_set_header traceparent $trace_parent;
    proxy_set_header tracestate "";
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host "";
    proxy_set_header Forwarded "";
    proxy_set_header Proxy "";

% if tls:
    ssl_certificate ${settings.certificate};
    ssl_certificate_key ${settings.certificate_key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
    ssl_prefer_server_ciphers off;
    ssl_session_cache shared:tls:10m;
    ssl_session_timeout 1d;
    ssl_session_tickets off;

% endif
% if tls and settings.redirect_listen:
    server {
% for address in settings.redirect_listen:
        listen ${address};
% endfor
        return 308 https://$host${"" if settings.public_port == 443 else f":{settings.public_port}"}$request_uri;
    }

% endif
    server {
% for address in settings.listen:
        listen ${address}${listen_options};
% if tls and program.http3:
        listen ${address} quic reuseport;
% endif
% endfor
% if tls and program.http2_directive:
        http2 on;
% endif
% if tls and program.http3:
        http3 on;
        add_header Alt-Svc 'h3=":${settings.public_port}"; ma=86400' always;
% endif
% if program.angie:
        status_zone irontrack;
% endif
        limit_req zone=requests burst=${settings.burst} nodelay;
        limit_conn connections ${settings.connections};

        location / {
            proxy_pass http://$application;
        }

        # Files are larger and take longer than all else. An archive is handed on as it comes: it may be more than fits here.
% for path, size, buffered in (("runs/import", settings.max_upload, "on"), ("imports", settings.max_archive, "off")):
        location ~ ^/api/v1/${path}/?$ {
            client_max_body_size ${size};
            proxy_request_buffering ${buffered};
            proxy_send_timeout 60s;
            proxy_read_timeout ${settings.upload_timeout}s;
            proxy_pass http://$application;
        }

% endfor
        # Errors are logged with the line of the request, and that of a share link is a password.
        location /api/v1/shared/ {
            error_log ${settings.error_log} emerg;
            proxy_pass http://$application;
        }

% for codes, answered in error_pages.items():
        error_page ${codes} =${answered} ${problem_place(answered)};
% endfor

% for status, title, detail, retry in problems:
        location ${"" if status in nameless else "= "}${problem_place(status)} {
% if status not in nameless:
            internal;
% endif
            default_type application/problem+json;
            add_header X-Request-ID $sane_request_id always;
% if retry:
            add_header Retry-After ${retry} always;
% endif
<%include file="security_headers.mako" args="tls=tls"/>\
            return ${status} '{"type":"about:blank","title":"${title}","status":${status},"detail":"${escaped(detail)}","instance":"$problem_instance","requestId":"$sane_request_id"}';
        }
% endfor
    }

% if program.angie:
<%include file="status_angie.mako"/>\
% else:
<%include file="status_nginx.mako"/>\
% endif
}
