"""stackbuild: reproducible, lockfile-driven builds of notebook image families."""

__version__ = "0.1.0"
