//! The admin port: metrics, health, status.
