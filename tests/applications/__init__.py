"""Programs that nobody here wrote, unchanged, each towards the API that it does not speak."""
