//! A configuration as a commented file that reads back to the same configuration.
//!
//! The comments are those of `keys.rs`. Durations are written in whole milliseconds, paths as UTF-8: what came from a
//! file always survives.

use std::fmt::{self, Display, Write};
use std::path::Path;

use super::keys::{self, Absent, Key, Shape, Table};
use super::quantity::{exact_duration, exact_size};
use super::{Config, Loaded, Origins};

/// Width at which comments are wrapped, in characters.
const WIDTH: usize = 100;

impl Display for Config {
    /// The whole configuration as TOML, every key with its meaning and range.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        all(self, &mut Printer { out: f, origins: None, index: 0 })
    }
}

impl Display for Loaded {
    /// The same, and behind each value where it came from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        all(&self.config, &mut Printer { out: f, origins: Some(&self.origins), index: 0 })
    }
}

fn all(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    listen(config, p)?;
    admin(config, p)?;
    access(config, p)?;
    memory(config, p)?;
    disk(config, p)?;
    quotas(config, p)?;
    objects(config, p)?;
    documents(config, p)?;
    mirrors(config, p)?;
    registries(config, p)?;
    parents(config, p)?;
    upstream(config, p)?;
    warm(config, p)?;
    log(config, p)
}

fn listen(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::listen as key;
    let listen = &config.listen;
    p.table(&key::TABLE)?;
    p.key(&key::PROXY, list(&listen.proxy))?;
    p.key(&key::ADMIN, listen.admin.map_or_else(|| quoted("off"), quoted))?;
    p.key(&key::TLS, list(&listen.tls))?;
    match &listen.identity {
        Some(identity) => {
            p.key(&key::TLS_CERTIFICATE, path(&identity.certificate))?;
            p.key(&key::TLS_KEY, path(&identity.key))?;
        }
        None => {
            p.no_key(&key::TLS_CERTIFICATE)?;
            p.no_key(&key::TLS_KEY)?;
        }
    }
    p.key(&key::NAME, quoted(&listen.name))?;
    p.key(&key::WORKERS, listen.workers)?;
    p.key(&key::MAX_CONNECTIONS, listen.max_connections)?;
    p.key(&key::MAX_CLIENT_CONNECTIONS, listen.max_client_connections)?;
    p.key(&key::MAX_REQUESTS, listen.max_requests)?;
    p.key(&key::HEAD_TIMEOUT, quoted(exact_duration(listen.head_timeout)))?;
    p.key(&key::IDLE_TIMEOUT, quoted(exact_duration(listen.idle_timeout)))?;
    p.key(&key::MAX_HEAD, quoted(exact_size(listen.max_head)))?;
    p.key(&key::MAX_TARGET, quoted(exact_size(listen.max_target)))?;
    p.key(&key::MAX_CONTENT, quoted(exact_size(listen.max_content)))?;
    p.key(&key::DRAIN_TIMEOUT, quoted(exact_duration(listen.drain_timeout)))?;
    p.key(&key::MAX_TUNNELS, listen.max_tunnels)?;
    p.key(&key::MAX_CLIENT_TUNNELS, listen.max_client_tunnels)
}

fn admin(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::admin as key;
    p.table(&key::TABLE)?;
    p.key(&key::TLS, config.admin.tls)?;
    match &config.admin.token_file {
        Some(file) => p.key(&key::TOKEN_FILE, path(file))?,
        None => p.no_key(&key::TOKEN_FILE)?,
    }
    p.key(&key::SNMP, config.admin.snmp.map_or_else(|| quoted("off"), quoted))?;
    p.key(&key::SNMP_COMMUNITY, quoted(&config.admin.snmp_community))
}

fn access(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::access as key;
    let access = &config.access;
    p.table(&key::TABLE)?;
    p.key(&key::CLIENTS, list(&access.clients))?;
    p.key(&key::TARGETS, list(access.targets.iter().map(|target| target.as_str())))?;
    p.key(&key::HOSTS, list(access.hosts.iter().map(|host| host.as_str())))?;
    p.key(&key::PORTS, list(&access.ports))?;
    p.key(&key::INTERNAL_HOSTS, list(access.internal_hosts.iter().map(|host| host.as_str())))?;
    p.key(&key::METHODS, list(access.methods.iter().map(|method| method.as_str())))?;
    p.key(&key::CONNECT, list(&access.connect))
}

fn memory(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::memory as key;
    p.table(&key::TABLE)?;
    p.key(&key::CAPACITY, quoted(exact_size(config.memory.capacity)))?;
    p.key(&key::MAX_OBJECT, quoted(exact_size(config.memory.max_object)))?;
    p.key(&key::DOCUMENTS, quoted(exact_size(config.memory.documents)))?;
    p.key(&key::MAX_DOCUMENT, quoted(exact_size(config.memory.max_document)))
}

