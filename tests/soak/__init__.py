"""Long runs: the real daemon under steady load while its parts are killed and providers fail."""
