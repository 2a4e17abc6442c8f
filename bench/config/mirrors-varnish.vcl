# {name}: varnish before strata that it probes each second, with retries for whatever goes wrong before the body.
vcl 4.1;
import directors;

probe stratum {
    .url = "/cvmfs/bench.test/.cvmfspublished";
    .interval = 1s;
    .timeout = 1s;
    .window = 3;
    .threshold = 2;
    .initial = 2;
}
{backends}

sub vcl_init {
    new strata = directors.{director}();
    {members}
}

sub vcl_recv {
    # A client that saw wrong bytes asks with no-cache.
    if (req.http.Pragma ~ "no-cache") {
        set req.hash_always_miss = true;
    }
    if (req.method == "GET") {
        return (hash);
    }
}

sub vcl_hash {
    # One copy for all strata.
    hash_data(req.url);
    return (lookup);
}

sub vcl_backend_fetch {
    set bereq.backend = strata.backend();
}

sub vcl_backend_response {
    if (beresp.status != 200 && bereq.retries < 3) {
        return (retry);
    }
    if (beresp.status == 200) {
        set beresp.ttl = 1d;
    } else {
        set beresp.ttl = 0s;
    }
    return (deliver);
}

sub vcl_backend_error {
    # Together with the limits of a backend this stays below the client's 5 s.
    if (bereq.retries < 2) {
        return (retry);
    }
}
