//! What all requests for documents share: the store, the newest manifests, policy, metrics.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use prometheus::{IntCounter, IntGauge};

use super::budget::Budget;
use super::disk::Desk;
use super::key::DocumentKey;
use super::partial::{NewPart, Partials};
use super::policy::Policy;
use super::refresh::Refreshed;
use super::storable::{Asked, NotStored};
use super::store::Store;
use super::stored::Stored;
use super::terms::Terms;
use super::watermark::Watermarks;
use crate::config::{self, DocumentRule};
use crate::metrics::DocumentMetrics;

/// One part in eight of the capacity remembers the newest manifests, which mostly share their bytes with the store.
const WATERMARK_SHARE: u64 = 8;

/// And one for the parts of documents that are not whole.
const PARTS_SHARE: u64 = 8;

/// Beside the store, half as much again may be held by bodies that are being read.
const READING_SHARE: u64 = 2;

/// Shared by all workers.
pub struct Shelf {
    /// The documents.
    pub store: Arc<Store>,
    /// Parts of documents.
    pub partials: Arc<Partials>,
    /// The newest manifests.
    pub watermarks: Arc<Watermarks>,
    /// Memory of bodies that are being read.
    pub budget: Budget,
    /// Bounds and times.
    pub policy: Policy,
    /// Larger bodies are passed through, in bytes.
    pub max_size: u64,
    /// Metrics.
    pub metrics: DocumentMetrics,
    rules: Box<[DocumentRule]>,
    results: [IntCounter; 5],
    reasons: [IntCounter; NotStored::ALL.len()],
}

impl Shelf {
    /// Empty. What changes is told to the desk, if there is one.
    pub fn new(
        memory: &config::Memory,
        rules: &[DocumentRule],
        policy: Policy,
        desk: Option<Arc<Desk>>,
        metrics: DocumentMetrics,
    ) -> Self {
        let capacity = memory.documents.bytes();
        let (marks, parts) = (capacity / WATERMARK_SHARE, capacity / PARTS_SHARE);
        let evictions = metrics.evictions.clone();
        let result = |label| metrics.refreshes.with_label_values(&[label]);
        Self {
            store: Arc::new(Store::new(capacity - marks - parts, desk.clone(), move || evictions.inc())),
            partials: Arc::new(Partials::new(parts)),
            watermarks: Arc::new(Watermarks::new(marks, policy.manifest_hold, desk)),
            budget: Budget::new(capacity / READING_SHARE),
            policy,
            rules: rules.into(),
            max_size: memory.max_document.bytes(),
            results: ["fetched", "validated", "flowing", "passed", "failed"].map(result),
            reasons: NotStored::ALL
                .map(|reason| metrics.not_stored.with_label_values(&[reason.reason().as_str()])),
            metrics,
        }
    }

    /// The same documents under other rules.
    pub fn under(&self, memory: &config::Memory, rules: &[DocumentRule]) -> Self {
        Self {
            store: Arc::clone(&self.store),
            partials: Arc::clone(&self.partials),
            watermarks: Arc::clone(&self.watermarks),
            budget: self.budget.clone(),
            policy: self.policy,
            rules: rules.into(),
            max_size: memory.max_document.bytes(),
            results: self.results.clone(),
            reasons: self.reasons.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// The times that hold for a document.
    pub fn terms(&self, key: &DocumentKey) -> Terms {
        Terms::of(key, &self.rules, &self.policy)
    }

    /// Stores a complete response; what is here of it in parts is needed no longer.
    pub fn keep(&self, key: &DocumentKey, request: &HeaderMap, stored: Arc<Stored>) {
        self.partials.forget(key);
        self.store.put(key, request, stored);
    }

    /// Stores a part of a response, or all of it, when that is what the parts come to.
    pub fn keep_part(
        &self,
        key: &DocumentKey,
        asked: Asked<'_>,
        part: NewPart,
        bytes: &Bytes,
        terms: &Terms,
    ) {
        let received = part.received();
        if let Some(whole) = self.partials.add(key, asked, part, bytes, terms)
            && whole.is_of_use(terms, received)
        {
            self.keep(key, asked.headers, Arc::new(whole));
        }
    }

    /// Forgets all that is stored of a document; whether there was anything.
    pub fn forget(&self, key: &DocumentKey) -> bool {
        // Both, whatever the first one says.
        self.partials.forget(key) | self.store.forget(key)
    }

    /// Counts the end of a refresh.
    pub fn count<B, E>(&self, refreshed: &Refreshed<B, E>) {
        let [fetched, validated, flowing, passed, failed] = &self.results;
        let (result, reason) = match refreshed {
            Refreshed::Document(document) if document.answered == http::StatusCode::NOT_MODIFIED => {
                (validated, document.kept.err())
            }
            Refreshed::Document(document) => (fetched, document.kept.err()),
            Refreshed::Slow(_) => (flowing, None),
            Refreshed::Passed { reason, .. } => (passed, Some(*reason)),
            Refreshed::Failed(_) => (failed, None),
        };
        result.inc();
        if let Some(reason) = reason {
            self.reasons[reason as usize].inc();
        }
        let bytes = self.store.weight() + self.partials.weight();
        self.metrics.stored_bytes.set(bytes.try_into().unwrap_or(i64::MAX));
        self.metrics.stored_urls.set(self.store.urls().try_into().unwrap_or(i64::MAX));
    }

    /// Counts a refresh as under way until the guard is dropped.
    pub fn refreshing(&self) -> Raised {
        Raised::new(&self.metrics.refreshing)
    }

    /// Counts a request as waiting until the guard is dropped.
    pub fn waiting(&self) -> Raised {
        Raised::new(&self.metrics.waiting)
    }
}

/// A gauge that is one higher while this lives.
pub struct Raised(IntGauge);

impl Raised {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}
