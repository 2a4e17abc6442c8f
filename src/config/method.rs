//! Methods that a configuration may let through.

/// A method in `[access] methods`: one that may change what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMethod {
    /// `"POST"`
    Post,
    /// `"PUT"`
    Put,
    /// `"PATCH"`
    Patch,
    /// `"DELETE"`
    Delete,
}

impl WriteMethod {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// As written in the file, and in requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}
