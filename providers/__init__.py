"""What speaks to an upstream: the provider interface, one module per API, HTTP, wire formats."""
