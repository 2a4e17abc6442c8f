//! Every key the file may contain: one table, from which parsing takes ranges and suggestions, printing takes
//! comments, and `docs/configuration.md` takes its tables (tests hold them together).
//!
//! To add a key: a line here, a field with its default, a line in `raw.rs`, one in `print.rs`; tests then name who lacks it.

mod accepts;
mod words;

use std::fmt;
use std::time::Duration;

pub use accepts::Accepts;
use words::*;

use super::units::ByteSize;

/// One key.
#[derive(Debug)]
pub struct Key {
    /// The table it stands in, without brackets.
    pub table: &'static str,
    /// How often that table may stand.
    pub shape: Shape,
    /// Its name.
    pub name: &'static str,
    /// The values it may have.
    pub accepts: Accepts,
    /// What holds when it is not written.
    pub absent: Absent,
    /// What it means, in the operator's words, without full stop.
    pub meaning: &'static str,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (self.table, self.name) == (other.table, other.name)
    }
}

/// What holds when a key is not written.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// The same as if this had been written, in TOML.
    Value(&'static str),
    /// A value that depends on the machine or on other keys, in words.
    Words(&'static str),
    /// The key must be written wherever its table is.
    Required,
}

/// How often a table may stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `[table]`
    Once,
    /// `[[table]]`, any number of times.
    Many,
}

/// A table of the file.
#[derive(Debug)]
pub struct Table {
    /// Its name, without brackets.
    pub name: &'static str,
    /// How often it may stand.
    pub shape: Shape,
    /// What it is for, in the operator's words.
    pub meaning: &'static str,
    /// Its keys, in the order in which they are printed.
    pub keys: &'static [&'static Key],
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape {
            Shape::Once => write!(f, "[{}]", self.name),
            Shape::Many => write!(f, "[[{}]]", self.name),
        }
    }
}

/// All tables, in the order in which they are printed.
pub static TABLES: [&Table; 14] = [
    &listen::TABLE,
    &admin::TABLE,
    &access::TABLE,
    &memory::TABLE,
    &disk::TABLE,
    &quotas::TABLE,
    &objects::TABLE,
    &documents::TABLE,
    &mirrors::TABLE,
    &registries::TABLE,
    &parents::TABLE,
    &upstream::TABLE,
    &warm::TABLE,
    &log::TABLE,
];

/// The table of this name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().copied().find(|table| table.name == name)
}

/// Declares a module with one static for each key, and `TABLE` that lists them all.
macro_rules! table {
    (
        $shape:ident $module:ident: $purpose:literal
        $($key:ident $name:literal, $accepts:expr, $absent:expr, $meaning:literal;)+
    ) => {
        #[doc = concat!("Keys of `", stringify!($module), "`: ", $purpose, ".")]
        pub mod $module {
            use super::*;

            $(
                #[doc = concat!("`", $name, "`: ", $meaning, ".")]
                pub static $key: Key = Key {
                    table: stringify!($module),
                    shape: Shape::$shape,
                    name: $name,
                    accepts: $accepts,
                    absent: $absent,
                    meaning: $meaning,
                };
            )+

            /// The table itself.
            pub static TABLE: Table = Table {
                name: stringify!($module),
                shape: Shape::$shape,
                meaning: $purpose,
                keys: &[$(&$key),+],
            };
        }
    };
}

