"""The manifest reference for people, `docs/manifest.md`, written from the declaration that also validates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from builder.manifest.schema import declaration
from builder.manifest.shape import Schema, show

_HEAD: Final = """\
# stacks.toml

<!-- Written by scripts/docs from the declaration that also validates the manifest; edit that. -->

One file describes every image. Everything in it is checked before anything is fetched, and all that is wrong
is reported at once. Its first line makes editors that know JSON Schema complete and check it as you type:

    #:schema ./docs/stacks.schema.json

A *name* that you choose (of an image, a set, a layout …) consists of lower-case letters, digits and single
dashes.

## The order inside an image

It is fixed, wherever the keys stand in the file: what `from` gives, then **account, apt, conda, pip, npm, fetch,
kernelspec, overlays, run**. First the user and home that the layout asks for, then packages from the system's to the
language's, then your own files, which may replace what packages brought, and your own scripts.

## What comes from where

- An image has everything of its parent (`from`). Its locks hold only what it adds.
- Requests are gathered from the sets in `use`, in that order, then from the image itself, each first in
  general and then by its `on`. A later request replaces an earlier one of its name, so a set's pin can be
  moved for one image.
- `on` takes a variant, a platform, or both: `on.cuda`, `on."@linux/arm64"`, `on."cpu@linux/arm64"`, applied in
  this order. In a root it may have another `from`, so that a variant stands on another suite or archive.
- A child takes its parent's same variant, else the plain one. What differs in nothing is built once.
- Environment variables are inherited; a set's come below the image's own. NB_USER, NB_UID, NB_GID and HOME follow
  from the layout, HOME_TMP from its home-template, so `env` may not set them. The `bin` folder of `python.prefix` is
  the first in PATH.
- `same-as` takes every key of another image that is not given here, and of `env`, `labels` and `on` every
  entry. Under another layout, the sibling has the same pins and the same package layers, because packages
  never belong to a layout's user:

      [images.jupyter-openshift]
      same-as = "jupyter"
      layout = "openshift"
"""


def reference() -> str:
    """The text of `docs/manifest.md`."""
    parts = [_HEAD]
    for name, schema in declaration()["properties"].items():
        title = f"[{name}]" if "properties" in schema else f"[{name}.NAME]"
        inner = schema if "properties" in schema else schema["additionalProperties"]
        assert isinstance(inner, dict)
        if inner["type"] == "object":
            parts.append(f"## {title}\n\n{inner['description']}\n\n" + "\n".join(_rows(inner)) + "\n")
        else:
            example = f"`NAME = {_toml(inner['examples'][0])}`"
            parts.append(f"## [{name}]\n\n{schema['description']} Each is {inner['title']}: {example}.\n")
    return "\n".join(parts)


def _rows(schema: Schema, prefix: str = "") -> Iterator[str]:
    if not prefix:
        yield "| key | value | default | meaning |"
        yield "|---|---|---|---|"
    for key, one in schema["properties"].items():
        name = prefix + key
        required = key in schema.get("required", ())
        default = "**required**" if required else f"`{_toml(one['default'])}`" if "default" in one else ""
        yield f"| `{name}` | {_value(one)} | {default} | {_meaning(one)} |"
        if "properties" in one:
            yield from _rows(one, f"{name}.")


def _toml(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return show(value)


def _value(schema: Schema) -> str:
    """What the value is, in words."""
    if "not" in schema:
        return "—"
    if "anyOf" in schema:
        return " or ".join(_value(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{show(one)}`" for one in schema["enum"])
    if "x-names" in schema:
        return f"a name from `[{schema['x-names']}]`"
    match schema["type"]:
        case "array":
            return f"list of: {_value(schema['items'])}"
        case "integer":
            return f"{schema['minimum']} to {schema['maximum']}"
        case "boolean":
            return "`true` or `false`"
        case "object":
            keys = ", ".join(f"`{key}`" for key in schema.get("properties", {}))
            return f"table of {keys}" if keys else "table"
        case _:
            return schema.get("title", "text")


def _meaning(schema: Schema) -> str:
    example = _example(schema)
    return schema["description"] + (f" Such as `{example}`." if example else "")


def _example(schema: Schema) -> str:
    if "examples" in schema:
        first = schema["examples"][0]
        return str(first) if schema.get("format") == "date-time" else _toml(first)
    if "items" in schema and (inner := schema["items"].get("examples")):
        return _toml(inner)
    return ""
