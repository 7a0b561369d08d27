"""The stacks manifest: `stacks.toml` read into frozen types."""
