//! The disk tier: segments, index, replacement, recovery.
