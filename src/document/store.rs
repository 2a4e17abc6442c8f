//! Documents in memory: several variants under one URL (RFC 9111 §4.1), bounded in bytes.
//!
//! moka (W-TinyLFU) weighs and evicts whole URLs; every change of one URL's variants is atomic. What changes is told to the
//! desk of the disk, if there is one, in the order in which it changes.

use std::sync::Arc;

use http::header::HeaderMap;
use moka::ops::compute::Op;
use moka::sync::Cache;

use super::disk::Desk;
use super::key::DocumentKey;
use super::stored::Stored;

/// Variants kept of one URL; beyond it the oldest goes. An origin that varies on `User-Agent` must not fill the store.
const MAX_VARIANTS: usize = 16;

/// The store.
pub struct Store {
    entries: Cache<DocumentKey, Arc<[Arc<Stored>]>>,
    desk: Option<Arc<Desk>>,
}

/// What became of a response that an earlier run had stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It is in the store.
    Entered,
    /// Its URL has changed since.
    Superseded,
    /// Its URL has as many variants as may be.
    NoRoom,
}

/// What there is for a request.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// A response that the request selects.
    Found(Arc<Stored>),
    /// Responses, but for other values of the fields they vary on.
    OtherVariants,
    /// None for this URL.
    Nothing,
}

