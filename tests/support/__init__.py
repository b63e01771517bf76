"""What the integration tests share: the daemon as a process, upstreams, clients, waiting."""
