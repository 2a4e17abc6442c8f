//! TOML to `Config`: one function a table, one line a key.
//!
//! The document is walked as a tree of spanned values rather than through serde's derive: that way every fault has its
//! own position, all of them are found in one run, a range is checked where the key is declared, and there is no second
//! set of structs. This file and its children are the only ones that read TOML.

mod reader;
mod section;
mod text;

use reader::{Override, Reader, position};
use section::Section;
use toml::de::DeTable;

use super::environment::Environment;
use super::error::{Fault, Finding, Site};
use super::{
    Access, AccessLogFormat, Admin, ByteSize, Config, Disk, DocumentPattern, DocumentRule, Identity, Listen,
    Loaded, Log, Login, Memory, MirrorGroup, Objects, OnRevision, Parent, ParentsChoice, Quota, Registry,
    TargetShape, Upstream, Warm, WriteMethod, check, keys,
};

/// The configuration a text describes, with the environment above it; or all faults of the first kind there are, in the
/// order of the text, those of the environment last.
pub(super) fn parse(text: &str, environment: &Environment) -> Result<Loaded, Vec<Fault>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(syntax_faults(text, &errors));
    }
    let tables: Vec<_> =
        environment.given().iter().map(|given| DeTable::parse_recoverable(&given.toml).0).collect();
    let overrides: Vec<_> = environment.given().iter().zip(&tables).filter_map(Override::new).collect();
    let mut reader = Reader::new(text, root.get_ref(), &overrides);
    for (variable, why) in environment.wrong() {
        reader.refuse_variable(variable, why.clone());
    }
    let config = read(&mut reader);
    reader.check()?;
    for finding in check::contradictions(&config) {
        reader.refuse_finding(&finding);
    }
    reader.check()?;
    Ok(Loaded { config, origins: reader.origins() })
}

fn syntax_faults(text: &str, errors: &[toml::de::Error]) -> Vec<Fault> {
    let mut faults: Vec<_> = errors
        .iter()
        .map(|error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            let message = error.message();
            // The parser guesses the type of a bare word from its first character: `10.0.0.0/8` is a bad float to it.
            let guessed = ["invalid float", "invalid integer", "invalid boolean", "invalid date"];
            let guessed = guessed.iter().any(|guess| message.starts_with(guess));
            let advice = if guessed { " (text must stand in quotes)" } else { "" };
            ((line, column), format!("not TOML: {message}{advice}"))
        })
        .collect();
    faults.sort_by_key(|(position, _)| *position);
    let fault = |((line, column), message)| Fault { at: Site::File { line, column }, message };
    faults.into_iter().map(fault).collect()
}

/// Every key by itself. A key with a fault gets its default; the fault is in the reader.
fn read(reader: &mut Reader<'_>) -> Config {
    reader.refuse_unknown_tables();
    let memory = memory(&mut reader.section(&keys::memory::TABLE));
    Config {
        listen: listen(&mut reader.section(&keys::listen::TABLE)),
        admin: admin(&mut reader.section(&keys::admin::TABLE)),
        access: access(&mut reader.section(&keys::access::TABLE)),
        objects: objects(&mut reader.section(&keys::objects::TABLE), memory.capacity),
        memory,
        disk: disk_with_quotas(reader),
        documents: reader.sections(&keys::documents::TABLE, document_rule),
        mirrors: reader.sections(&keys::mirrors::TABLE, mirror_group),
        registries: reader.sections(&keys::registries::TABLE, registry),
        parents: reader.sections(&keys::parents::TABLE, parent),
        upstream: upstream(&mut reader.section(&keys::upstream::TABLE)),
        warm: reader.sections(&keys::warm::TABLE, warm),
        log: log(&mut reader.section(&keys::log::TABLE)),
    }
}

