"""`[indexes]` and `[channels]`: where packages come from."""

from __future__ import annotations

from typing import Final

from builder.manifest.shape import Schema

INDEX: Final[Schema] = {
    "type": "string",
    "title": "an http or https URL without user, password and query, or ./ and a folder of the project",
    "description": "The URL of a package index.",
    # Locks and logs never hold a credential, so none may come in here.
    "pattern": r"^(https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~%+/-]*)?|\./[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*)$",
    "examples": ["https://packages.example.com/cpu/simple", "./wheels"],
}
CHANNEL: Final[Schema] = {
    **INDEX,
    "description": "The URL of a conda channel.",
    "examples": ["https://packages.example.com/conda/team"],
}
