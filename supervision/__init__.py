"""OTP on trio: actors, supervisors, registry, reports. Knows nothing of HTTP or of LLMs."""
