"""HTTP caching and message handling, asked of several caches in the same words. See ../README.md."""
