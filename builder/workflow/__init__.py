"""The library's face: one file per verb. Each takes a `Project` and returns data; nothing here prints."""
