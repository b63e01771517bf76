"""The daemon: application tree, doors, routing, telemetry, configuration, command line."""
