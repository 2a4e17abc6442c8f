//! Who may ask, for what, and whither.
