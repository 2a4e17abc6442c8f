//! Fields that we add to answers, and to requests to upstreams: for people. `docs/reference.md` is written from here, and
//! a test compares real answers with it.

/// A field that we write.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// On which messages.
    pub on: &'static str,
    /// What it looks like.
    pub example: &'static str,
    /// What it tells.
    pub meaning: &'static str,
}

const fn field(name: &'static str, on: &'static str, example: &'static str, meaning: &'static str) -> Field {
    Field { name, on, example, meaning }
}

/// Fields of answers. What a server sent with a document is passed on beside them.
pub const ANSWERS: [Field; 14] = [
    field(
        "Cache-Status",
        "all",
        "NAME; hit; detail=memory",
        "RFC 9211. `hit` with `detail` `memory`, `disk` or `rehashed` (the client asked for checked bytes), or `fwd=` why it was \
         forwarded, `fwd-status=` what the upstream answered, `stored`, `collapsed` (shared with another request); `ttl` seconds \
         of freshness left; otherwise `detail` is a reason from above. A reason that `fwd` says already is not repeated",
    ),
    field("X-Cache", "all", "HIT from NAME", "`HIT` or `MISS`, as squid says it"),
    field("Via", "all", "1.1 NAME", "RFC 9110: appended to what stands there"),
    field(
        "Proxy-Status",
        "errors of ours",
        "NAME; error=destination_unavailable",
        "RFC 9209: what kind of trouble",
    ),
    field(
        "Age",
        "objects; stored documents",
        "17",
        "seconds since the bytes were verified, or since the origin sent them",
    ),
    field("ETag", "objects", "\"49bf0011...\"", "the object's name, which is its checksum"),
    field("Accept-Ranges", "objects", "bytes", ""),
    field(
        "Cache-Control",
        "objects; errors of ours",
        "public, max-age=31536000, immutable",
        "objects never change; errors are `no-store`",
    ),
    field(
        "Content-Type",
        "objects; errors of ours",
        "application/octet-stream",
        "also `multipart/byteranges` and `text/plain`",
    ),
    field("Content-Length", "all but 304", "30000", ""),
    field("Content-Range", "206, 416", "bytes 0-99/30000", ""),
    field("Date", "all", "Sun, 06 Nov 1994 08:49:37 GMT", "of the answer; a document keeps its own"),
    field("Allow", "405", "GET, HEAD", ""),
    field(
        "Connection",
        "refusals",
        "close",
        "the connection ends with this answer; `keep-alive` to clients of HTTP/1.0 that ask for it",
    ),
];

/// Fields of requests to upstreams. Those of the client that are meant for them are passed on with documents.
pub const REQUESTS: [Field; 7] = [
    field("Host", "all", "stratum.example.org", "the server that is meant, also towards a parent"),
    field(
        "Via",
        "all",
        "1.1 NAME (substratum-0123456789abcdef)",
        "the comment is another one after each start: by it a request that comes back is known",
    ),
    field(
        "X-Forwarded-For",
        "documents",
        "192.0.2.7",
        "the client's address, appended: geo services look at it",
    ),
    field("Range", "objects", "bytes=262144-", "only where another source has broken off"),
    field("Cache-Control", "objects", "no-cache", "only to a parent whose bytes did not match the name"),
    field(
        "If-None-Match, If-Modified-Since",
        "documents",
        "\"a\"",
        "the validators of what is stored, in place of the client's",
    ),
    field("Proxy-Authorization", "all, to a parent", "Basic ...", "as configured for that parent"),
];
