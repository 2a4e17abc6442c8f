//! Mirrors and parents: choice, connections, time.
