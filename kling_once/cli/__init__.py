"""The command line: `kling-once`."""
