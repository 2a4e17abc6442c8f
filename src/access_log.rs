//! One record a request, written when its body ends.
