//! What the allocator keeps. It gives unused pages back to the system while the thread that had them goes on freeing others: not
//! when a crowd has gone, nor when another thread has freed them.

use std::sync::atomic::{AtomicU64, Ordering};

static ASKED: AtomicU64 = AtomicU64::new(0);

/// Asks every worker to give back, soon.
pub fn ask() {
    ASKED.fetch_add(1, Ordering::Relaxed);
}

/// How often that was asked.
pub fn asked() -> u64 {
    ASKED.load(Ordering::Relaxed)
}

/// Has the allocator give back what this thread no longer uses, and what ended threads left. Looks at each page of the thread's:
/// some 40 ns for every 64 to 512 KiB, more where they have left the processor's caches.
pub fn give_back() {
    // SAFETY: any thread may call it at any time; it looks at nothing but the allocator's own books.
    #[allow(unsafe_code, reason = "see above")]
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}
