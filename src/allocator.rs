//! What the allocator keeps. It gives unused pages back to the system while the thread that had them goes on freeing others: not
//! when a crowd has gone.

/// Has the allocator give back what this thread no longer uses. Takes time in proportion to what the thread does use: some
/// 10 us for 64 MiB.
pub fn give_back() {
    // SAFETY: any thread may call it at any time; it looks at nothing but the allocator's own books.
    #[allow(unsafe_code, reason = "see above")]
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}
