<%page args="tls"/>\
            # What the application sends with each of its answers; this one is the proxy's own.
            add_header X-Content-Type-Options nosniff always;
            add_header X-Frame-Options DENY always;
            add_header Referrer-Policy no-referrer always;
            add_header Cross-Origin-Opener-Policy same-origin always;
            add_header Cross-Origin-Resource-Policy same-origin always;
            add_header Permissions-Policy "camera=(), geolocation=(), microphone=()" always;
            add_header Content-Security-Policy "default-src 'none'; frame-ancestors 'none'" always;
            add_header Cache-Control no-store always;
% if tls:
            add_header Strict-Transport-Security max-age=31536000 always;
% endif