impl Store {
    /// A store of at most `capacity` bytes, everything counted; `evicted` is called for each URL that had to go.
    pub fn new(capacity: u64, desk: Option<Arc<Desk>>, evicted: impl Fn() + Send + Sync + 'static) -> Self {
        let told = desk.clone();
        let entries = Cache::builder()
            .max_capacity(capacity)
            .weigher(|key: &DocumentKey, variants: &Arc<[Arc<Stored>]>| {
                let weight = key.weight() + variants.iter().map(|one| one.weight()).sum::<usize>();
                u32::try_from(weight).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |key, variants, cause| {
                if cause.was_evicted() {
                    evicted();
                    if let Some(desk) = &told {
                        desk.evicted(&key, &variants);
                    }
                }
            })
            .build();
        Self { entries, desk }
    }

    /// The most recent response, by its `Date`, among those that the request selects.
    pub fn find(&self, key: &DocumentKey, request: &HeaderMap) -> Lookup {
        let Some(variants) = self.entries.get(key) else { return Lookup::Nothing };
        let selected = variants.iter().filter(|one| one.selection().matches(request));
        match selected.max_by_key(|one| one.date()) {
            Some(found) => Lookup::Found(found.clone()),
            None => Lookup::OtherVariants,
        }
    }

    /// Stores the answer to `request` in place of all that this request would have selected.
    pub fn put(&self, key: &DocumentKey, request: &HeaderMap, stored: Arc<Stored>) {
        self.change(key, |variants| {
            variants.retain(|one| !one.selection().matches(request));
            variants.insert(0, stored);
            variants.truncate(MAX_VARIANTS);
        });
    }

    /// Puts back what an earlier run had stored, unless something has happened to its URL since the start.
    pub fn restore(&self, key: &DocumentKey, stored: Arc<Stored>) -> Restored {
        let mut restored = Restored::Superseded;
        self.edit(key, |variants| {
            if self.desk.as_ref().is_none_or(|desk| !desk.may_load(key)) {
                return;
            }
            restored = if variants.len() < MAX_VARIANTS { Restored::Entered } else { Restored::NoRoom };
            if restored == Restored::Entered {
                variants.push(stored);
            }
        });
        restored
    }

    /// Whether an earlier run may have stored more than can be found yet.
    pub fn is_loading(&self) -> bool {
        self.desk.as_ref().is_some_and(|desk| desk.is_loading())
    }

    /// Puts `new` where `old` is, if `old` is still there. For what need not outlive the process: the disk is not told.
    pub fn replace(&self, key: &DocumentKey, old: &Arc<Stored>, new: Arc<Stored>) {
        self.edit(key, |variants| {
            if let Some(place) = variants.iter_mut().find(|one| Arc::ptr_eq(one, old)) {
                *place = new;
            }
        });
    }

    /// Forgets what `request` would have selected.
    pub fn remove(&self, key: &DocumentKey, request: &HeaderMap) {
        self.change(key, |variants| variants.retain(|one| !one.selection().matches(request)));
    }

    /// Forgets all variants; whether there were any.
    pub fn forget(&self, key: &DocumentKey) -> bool {
        self.entries.remove(key).is_some()
    }

    /// Bytes held; may lag behind the last few changes.
    pub fn weight(&self) -> u64 {
        self.entries.weighted_size()
    }

    /// URLs held; may lag behind the last few changes.
    pub fn urls(&self) -> u64 {
        self.entries.entry_count()
    }

    /// Edits the variants of a URL, and tells the disk.
    fn change(&self, key: &DocumentKey, edit: impl FnOnce(&mut Vec<Arc<Stored>>)) {
        self.edit(key, |variants| match &self.desk {
            Some(desk) => {
                let before = variants.clone();
                edit(variants);
                desk.changed(key, &before, variants);
            }
            None => edit(variants),
        });
    }

    fn edit(&self, key: &DocumentKey, edit: impl FnOnce(&mut Vec<Arc<Stored>>)) {
        self.entries.entry_by_ref(key).and_compute_with(|entry| {
            let existed = entry.is_some();
            let mut variants = entry.map_or_else(Vec::new, |entry| entry.into_value().to_vec());
            edit(&mut variants);
            match (variants.is_empty(), existed) {
                (false, _) => Op::Put(variants.into()),
                (true, true) => Op::Remove,
                (true, false) => Op::Nop,
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, UNIX_EPOCH};

    use bytes::Bytes;
    use http::StatusCode;
    use http::header::HeaderName;

    use super::super::freshness::Exchange;
    use super::super::terms::Terms;
    use super::super::vary::Selection;
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let parse = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
        };
        fields.iter().map(parse).collect()
    }

    fn stored(body: &str, vary: &str, request: &HeaderMap, second: u64) -> Arc<Stored> {
        let received = UNIX_EPOCH + Duration::from_secs(1_000_000_000 + second);
        let response = map(&[("vary", vary)]);
        let selection = Selection::of(&response, request).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        Arc::new(Stored::new(
            StatusCode::OK,
            response,
            body,
            selection,
            &Terms::default(),
            Exchange { requested: received, received },
        ))
    }

    fn found(store: &Store, key: &DocumentKey, request: &[(&str, &str)]) -> Result<String, &'static str> {
        match store.find(key, &map(request)) {
            Lookup::Found(stored) => Ok(String::from_utf8_lossy(stored.body()).into_owned()),
            Lookup::OtherVariants => Err("other variants"),
            Lookup::Nothing => Err("nothing"),
        }
    }

    #[test]
    fn variants() {
        let store = Store::new(1 << 20, None, || {});
        let key = DocumentKey::new("a", "/x");
        assert_eq!(found(&store, &key, &[]), Err("nothing"));
        for (value, second) in [("1", 1), ("2", 2)] {
            let request = map(&[("f", value)]);
            store.put(&key, &request, stored(value, "f", &request, second));
        }
        assert_eq!(found(&store, &key, &[("f", "1")]).as_deref(), Ok("1"));
        assert_eq!(found(&store, &key, &[("f", "2")]).as_deref(), Ok("2"));
        assert_eq!(found(&store, &key, &[("f", "3")]), Err("other variants"));
        assert_eq!(found(&store, &DocumentKey::new("a", "/x?"), &[("f", "1")]), Err("nothing"));

        // Two that match: the later Date wins, whatever the order of arrival.
        let request = map(&[("f", "1"), ("g", "1")]);
        let older = stored("older", "g", &map(&[("g", "1")]), 0);
        store.change(&key, |variants| variants.insert(0, older));
        assert_eq!(found(&store, &key, &[("f", "1"), ("g", "1")]).as_deref(), Ok("1"));
        store.put(&key, &request, stored("new", "g", &request, 3));
        assert_eq!(found(&store, &key, &[("f", "1"), ("g", "1")]).as_deref(), Ok("new"));
        assert_eq!(found(&store, &key, &[("f", "1")]), Err("other variants"));
        assert_eq!(found(&store, &key, &[("f", "2")]).as_deref(), Ok("2"));
        store.remove(&key, &map(&[("f", "2"), ("g", "1")]));
        assert_eq!(found(&store, &key, &[]), Err("nothing"));
    }

    #[test]
    fn replacing_needs_the_old_one() {
        let store = Store::new(1 << 20, None, || {});
        let (key, none) = (DocumentKey::new("a", "/x"), HeaderMap::new());
        let (first, second) = (stored("1", "", &none, 1), stored("2", "", &none, 2));
        store.replace(&key, &first, second.clone());
        assert_eq!(found(&store, &key, &[]), Err("nothing"));
        store.put(&key, &none, first.clone());
        store.replace(&key, &second, second.clone());
        assert_eq!(found(&store, &key, &[]).as_deref(), Ok("1"));
        store.replace(&key, &first, second);
        assert_eq!(found(&store, &key, &[]).as_deref(), Ok("2"));
    }

    #[test]
    fn bounds() {
        let evicted = Arc::new(AtomicU64::new(0));
        let count = evicted.clone();
        let store = Store::new(64 << 10, None, move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let key = DocumentKey::new("a", "/x");
        for n in 0..40 {
            let request = map(&[("f", &n.to_string())]);
            store.put(&key, &request, stored("body", "f", &request, n));
        }
        assert_eq!(store.entries.get(&key).unwrap().len(), MAX_VARIANTS);
        assert_eq!(found(&store, &key, &[("f", "39")]).as_deref(), Ok("body"));
        assert_eq!(found(&store, &key, &[("f", "1")]), Err("other variants"));

        let none = HeaderMap::new();
        for n in 0..100 {
            store.put(
                &DocumentKey::new("a", &format!("/{n}")),
                &none,
                stored(&"x".repeat(4096), "", &none, n),
            );
        }
        store.entries.run_pending_tasks();
        assert!(store.weight() <= 64 << 10 && store.urls() > 0);
        assert!(evicted.load(Ordering::Relaxed) > 0);
    }
}
