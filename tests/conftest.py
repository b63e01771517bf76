"""Settings that hold for every test."""

import os

from hypothesis import settings

# Examples may be slow on a busy machine without anything being wrong: no deadline. In CI the
# examples are the same in every run, so that a red run can be repeated; at a desk they vary.
settings.register_profile("standby", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("standby")
