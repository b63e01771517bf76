"""From a request to a provider: plans, breakers, retries, the attempt loop."""