fn listen(section: &mut Section<'_, '_>) -> Listen {
    use keys::listen as key;
    let default = Listen::default();
    let max_connections = section.count(&key::MAX_CONNECTIONS);
    let max_tunnels = section.count(&key::MAX_TUNNELS);
    let share = |all: Option<usize>, usual| all.map_or(usual, |all| (all / 2).max(1));
    let client_connections = share(max_connections, default.max_client_connections);
    let client_tunnels = share(max_tunnels, default.max_client_tunnels);
    let certificate = section.text(&key::TLS_CERTIFICATE, text::absolute_path);
    let private = section.text(&key::TLS_KEY, text::absolute_path);
    section.refuse_lone(&key::TLS_CERTIFICATE, &key::TLS_KEY);
    Listen {
        proxy: section.list(&key::PROXY, text::address).unwrap_or(default.proxy),
        admin: section.text(&key::ADMIN, text::address_or_off).unwrap_or(default.admin),
        tls: section.list(&key::TLS, text::address).unwrap_or(default.tls),
        identity: certificate.zip(private).map(|(certificate, key)| Identity { certificate, key }),
        name: section.text(&key::NAME, text::cache_name).unwrap_or(default.name),
        workers: section.count(&key::WORKERS).unwrap_or(default.workers),
        max_connections: max_connections.unwrap_or(default.max_connections),
        max_client_connections: section.count(&key::MAX_CLIENT_CONNECTIONS).unwrap_or(client_connections),
        max_requests: section.count(&key::MAX_REQUESTS).unwrap_or(default.max_requests),
        head_timeout: section.duration(&key::HEAD_TIMEOUT).unwrap_or(default.head_timeout),
        idle_timeout: section.duration(&key::IDLE_TIMEOUT).unwrap_or(default.idle_timeout),
        max_head: section.size(&key::MAX_HEAD).unwrap_or(default.max_head),
        max_target: section.size(&key::MAX_TARGET).unwrap_or(default.max_target),
        max_content: section.size(&key::MAX_CONTENT).unwrap_or(default.max_content),
        drain_timeout: section.duration(&key::DRAIN_TIMEOUT).unwrap_or(default.drain_timeout),
        max_tunnels: max_tunnels.unwrap_or(default.max_tunnels),
        max_client_tunnels: section.count(&key::MAX_CLIENT_TUNNELS).unwrap_or(client_tunnels),
    }
}

fn admin(section: &mut Section<'_, '_>) -> Admin {
    use keys::admin as key;
    let default = Admin::default();
    Admin {
        tls: section.switch(&key::TLS).unwrap_or(default.tls),
        token_file: section.text(&key::TOKEN_FILE, text::absolute_path),
        snmp: section.text(&key::SNMP, text::address_or_off).unwrap_or(default.snmp),
        snmp_community: section.text(&key::SNMP_COMMUNITY, text::community).unwrap_or(default.snmp_community),
    }
}

fn access(section: &mut Section<'_, '_>) -> Access {
    use keys::access as key;
    let default = Access::default();
    let target = |text: &str| text::choice(text, TargetShape::ALL, TargetShape::as_str);
    let method = |text: &str| text::choice(text, WriteMethod::ALL, WriteMethod::as_str);
    Access {
        clients: section.list(&key::CLIENTS, text::network).unwrap_or(default.clients),
        targets: section.list(&key::TARGETS, target).unwrap_or(default.targets),
        hosts: section.list(&key::HOSTS, text::host_pattern).unwrap_or(default.hosts),
        ports: section.list(&key::PORTS, text::ports).unwrap_or(default.ports),
        internal_hosts: section
            .list(&key::INTERNAL_HOSTS, text::host_pattern)
            .unwrap_or(default.internal_hosts),
        methods: section.list(&key::METHODS, method).unwrap_or(default.methods),
        connect: section.list(&key::CONNECT, text::authority).unwrap_or(default.connect),
    }
}

fn memory(section: &mut Section<'_, '_>) -> Memory {
    use keys::memory as key;
    let default = section.size(&key::CAPACITY).map_or_else(Memory::default, Memory::with_capacity);
    let default = match section.size(&key::DOCUMENTS) {
        Some(documents) => default.with_documents(documents),
        None => default,
    };
    Memory {
        max_object: section.size(&key::MAX_OBJECT).unwrap_or(default.max_object),
        max_document: section.size(&key::MAX_DOCUMENT).unwrap_or(default.max_document),
        ..default
    }
}