fn disk(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::disk as key;
    let Some(disk) = &config.disk else {
        return p.no_table(&key::TABLE);
    };
    p.table(&key::TABLE)?;
    p.key(&key::PATH, path(&disk.path))?;
    p.key(&key::CAPACITY, quoted(exact_size(disk.capacity)))?;
    p.key(&key::DOCUMENTS, quoted(exact_size(disk.documents)))?;
    p.key(&key::FREE_RESERVE, quoted(exact_size(disk.free_reserve)))?;
    p.key(&key::SEGMENT, quoted(exact_size(disk.segment)))?;
    p.key(&key::MAX_OBJECT, quoted(exact_size(disk.max_object)))?;
    p.key(&key::SCRUB_RATE, quoted(exact_size(disk.scrub_rate)))?;
    p.key(&key::IO_THREADS, disk.io_threads)
}

fn quotas(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::quotas as key;
    let quotas = config.disk.as_ref().map_or(&[][..], |disk| &disk.quotas);
    if quotas.is_empty() {
        p.no_table(&key::TABLE)?;
    }
    for quota in quotas {
        p.table(&key::TABLE)?;
        p.key(&key::REPOSITORY, quoted(quota.repository.as_str()))?;
        p.key(&key::FLOOR, quoted(exact_size(quota.floor)))?;
        match quota.ceiling {
            Some(ceiling) => p.key(&key::CEILING, quoted(exact_size(ceiling)))?,
            None => p.no_key(&key::CEILING)?,
        }
        p.key(&key::PIN, quota.pin)?;
    }
    Ok(())
}

fn objects(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::objects as key;
    let objects = &config.objects;
    p.table(&key::TABLE)?;
    p.key(&key::VERIFY_FIRST, quoted(exact_size(objects.verify_first)))?;
    p.key(&key::VERIFY_FIRST_PATIENCE, quoted(exact_duration(objects.verify_first_patience)))?;
    p.key(&key::WINDOW, quoted(exact_size(objects.window)))?;
    p.key(&key::FILL_MEMORY, quoted(exact_size(objects.fill_memory)))?;
    p.key(&key::FINISH_ABANDONED, quoted(exact_size(objects.finish_abandoned)))?;
    p.key(&key::MAX_FILLS, objects.max_fills)?;
    p.key(&key::MAX_CLIENT_FILLS, objects.max_client_fills)
}

fn documents(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::documents as key;
    if config.documents.is_empty() {
        p.no_table(&key::TABLE)?;
    }
    for (index, rule) in config.documents.iter().enumerate() {
        p.index = index;
        p.table(&key::TABLE)?;
        p.key(&key::MATCH, quoted(&rule.pattern))?;
        let times = [
            (&key::TTL, rule.ttl),
            (&key::NEGATIVE_TTL, rule.negative_ttl),
            (&key::STALE_IF_ERROR, rule.stale_if_error),
            (&key::STALE_WHILE_REVALIDATE, rule.stale_while_revalidate),
        ];
        for (key, time) in times {
            match time {
                Some(time) => p.key(key, quoted(exact_duration(time)))?,
                None => p.no_key(key)?,
            }
        }
    }
    Ok(())
}

fn mirrors(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::mirrors as key;
    if config.mirrors.is_empty() {
        p.no_table(&key::TABLE)?;
    }
    for (index, group) in config.mirrors.iter().enumerate() {
        p.index = index;
        p.table(&key::TABLE)?;
        p.key(&key::NAME, quoted(&group.name))?;
        p.key(&key::URLS, list(&group.urls))?;
        p.key(&key::SERVES, list(group.serves.iter().map(|glob| glob.as_str())))?;
    }
    Ok(())
}

fn registries(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::registries as key;
    if config.registries.is_empty() {
        p.no_table(&key::TABLE)?;
    }
    for (index, registry) in config.registries.iter().enumerate() {
        p.index = index;
        p.table(&key::TABLE)?;
        p.key(&key::NAME, quoted(&registry.name))?;
        p.key(&key::URL, quoted(&registry.url))?;
        p.key(&key::HOSTS, list(registry.hosts.iter().map(|glob| glob.as_str())))?;
        p.key(&key::ANONYMOUS, registry.anonymous)?;
    }
    Ok(())
}

fn parents(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::parents as key;
    if config.parents.is_empty() {
        p.no_table(&key::TABLE)?;
    }
    for (index, parent) in config.parents.iter().enumerate() {
        p.index = index;
        p.table(&key::TABLE)?;
        p.key(&key::URL, quoted(&parent.url))?;
        match &parent.login {
            Some(login) => {
                p.key(&key::USER, quoted(&login.user))?;
                p.key(&key::PASSWORD_FILE, path(&login.password_file))?;
            }
            None => {
                p.no_key(&key::USER)?;
                p.no_key(&key::PASSWORD_FILE)?;
            }
        }
    }
    Ok(())
}

