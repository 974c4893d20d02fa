"""Guards around calls to upstreams: cache, breaker, limiter, retry; no I/O of their own."""
