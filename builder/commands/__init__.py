"""The click shell: one file per command, which parses, calls one workflow and prints."""
