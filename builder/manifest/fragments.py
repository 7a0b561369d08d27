"""Pieces of schema that declarations share, so that one word means one thing in the whole manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.manifest.shape import Schema

NAME: Final[Schema] = {
    "type": "string",
    "title": "lower-case letters, digits and single dashes between them, at most 63",
    # As a DNS label (RFC 1123, 2.1), for names become parts of tags, folders and host names.
    "pattern": r"^(?=.{1,63}$)[a-z0-9]+(-[a-z0-9]+)*$",
    "examples": ["jupyter-scipy"],
}
ABSOLUTE: Final[Schema] = {
    "type": "string",
    "title": "an absolute path without `.`, `..`, blanks and a slash at its end",
    # Blanks and colons would break shebang lines and passwd(5).
    "pattern": r"^(/(?!\.\.?(/|$))[A-Za-z0-9._+@-]+)+$",
    "examples": ["/home/jovyan"],
}
RELATIVE: Final[Schema] = {
    "type": "string",
    "title": "a path that is not absolute and does not leave its folder through `..`",
    "pattern": r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$",
    "examples": ["jupyter"],
}
TEXT: Final[Schema] = {
    "type": "string",
    "title": "text without a NUL character",
    "pattern": r"^[^\u0000]*$",
}
ID: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 65534}
PLATFORMS: Final[Schema] = {
    "type": "array",
    "minItems": 1,
    "uniqueItems": True,
    "items": {"type": "string", "enum": ["linux/amd64", "linux/arm64"]},
}

CONTRACT: Final[Schema] = {**NAME, "title": "the name of a contract", "examples": ["kubeflow"]}


def listed(item: Schema, description: str, *, unique: bool = True) -> Schema:
    """A list of such items."""
    return {"type": "array", "description": description, "uniqueItems": unique, "items": item}


def requests(item: Schema, description: str) -> Schema:
    """A list of requests, each about another name."""
    return {**listed(item, description), "x-requests": True}


def table(description: str, properties: Mapping[str, Schema], *required: str) -> Schema:
    """A table with these keys and no others."""
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def named(description: str, value: Schema, names: Schema = NAME) -> Schema:
    """A table whose keys are names that the user chooses."""
    return {
        "type": "object",
        "description": description,
        "propertyNames": names,
        "additionalProperties": value,
    }


ENV: Final = named(
    "Environment variables of the image and its children.",
    TEXT,
    {
        "type": "string",
        "title": "the name of an environment variable",
        "pattern": r"^[A-Za-z_][A-Za-z0-9_]*$",
        "examples": ["NB_PREFIX"],
    },
)