fn disk(section: &mut Section<'_, '_>) -> Option<Disk> {
    use keys::disk as key;
    let path = section.text(&key::PATH, text::absolute_path);
    let capacity = section.size(&key::CAPACITY);
    let documents = section.size(&key::DOCUMENTS);
    let free_reserve = section.size(&key::FREE_RESERVE);
    let segment = section.size(&key::SEGMENT);
    let max_object = section.size(&key::MAX_OBJECT);
    let scrub_rate = section.size(&key::SCRUB_RATE);
    let io_threads = section.count(&key::IO_THREADS);
    let default = Disk::new(path?, capacity?);
    Some(Disk {
        documents: documents.unwrap_or(default.documents),
        free_reserve: free_reserve.unwrap_or(default.free_reserve),
        segment: segment.unwrap_or(default.segment),
        max_object: max_object.unwrap_or(default.max_object),
        scrub_rate: scrub_rate.unwrap_or(default.scrub_rate),
        io_threads: io_threads.unwrap_or(default.io_threads),
        ..default
    })
}

fn disk_with_quotas(reader: &mut Reader<'_>) -> Option<Disk> {
    let disk = reader.section_if_present(&keys::disk::TABLE).and_then(|mut section| disk(&mut section));
    let quotas = reader.sections(&keys::quotas::TABLE, quota);
    if disk.is_none() && !quotas.is_empty() {
        let message = "without a [disk] table there is nothing to divide".to_owned();
        reader.refuse_finding(&Finding { place: (&keys::quotas::REPOSITORY).into(), other: None, message });
    }
    disk.map(|disk| Disk { quotas, ..disk })
}

fn quota(section: &mut Section<'_, '_>) -> Option<Quota> {
    use keys::quotas as key;
    let repository = section.text(&key::REPOSITORY, text::repository_pattern);
    let floor = section.size(&key::FLOOR);
    let ceiling = section.size(&key::CEILING);
    let pin = section.switch(&key::PIN).unwrap_or(false);
    Some(Quota { repository: repository?, floor: floor.unwrap_or(ByteSize(0)), ceiling, pin })
}

fn objects(section: &mut Section<'_, '_>, memory: ByteSize) -> Objects {
    use keys::objects as key;
    let default = Objects::default();
    let window = section.size(&key::WINDOW).unwrap_or(default.window);
    Objects {
        verify_first: section.size(&key::VERIFY_FIRST).unwrap_or(default.verify_first),
        verify_first_patience: section
            .duration(&key::VERIFY_FIRST_PATIENCE)
            .unwrap_or(default.verify_first_patience),
        window,
        fill_memory: section
            .size(&key::FILL_MEMORY)
            .unwrap_or_else(|| super::defaults::fill_memory_for(memory, window)),
        finish_abandoned: section.size(&key::FINISH_ABANDONED).unwrap_or(default.finish_abandoned),
        max_fills: section.count(&key::MAX_FILLS).unwrap_or(default.max_fills),
        max_client_fills: section.count(&key::MAX_CLIENT_FILLS).unwrap_or(default.max_client_fills),
    }
}

fn document_rule(section: &mut Section<'_, '_>) -> Option<DocumentRule> {
    use keys::documents as key;
    let pattern = section.text(&key::MATCH, |text| Ok(text.parse::<DocumentPattern>()?));
    let ttl = section.duration(&key::TTL);
    let negative_ttl = section.duration(&key::NEGATIVE_TTL);
    let stale_if_error = section.duration(&key::STALE_IF_ERROR);
    let stale_while_revalidate = section.duration(&key::STALE_WHILE_REVALIDATE);
    Some(DocumentRule { pattern: pattern?, ttl, negative_ttl, stale_if_error, stale_while_revalidate })
}

fn mirror_group(section: &mut Section<'_, '_>) -> Option<MirrorGroup> {
    use keys::mirrors as key;
    let name = section.text(&key::NAME, text::group_name);
    let urls = section.list(&key::URLS, text::server);
    let serves = section.list(&key::SERVES, text::repository_pattern);
    Some(MirrorGroup { name: name?, urls: urls?, serves: serves.unwrap_or_else(MirrorGroup::serves_all) })
}

fn registry(section: &mut Section<'_, '_>) -> Option<Registry> {
    use keys::registries as key;
    let name = section.text(&key::NAME, text::registry_name);
    let url = section.text(&key::URL, text::server);
    let hosts = section.list(&key::HOSTS, text::host_pattern);
    let anonymous = section.switch(&key::ANONYMOUS).unwrap_or(false);
    Some(Registry { name: name?, url: url?, hosts: hosts.unwrap_or_default(), anonymous })
}