fn upstream(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::upstream as key;
    let upstream = &config.upstream;
    p.index = 0;
    p.table(&key::TABLE)?;
    p.key(&key::CONNECT_TIMEOUT, quoted(exact_duration(upstream.connect_timeout)))?;
    p.key(&key::FIRST_BYTE_TIMEOUT, quoted(exact_duration(upstream.first_byte_timeout)))?;
    p.key(&key::HEAD_DEADLINE, quoted(exact_duration(upstream.head_deadline)))?;
    p.key(&key::STALL_TIMEOUT, quoted(exact_duration(upstream.stall_timeout)))?;
    p.key(&key::MIN_RATE, quoted(exact_size(upstream.min_rate)))?;
    p.key(&key::HEDGE_PERCENT, upstream.hedge_percent)?;
    p.key(&key::ABSENT_FOR, quoted(exact_duration(upstream.absent_for)))?;
    p.key(&key::MAX_BODY, quoted(exact_size(upstream.max_body)))?;
    p.key(&key::REDIRECTS, upstream.redirects)?;
    p.key(&key::MAX_CONNECTIONS, upstream.max_connections)?;
    p.key(&key::MAX_WAITING, upstream.max_waiting)?;
    p.key(&key::IDLE_CONNECTIONS, upstream.idle_connections)?;
    p.key(&key::IDLE_TIMEOUT, quoted(exact_duration(upstream.idle_timeout)))?;
    p.key(&key::PARENTS_CHOICE, quoted(upstream.parents_choice.as_str()))?;
    p.key(&key::DIRECT, upstream.direct)?;
    p.key(&key::CA_FILES, list(upstream.ca_files.iter().map(|file| file.display())))
}

fn warm(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::warm as key;
    if config.warm.is_empty() {
        p.no_table(&key::TABLE)?;
    }
    for (index, warm) in config.warm.iter().enumerate() {
        p.index = index;
        p.table(&key::TABLE)?;
        p.key(&key::REPOSITORY, quoted(&warm.repository))?;
        p.key(&key::PATHS, list(&warm.paths))?;
        p.key(&key::ON_REVISION, quoted(warm.on_revision.as_str()))?;
        p.key(&key::RATE, quoted(exact_size(warm.rate)))?;
        p.key(&key::INTERVAL, quoted(exact_duration(warm.interval)))?;
        p.key(&key::SPREAD, quoted(exact_duration(warm.spread)))?;
        match &warm.key {
            Some(file) => p.key(&key::KEY, path(file))?,
            None => p.no_key(&key::KEY)?,
        }
    }
    p.index = 0;
    Ok(())
}

fn log(config: &Config, p: &mut Printer<'_, '_>) -> fmt::Result {
    use keys::log as key;
    let log = &config.log;
    p.table(&key::TABLE)?;
    p.key(&key::ACCESS, quoted(log.access.as_str()))?;
    match &log.path {
        Some(file) => p.key(&key::PATH, path(file))?,
        None => p.no_key(&key::PATH)?,
    }
    p.key(&key::MAX_SIZE, quoted(exact_size(log.max_size)))?;
    p.key(&key::KEEP, log.keep)
}

struct Printer<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    origins: Option<&'a Origins>,
    /// Which of several `[[tables]]`, from 0.
    index: usize,
}

impl Printer<'_, '_> {
    fn table(&mut self, table: &Table) -> fmt::Result {
        writeln!(self.out, "\n# {}", sentence(table.meaning))?;
        writeln!(self.out, "{table}")
    }

    fn no_table(&mut self, table: &Table) -> fmt::Result {
        writeln!(self.out, "\n# {}\n# No {table}.", sentence(table.meaning))
    }

    fn key(&mut self, key: &Key, value: impl Display) -> fmt::Result {
        self.comment(key)?;
        match self.origins {
            Some(origins) => writeln!(self.out, "{} = {value} # {}", key.name, origins.of(key, self.index)),
            None => writeln!(self.out, "{} = {value}", key.name),
        }
    }

    fn no_key(&mut self, key: &Key) -> fmt::Result {
        self.comment(key)?;
        writeln!(self.out, "# {} is not set.", key.name)
    }

    fn comment(&mut self, key: &Key) -> fmt::Result {
        let absent = match key.absent {
            Absent::Value(value) => format!(" Default: {value}."),
            Absent::Words(words) => format!(" Default: {words}."),
            Absent::Required if key.shape == Shape::Many => String::new(),
            Absent::Required => " No default.".to_owned(),
        };
        let text = format!("{} {}{absent}", sentence(key.meaning), sentence(&key.accepts.to_string()));
        let mut column = 0;
        for word in text.split_whitespace() {
            if column == 0 || column + 1 + word.chars().count() > WIDTH {
                self.out.write_str(if column == 0 { "#" } else { "\n#" })?;
                column = 1;
            }
            write!(self.out, " {word}")?;
            column += 1 + word.chars().count();
        }
        self.out.write_char('\n')
    }
}

/// With a capital at the start and a full stop at the end.
fn sentence(phrase: &str) -> String {
    let mut chars = phrase.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    format!("{}{}.", first.into_iter().collect::<String>(), chars.as_str())
}

fn path(path: &Path) -> String {
    quoted(path.display())
}

fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<_> = items.into_iter().map(quoted).collect();
    format!("[{}]", items.join(", "))
}

/// A TOML basic string.
pub(super) fn quoted(value: impl Display) -> String {
    let mut text = String::from("\"");
    for c in value.to_string().chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            // Control characters must be escaped; `{:04X}` holds them all.
            c if c.is_control() => text.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests;