table! { Once listen: "where and how requests are taken"
    PROXY "proxy", Accepts::NonEmptyList(&ADDRESS), Absent::Value(r#"["127.0.0.1:3128"]"#),
        "addresses and ports on which clients are answered, as a forward proxy and as a reverse proxy alike; port 0 \
         lets the system choose";
    ADMIN "admin", Accepts::Text("\"off\" or an address and port, such as \"127.0.0.1:3129\""),
        Absent::Value(r#""127.0.0.1:3129""#),
        "address and port of the metrics, health and status pages";
    TLS "tls", Accepts::List(&ADDRESS), Absent::Value("[]"),
        "further addresses and ports, on which clients are answered over TLS; needs tls_certificate and tls_key";
    TLS_CERTIFICATE "tls_certificate", Accepts::Text("an absolute path, such as \"/etc/substratum/tls.crt\""),
        Absent::Words("none"),
        "PEM file with the certificate of this cache, and behind it those up to the authority; read again on reload";
    TLS_KEY "tls_key", Accepts::Text("an absolute path, such as \"/etc/substratum/tls.key\""), Absent::Words("none"),
        "PEM file with its private key; nobody but this program should be able to read it";
    NAME "name", Accepts::Text("a name of 1 to 64 letters, digits and -._~ such as \"cache-01\""),
        Absent::Words("the host name"),
        "what this cache calls itself in Via, X-Cache and Cache-Status; give each cache its own";
    WORKERS "workers", Accepts::Count(1, 1024), Absent::Words("one a core"),
        "threads that answer requests";
    MAX_CONNECTIONS "max_connections", Accepts::Count(1, 1_000_000), Absent::Value("10000"),
        "client connections open at the same time; for a further one the one of the same worker that has rested longest is closed, or it is turned away at once";
    MAX_CLIENT_CONNECTIONS "max_client_connections", Accepts::Count(1, 1_000_000),
        Absent::Words("half of max_connections"),
        "of them, of one client: one IPv4 address or one IPv6 /64";
    MAX_REQUESTS "max_requests", Accepts::Count(0, 1_000_000_000), Absent::Value("0"),
        "requests answered on one connection, which is then closed in good order, so that its client connects anew; 0 for \
         any number";
    HEAD_TIMEOUT "head_timeout", Accepts::Duration(SECOND, HOUR), Absent::Value(r#""10 s""#),
        "a client that takes longer to send the head of a request, or to begin with TLS, is cut";
    IDLE_TIMEOUT "idle_timeout", Accepts::Duration(SECOND, DAY), Absent::Value(r#""2 min""#),
        "a client connection is closed when it has asked for nothing, taken nothing, or sent less than 1 MiB of content, for this long";
    MAX_HEAD "max_head", Accepts::Size(ByteSize::kib(1), ByteSize::mib(1)), Absent::Value(r#""64 KiB""#),
        "longest head of a request; longer ones are answered with 431";
    MAX_TARGET "max_target", Accepts::Size(ByteSize::kib(1), ByteSize::kib(60)), Absent::Value(r#""32 KiB""#),
        "longest URL of a request; longer ones are answered with 414";
    MAX_CONTENT "max_content", Accepts::Size(ByteSize(0), ByteSize::gib(64)), Absent::Value(r#""1 MiB""#),
        "longest content of a request whose method is one of `methods` in [access]; longer ones are answered with 413";
    DRAIN_TIMEOUT "drain_timeout", Accepts::Duration(Duration::ZERO, HOUR), Absent::Value(r#""20 s""#),
        "how long answers in progress may still take when the program is told to stop";
    MAX_TUNNELS "max_tunnels", Accepts::Count(1, 1_000_000), Absent::Value("100"),
        "tunnels to the servers of `connect` in [access] open at the same time; further ones are refused with 421";
    MAX_CLIENT_TUNNELS "max_client_tunnels", Accepts::Count(1, 1_000_000), Absent::Words("half of max_tunnels"),
        "of them, of one client: one IPv4 address or one IPv6 /64";
}

table! { Once admin: "the operators' side, beside the admin port"
    TLS "tls", Accepts::Switch, Absent::Value("false"),
        "whether the admin port is reached over TLS, with tls_certificate and tls_key of [listen]";
    TOKEN_FILE "token_file", Accepts::Text("an absolute path, such as \"/etc/substratum/admin-token\""),
        Absent::Words("no token is asked for, and nothing can be purged"),
        "a file with a token in its only line, which all requests to the admin port but probes must then bear; nobody but \
         this program and operators should be able to read it";
    SNMP "snmp", Accepts::Text("\"off\" or an address and port, such as \"127.0.0.1:3401\""), Absent::Value(r#""off""#),
        "address and port on which SNMP v2c tells the figures of squid's MIB";
    SNMP_COMMUNITY "snmp_community", Accepts::Text("1 to 64 printable characters, such as \"public\""), Absent::Value(r#""public""#),
        "the community that SNMP requests must name; others are not answered";
}

table! { Once access: "who may ask, for what, whither"
    CLIENTS "clients", Accepts::NonEmptyList(&NETWORK), Absent::Value(r#"["127.0.0.0/8", "::1"]"#),
        "networks whose clients are answered; everybody else is refused";
    TARGETS "targets", Accepts::NonEmptyList(&TARGET), Absent::Value(r#"["cvmfs"]"#),
        "kinds of URL that may be asked for: CVMFS repositories, Frontier queries, any http URL; files of Debian archives, \
         entries of Bazel's cache";
    HOSTS "hosts", Accepts::List(&HOST), Absent::Value(r#"["*"]"#),
        "servers that clients may name in a proxy request; mirrors are always allowed";
    PORTS "ports", Accepts::NonEmptyList(&PORT), Absent::Value(r#"["80", "443", "1024-65535"]"#),
        "ports that clients may name in a proxy request; those of mirrors are always allowed";
    INTERNAL_HOSTS "internal_hosts", Accepts::List(&HOST), Absent::Value("[]"),
        "servers that may be asked although their address is loopback, private or link-local; mirrors and parents \
         always may";
    METHODS "methods", Accepts::List(&METHOD), Absent::Value("[]"),
        "methods beside GET and HEAD that are passed on, for what is not named by its checksum; the others are \
         answered with 405";
    CONNECT "connect", Accepts::List(&AUTHORITY), Absent::Value("[]"),
        "servers, each with its port, to which clients may open a tunnel (CONNECT); nobody else is ever connected to by one";
}

table! { Once memory: "the memory tier"
    CAPACITY "capacity", Accepts::Size(ByteSize(0), ByteSize::gib(16384)), Absent::Value(r#""256 MiB""#),
        "memory for the most wanted objects; 0 for none. The process needs more beside it, for connections and downloads";
    MAX_OBJECT "max_object", Accepts::Size(ByteSize(0), ByteSize::gib(4)),
        Absent::Words("a quarter of the capacity, at most 32 MiB"),
        "larger objects are kept on disk only; at most a quarter of the capacity";
    DOCUMENTS "documents", Accepts::Size(ByteSize(0), ByteSize::gib(1024)), Absent::Value(r#""64 MiB""#),
        "memory beside the capacity for what is not named by its checksum: manifests, Frontier answers, revocation \
         lists; 0 for none";
    MAX_DOCUMENT "max_document", Accepts::Size(ByteSize(0), ByteSize::gib(4)),
        Absent::Words("a quarter of documents, at most 8 MiB"),
        "larger documents pass through without being kept";
}

table! { Once disk: "the disk tier; leave the whole table out for none"
    PATH "path", Accepts::Text(PATH_WORDS), Absent::Required,
        "a folder for nothing else; created when missing";
    CAPACITY "capacity", Accepts::Size(ByteSize::mib(16), ByteSize::gib(1 << 20)), Absent::Required,
        "the folder never holds more than this";
    DOCUMENTS "documents", Accepts::Size(ByteSize(0), ByteSize::gib(1024)),
        Absent::Words("1 % of the capacity, at most 256 MiB"),
        "so much of the capacity is for documents (manifests, Frontier answers, revocation lists), which are then still \
         there after a restart; 0 for none; at most half of the capacity";
    FREE_RESERVE "free_reserve", Accepts::Size(ByteSize(0), ByteSize::gib(1 << 20)),
        Absent::Words("a tenth of the capacity, at most 1 GiB"),
        "so much of the file system stays free whoever fills it: when others take more, the cache shrinks";
    SEGMENT "segment", Accepts::Size(ByteSize::mib(1), ByteSize::gib(1)),
        Absent::Words("64 MiB, less when the capacity is below 4 GiB"),
        "objects are kept in files of this size, and space is reclaimed file by file";
    MAX_OBJECT "max_object", Accepts::Size(ByteSize::kib(1), ByteSize::gib(1024)),
        Absent::Words("a quarter of the capacity, at most 4 GiB"),
        "larger objects pass through without being kept; at most a quarter of the capacity";
    SCRUB_RATE "scrub_rate", Accepts::Size(ByteSize(0), ByteSize::gib(16)), Absent::Value(r#""2 MiB""#),
        "so much a second is read in the background to find objects that went bad; 0 for none";
    IO_THREADS "io_threads", Accepts::Count(1, 256), Absent::Value("8"),
        "threads that wait for the disk, for each worker";
}

table! { Many quotas: "how much of the disk some repositories have; the first entry that matches counts"
    REPOSITORY "repository", Accepts::Text(REPOSITORY_WORDS), Absent::Required,
        "the repository, or a pattern for several that share it";
    FLOOR "floor", Accepts::Size(ByteSize(0), ByteSize::gib(1 << 20)), Absent::Value(r#""0 B""#),
        "as long as they have less than this on disk, none of their objects goes to make room for others";
    CEILING "ceiling", Accepts::Size(ByteSize::mib(1), ByteSize::gib(1 << 20)), Absent::Words("the capacity"),
        "they never have more than this on disk: beyond it their own objects make room";
    PIN "pin", Accepts::Switch, Absent::Value("false"),
        "their objects are kept until this is taken back; needs a ceiling, beyond which further ones are kept like others";
}

table! { Once objects: "how objects are fetched and passed on"
    VERIFY_FIRST "verify_first", Accepts::Size(ByteSize(0), ByteSize::mib(64)), Absent::Value(r#""256 KiB""#),
        "objects up to this size are checked before their first byte is sent, so that clients never notice a corrupt \
         mirror; larger ones are checked while they pass, and broken off when wrong";
    VERIFY_FIRST_PATIENCE "verify_first_patience", Accepts::Duration(Duration::ZERO, MINUTE), Absent::Value(r#""2 s""#),
        "how long a slow object may be held back for that check before it is passed on as it comes";
    WINDOW "window", Accepts::Size(ByteSize::mib(1), ByteSize::gib(4)), Absent::Value(r#""16 MiB""#),
        "memory that one download may take, beyond what the tiers keep of it, for readers of different speed";
    FILL_MEMORY "fill_memory", Accepts::Size(ByteSize::mib(1), ByteSize::gib(1024)),
        Absent::Words("a quarter of the capacity of [memory], at least four times window"),
        "the same for all downloads together; when it is used up, large ones take less and further ones are refused";
    FINISH_ABANDONED "finish_abandoned", Accepts::Size(ByteSize(0), ByteSize::gib(1024)),
        Absent::Value(r#""16 MiB""#),
        "a download nobody waits for any more is finished when no more than this is missing";
    MAX_FILLS "max_fills", Accepts::Count(1, 1_000_000), Absent::Value("4096"),
        "downloads of objects at the same time; whoever wants another one meanwhile is sent to its next proxy";
    MAX_CLIENT_FILLS "max_client_fills", Accepts::Count(1, 1_000_000), Absent::Value("256"),
        "downloads at the same time for one client (one IPv4 address or one IPv6 /64); its further ones wait, up to four \
         times as many and half of head_deadline, so that nobody else has to";
}

table! { Many documents: "other lifetimes for some documents; the first entry that matches counts"
    MATCH "match", Accepts::Text(PATTERN_WORDS), Absent::Required,
        "the documents that are meant";
    TTL "ttl", Accepts::Duration(Duration::ZERO, YEAR), Absent::Words("what the answer says"),
        "how long a successful answer or a permanent redirect is fresh, whatever it says itself";
    NEGATIVE_TTL "negative_ttl", Accepts::Duration(Duration::ZERO, DAY), Absent::Words("they are asked for again"),
        "how long a 404 or 410 is fresh that does not say it itself";
    STALE_IF_ERROR "stale_if_error", Accepts::Duration(Duration::ZERO, YEAR),
        Absent::Words("1 d for what lies below /cvmfs/, nothing for all else"),
        "how long beyond its lifetime an answer may stand in while the servers fail, unless it says so itself";
    STALE_WHILE_REVALIDATE "stale_while_revalidate", Accepts::Duration(Duration::ZERO, YEAR), Absent::Words("nothing"),
        "how long beyond its lifetime an answer is still sent at once, while a new one is fetched behind it, unless it \
         says so itself";
}

table! { Many mirrors: "servers that hold the same repositories; an object may come from any of them"
    NAME "name", Accepts::Text("a name of 1 to 64 letters, digits and -._ such as \"cern\""), Absent::Required,
        "name of the group in logs and metrics";
    URLS "urls", Accepts::NonEmptyList(&SERVER), Absent::Required,
        "the servers, the preferred one first";
    SERVES "serves", Accepts::NonEmptyList(&REPOSITORY), Absent::Value(r#"["*"]"#),
        "repositories for which this group answers clients that use this cache as their server instead of as their \
         proxy; the first group that matches is taken";
}

table! { Many registries: "registries of container images that this cache stands before"
    NAME "name", Accepts::Text("a host, and a port if it has one, such as \"docker.io\""), Absent::Required,
        "what clients call the registry: what images begin with";
    URL "url", Accepts::Text("a server, such as \"https://registry-1.docker.io\""), Absent::Required,
        "where it is asked";
    HOSTS "hosts", Accepts::List(&HOST), Absent::Value("[]"),
        "names of this cache under which clients mean this registry, unless they tell; under any other name they mean the \
         first one";
    ANONYMOUS "anonymous", Accepts::Switch, Absent::Value("false"),
        "whether this cache obtains the tokens that the registry gives to everybody, for clients that show none";
}

table! { Many parents: "caches further up, asked before the servers themselves"
    URL "url", Accepts::Text(SERVER_WORDS), Absent::Required,
        "the parent, which is used as a proxy";
    USER "user", Accepts::Text("a user name without a colon, such as \"node\""), Absent::Words("no login"),
        "the name to log in with, where the parent asks for it (HTTP Basic); needs password_file";
    PASSWORD_FILE "password_file", Accepts::Text("an absolute path, such as \"/etc/substratum/parent-password\""),
        Absent::Words("no login"),
        "a file with the password in its only line; nobody but this program should be able to read it";
}

table! { Once upstream: "time and connections given to mirrors and parents"
    CONNECT_TIMEOUT "connect_timeout", Accepts::Duration(MILLISECOND, MINUTE), Absent::Value(r#""1 s""#),
        "name lookup, TCP and TLS together";
    FIRST_BYTE_TIMEOUT "first_byte_timeout", Accepts::Duration(MILLISECOND, MINUTE), Absent::Value(r#""1500 ms""#),
        "how long one server may take to begin its answer before the next one is asked";
    HEAD_DEADLINE "head_deadline", Accepts::Duration(MILLISECOND, HOUR), Absent::Value(r#""4 s""#),
        "how long all servers together may take to begin an answer; then the client gets 504. CVMFS clients leave \
         after 5 s";
    STALL_TIMEOUT "stall_timeout", Accepts::Duration(MILLISECOND, HOUR), Absent::Value(r#""2 s""#),
        "a download that brings nothing for this long is continued from another server";
    MIN_RATE "min_rate", Accepts::Size(ByteSize(0), ByteSize::gib(1)), Absent::Value(r#""1 KiB""#),
        "bytes a second below which a download counts as standing still; CVMFS clients leave below 1 KiB. 0 for no limit";
    HEDGE_PERCENT "hedge_percent", Accepts::Count(0, 100), Absent::Value("5"),
        "of 100 requests, so many may be put to the next server as well before first_byte_timeout is over, when a server \
         is slower than it usually is";
    ABSENT_FOR "absent_for", Accepts::Duration(Duration::ZERO, HOUR), Absent::Value(r#""5 s""#),
        "how long a server that does not have an object is asked for it behind the others";
    MAX_BODY "max_body", Accepts::Size(ByteSize::mib(1), ByteSize::gib(1 << 20)), Absent::Value(r#""64 GiB""#),
        "a longer answer is broken off, whether it says so beforehand or never ends";
    REDIRECTS "redirects", Accepts::Count(0, 10), Absent::Value("0"),
        "redirects of one request for an object that are followed, each to a server that `hosts` and `internal_hosts` \
         allow; with 0 a server that redirects counts as failing";
    MAX_CONNECTIONS "max_connections", Accepts::Count(1, 65_535), Absent::Value("256"),
        "connections to one server, for each worker";
    MAX_WAITING "max_waiting", Accepts::Count(0, 65_535), Absent::Value("1024"),
        "requests that may wait for one of these connections, for each worker; they are refused at once when there are \
         more, or when it would take longer than connect_timeout";
    IDLE_CONNECTIONS "idle_connections", Accepts::Count(0, 65_535), Absent::Words("half of max_connections"),
        "connections to one server kept open for the next request, for each worker";
    IDLE_TIMEOUT "idle_timeout", Accepts::Duration(MILLISECOND, HOUR), Absent::Value(r#""4 s""#),
        "how long these are kept; below the 5 s after which Apache closes them from its side";
    PARENTS_CHOICE "parents_choice", Accepts::OneOf(&["ordered", "rendezvous", "addresses"]), Absent::Value(r#""ordered""#),
        "which parent is asked first: the first one written, or the one whose share a name falls into, so that together \
         they hold more; with \"addresses\" the names are shared out among all addresses that the parents' host names have at \
         the time. All machines of a site must list the same parents for either";
    DIRECT "direct", Accepts::Switch, Absent::Value("true"),
        "whether the servers themselves are asked when no parent answers";
    CA_FILES "ca_files", Accepts::List(&FILE), Absent::Value("[]"),
        "PEM files with certificate authorities to trust for https, beside those of the system";
}

table! { Many warm: "what is fetched before clients ask, each time that its repository has a new revision"
    REPOSITORY "repository", Accepts::Text("a repository or its URL, such as \"http://stratum.example.org:8000/cvmfs/images.example.org\""), Absent::Required,
        "the repository; its name alone needs a group of [[mirrors]] that serves it";
    PATHS "paths", Accepts::NonEmptyList(&REPOSITORY_PATH), Absent::Value(r#"["/"]"#),
        "what of it, from its root";
    ON_REVISION "on_revision", Accepts::OneOf(&["catalogs", "all"]), Absent::Value(r#""catalogs""#),
        "how much: the catalogs, or the objects of all files as well";
    RATE "rate", Accepts::Size(ByteSize::kib(1), ByteSize::gib(16)), Absent::Value(r#""10 MiB""#),
        "so much a second at the most";
    INTERVAL "interval", Accepts::Duration(Duration::from_secs(1), YEAR), Absent::Value(r#""1 min""#),
        "how often the manifest is looked at; it is asked for like any client's, so that caches answer while it is fresh";
    SPREAD "spread", Accepts::Duration(Duration::ZERO, YEAR), Absent::Value(r#""30 s""#),
        "each cache begins with a new revision after a part of this, chosen by lot, so that not all of them do at once";
    KEY "key", Accepts::Text("an absolute path, such as \"/etc/cvmfs/keys/example.org.pub\""), Absent::Words("none, and signatures are not checked"),
        "public key of the repository: a manifest that is not genuine is then not followed";
}

table! { Once log: "the access log"
    ACCESS "access", Accepts::OneOf(&["off", "squid", "frontier", "json", "combined"]), Absent::Value(r#""off""#),
        "form of the lines, one a request";
    PATH "path", Accepts::Text(PATH_WORDS), Absent::Words("standard output"),
        "the file they are written to";
    MAX_SIZE "max_size", Accepts::Size(ByteSize::mib(1), ByteSize::gib(1024)), Absent::Value(r#""100 MiB""#),
        "the file is put aside and a new one begun when it has this size";
    KEEP "keep", Accepts::Count(0, 1000), Absent::Value("5"),
        "files put aside that are kept";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_within_their_table() {
        for table in TABLES {
            for (i, key) in table.keys.iter().enumerate() {
                assert_eq!(key.table, table.name);
                assert!(!table.keys[..i].contains(key), "{table} {}", key.name);
            }
        }
    }

    #[test]
    fn meanings_are_phrases() {
        for table in TABLES {
            let meanings = table.keys.iter().map(|key| key.meaning).chain([table.meaning]);
            for meaning in meanings {
                assert!(!meaning.ends_with('.') && !meaning.contains('\n'), "{table}: {meaning}");
            }
        }
    }
}