fn parent(section: &mut Section<'_, '_>) -> Option<Parent> {
    use keys::parents as key;
    let url = section.text(&key::URL, text::server);
    let user = section.text(&key::USER, text::user_name);
    let password_file = section.text(&key::PASSWORD_FILE, text::absolute_path);
    section.refuse_lone(&key::USER, &key::PASSWORD_FILE);
    let login = user.zip(password_file).map(|(user, password_file)| Login { user, password_file });
    Some(Parent { url: url?, login })
}

fn upstream(section: &mut Section<'_, '_>) -> Upstream {
    use keys::upstream as key;
    let default = Upstream::default();
    let choice = |text: &str| text::choice(text, ParentsChoice::ALL, ParentsChoice::as_str);
    let max_connections = section.count(&key::MAX_CONNECTIONS).unwrap_or(default.max_connections);
    Upstream {
        connect_timeout: section.duration(&key::CONNECT_TIMEOUT).unwrap_or(default.connect_timeout),
        first_byte_timeout: section.duration(&key::FIRST_BYTE_TIMEOUT).unwrap_or(default.first_byte_timeout),
        head_deadline: section.duration(&key::HEAD_DEADLINE).unwrap_or(default.head_deadline),
        stall_timeout: section.duration(&key::STALL_TIMEOUT).unwrap_or(default.stall_timeout),
        min_rate: section.size(&key::MIN_RATE).unwrap_or(default.min_rate),
        hedge_percent: section.count(&key::HEDGE_PERCENT).unwrap_or(default.hedge_percent),
        absent_for: section.duration(&key::ABSENT_FOR).unwrap_or(default.absent_for),
        max_body: section.size(&key::MAX_BODY).unwrap_or(default.max_body),
        redirects: section.count(&key::REDIRECTS).unwrap_or(default.redirects),
        max_connections,
        max_waiting: section.count(&key::MAX_WAITING).unwrap_or(default.max_waiting),
        idle_connections: section.count(&key::IDLE_CONNECTIONS).unwrap_or(max_connections / 2),
        idle_timeout: section.duration(&key::IDLE_TIMEOUT).unwrap_or(default.idle_timeout),
        parents_choice: section.text(&key::PARENTS_CHOICE, choice).unwrap_or(default.parents_choice),
        direct: section.switch(&key::DIRECT).unwrap_or(default.direct),
        ca_files: section.list(&key::CA_FILES, text::absolute_path).unwrap_or(default.ca_files),
    }
}

fn warm(section: &mut Section<'_, '_>) -> Option<Warm> {
    use keys::warm as key;
    let choice = |text: &str| text::choice(text, OnRevision::ALL, OnRevision::as_str);
    let repository = section.text(&key::REPOSITORY, text::repository);
    let paths = section.list(&key::PATHS, text::repository_path);
    let on_revision = section.text(&key::ON_REVISION, choice);
    let rate = section.size(&key::RATE);
    let interval = section.duration(&key::INTERVAL);
    let spread = section.duration(&key::SPREAD);
    let file = section.text(&key::KEY, text::absolute_path);
    let default = Warm::new(repository?);
    Some(Warm {
        paths: paths.unwrap_or(default.paths),
        on_revision: on_revision.unwrap_or(default.on_revision),
        rate: rate.unwrap_or(default.rate),
        interval: interval.unwrap_or(default.interval),
        spread: spread.unwrap_or(default.spread),
        key: file,
        repository: default.repository,
    })
}

fn log(section: &mut Section<'_, '_>) -> Log {
    use keys::log as key;
    let default = Log::default();
    let form = |text: &str| text::choice(text, AccessLogFormat::ALL, AccessLogFormat::as_str);
    Log {
        access: section.text(&key::ACCESS, form).unwrap_or(default.access),
        path: section.text(&key::PATH, text::absolute_path).or(default.path),
        max_size: section.size(&key::MAX_SIZE).unwrap_or(default.max_size),
        keep: section.count(&key::KEEP).unwrap_or(default.keep),
    }
}

#[cfg(test)]
mod tests;
