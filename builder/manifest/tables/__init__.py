"""The tables of `stacks.toml`, one file for each: `schema.py` puts them together."""
