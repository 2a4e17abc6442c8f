//! Squid's directives without an equivalent, and why there is none.

/// What to tell about a directive; `None` when it is imported elsewhere.
pub fn reason(name: &str) -> Option<&'static str> {
    Some(match name {
        "acl"
        | "http_access"
        | "http_port"
        | "cache_mem"
        | "cache_dir"
        | "maximum_object_size"
        | "cache_peer"
        | "never_direct"
        | "always_direct"
        | "access_log"
        | "logfile_rotate"
        | "logformat"
        | "shutdown_lifetime"
        | "visible_hostname"
        | "workers"
        | "collapsed_forwarding"
        | "include" => return None,
        "https_port" | "ssl_bump" | "sslcrtd_program" | "tls_outgoing_options" | "sslproxy_cert_error" => {
            "clients are answered without TLS: objects prove themselves by their checksum"
        }
        "maximum_object_size_in_memory" => {
            "not needed: large objects do not displace small ones; `max_object` in [memory] if you must"
        }
        "refresh_pattern"
        | "minimum_expiry_time"
        | "negative_ttl"
        | "max_stale"
        | "offline_mode"
        | "reload_into_ims"
        | "cache"
        | "no_cache"
        | "send_hit"
        | "store_miss" => {
            "objects never expire and are always kept; documents follow their own fields (RFC 9111)"
        }
        "quick_abort_min" | "quick_abort_max" | "quick_abort_pct" | "range_offset_limit"
        | "read_ahead_gap" => {
            "a download goes on by itself; see `finish_abandoned` and `window` in [objects]"
        }
        "connect_timeout"
        | "read_timeout"
        | "forward_timeout"
        | "request_timeout"
        | "peer_connect_timeout"
        | "dead_peer_timeout"
        | "connect_retries"
        | "forward_max_tries"
        | "persistent_request_timeout"
        | "client_lifetime"
        | "half_closed_clients" => {
            "the defaults of [upstream] and [listen] fit CVMFS clients; squid's times are longer than these wait"
        }
        "max_filedescriptors" | "max_filedesc" => "the limit of the service (LimitNOFILE=)",
        "cache_peer_access"
        | "cache_peer_domain"
        | "nonhierarchical_direct"
        | "prefer_direct"
        | "hierarchy_stoplist" => {
            "every request that is not answered here goes to the parents first; see `parents_choice` in [upstream]"
        }
        "icp_port" | "icp_access" | "htcp_port" | "htcp_access" | "digest_generation"
        | "icp_query_timeout" => "there are no siblings to talk to",
        "snmp_port" | "snmp_access" | "snmp_incoming_address" => {
            "`snmp` in [admin] answers such monitoring, with the figures of squid's MIB; who may reach it is for the firewall"
        }
        "cachemgr_passwd" => "metrics and status are on the admin port, for HTTP and Prometheus",
        "cache_log" | "cache_store_log" | "debug_options" | "log_mime_hdrs" | "strip_query_terms"
        | "buffered_logs" | "logfile_daemon" => {
            "diagnostics go to standard error, for systemd to keep; RUST_LOG sets how much"
        }
        "cache_effective_user"
        | "cache_effective_group"
        | "pid_filename"
        | "coredump_dir"
        | "umask"
        | "chroot" => "a matter of the service (deploy/systemd)",
        "memory_cache_mode"
        | "memory_cache_shared"
        | "memory_replacement_policy"
        | "cache_replacement_policy"
        | "cache_swap_low"
        | "cache_swap_high"
        | "minimum_object_size"
        | "store_dir_select_algorithm"
        | "ipcache_size"
        | "fqdncache_size"
        | "memory_pools"
        | "memory_pools_limit"
        | "cpu_affinity_map"
        | "hopeless_kid_revival_delay"
        | "max_open_disk_fds"
        | "store_avg_object_size" => "one cache for all workers, which needs no tuning of this kind",
        "positive_dns_ttl" | "negative_dns_ttl" | "dns_nameservers" | "dns_timeout" | "dns_v4_first"
        | "hosts_file" | "append_domain" | "dns_defnames" => {
            "names are looked up as the system does it (/etc/resolv.conf, /etc/hosts)"
        }
        "auth_param"
        | "external_acl_type"
        | "url_rewrite_program"
        | "url_rewrite_access"
        | "url_rewrite_children"
        | "store_id_program"
        | "store_id_access"
        | "store_id_children"
        | "redirect_program" => "no programs are asked; objects have one name whatever their URL",
        "delay_pools"
        | "delay_class"
        | "delay_access"
        | "delay_parameters"
        | "tcp_outgoing_address"
        | "tcp_outgoing_tos"
        | "client_delay_pools" => "traffic is not shaped here; the system can (tc, systemd)",
        "via"
        | "forwarded_for"
        | "request_header_access"
        | "reply_header_access"
        | "request_header_replace"
        | "follow_x_forwarded_for"
        | "httpd_suppress_version_string"
        | "ignore_expect_100"
        | "vary_ignore_expire"
        | "pipeline_prefetch"
        | "client_persistent_connections"
        | "server_persistent_connections"
        | "detect_broken_pconn"
        | "acl_uses_indirect_client" => "heads and connections are handled as RFC 9110 to 9112 say",
        "cache_mgr"
        | "error_directory"
        | "err_html_text"
        | "deny_info"
        | "email_err_data"
        | "ftp_user"
        | "unique_hostname"
        | "announce_period"
        | "pinger_enable"
        | "netdb_filename"
        | "error_default_language" => "of no use here",
        "snmp_community" => "see `snmp_community` in [admin]",
        "miss_access"
        | "http_reply_access"
        | "reply_body_max_size"
        | "http_access2"
        | "adapted_http_access"
        | "request_body_max_size" => {
            "a further restriction of squid that is NOT carried over: look whether you need it"
        }
        _ => "not known to this importer: look it up and decide",
    })
}

/// Directives that restrict what is allowed, and that are not imported: nothing may be opened without them.
pub fn restricts(name: &str) -> bool {
    matches!(name, "miss_access" | "http_reply_access" | "adapted_http_access" | "http_access2")
}
