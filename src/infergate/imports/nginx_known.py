"""Directives of nginx that need no counterpart, and where some may stand.

https://nginx.org/en/docs/dirindex.html has each one's page, with its context.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HTTP_ONLY = _words("""
    log_format map upstream limit_req_zone limit_conn_zone proxy_cache_path js_import js_include
    split_clients geo server
""")
"""Those that nginx takes in `http` alone."""

NOT_IN_HTTP = _words("location if proxy_pass server_name listen rewrite return set")
"""Those that belong into a server."""

QUIET = _words("""
    access_log charset chunked_transfer_encoding client_body_buffer_size client_body_timeout
    client_header_timeout daemon default_type env error_log error_page events gzip gzip_comp_level
    gzip_disable gzip_min_length gzip_proxied gzip_types gzip_vary http2 index keepalive_requests
    keepalive_timeout large_client_header_buffers limit_conn_status limit_req_log_level
    limit_req_status lingering_close load_module map_hash_bucket_size map_hash_max_size
    master_process multi_accept pcre_jit pid postpone_output proxy_buffer_size proxy_buffering
    proxy_buffers proxy_busy_buffers_size proxy_cache_bypass proxy_cache_lock proxy_cache_use_stale
    proxy_cache_valid proxy_headers_hash_bucket_size proxy_headers_hash_max_size proxy_hide_header
    proxy_http_version proxy_intercept_errors proxy_max_temp_file_size proxy_next_upstream_timeout
    proxy_no_cache proxy_pass_header proxy_redirect proxy_request_buffering proxy_send_timeout
    proxy_socket_keepalive proxy_ssl_server_name recursive_error_pages reset_timedout_connection
    resolver resolver_timeout root send_timeout sendfile server_names_hash_bucket_size server_tokens
    ssl_ciphers ssl_dhparam ssl_ecdh_curve ssl_prefer_server_ciphers ssl_session_cache
    ssl_session_ticket_key ssl_session_tickets ssl_session_timeout ssl_stapling ssl_stapling_verify
    ssl_trusted_certificate tcp_nodelay tcp_nopush thread_pool types types_hash_max_size
    underscores_in_headers user variables_hash_max_size worker_connections worker_priority
    worker_rlimit_nofile worker_shutdown_timeout working_directory
""")
"""What the gateway does by itself, or its own way: nothing is lost without them."""

READ_ELSEWHERE = _words("""
    auth_request auth_request_set health_check if internal js_path js_set limit_except listen
    location proxy_pass proxy_ssl_verify real_ip_header real_ip_recursive rewrite server_name
    ssl ssl_certificate ssl_certificate_key ssl_protocols
""")
"""Those that are looked at where they stand."""

ANSWERS = _words("return root alias try_files stub_status empty_gif autoindex fastcgi_pass")
"""Of a location: nginx answers itself, or asks something else than HTTP."""

IN_UPSTREAM = _words("""
    server keepalive keepalive_timeout keepalive_requests keepalive_time zone
""")

HEADERS = _words("""
    accept-encoding connection host origin upgrade x-forwarded-for x-forwarded-host x-forwarded-port
    x-forwarded-proto x-real-ip
""")
"""Of proxy_set_header: the gateway sets them, or has no need of them."""

ADDED = _words("x-frame-options x-content-type-options referrer-policy x-xss-protection")
"""Of add_header: those that the gateway adds, and one that browsers know no more."""
