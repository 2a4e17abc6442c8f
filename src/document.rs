//! Documents: whatever is not named by a checksum. RFC 9111.
