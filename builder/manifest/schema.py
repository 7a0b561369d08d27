"""What may stand in `stacks.toml`: one declaration that both validates it and completes it in an editor.

The tables are declared here, an image's ecosystem keys by their kinds (`builder.kinds`).
"""

from __future__ import annotations

import json
from typing import Final, cast

from builder import compression, kinds
from builder.digest import Json
from builder.manifest.fragments import ABSOLUTE, ID, NAME, PLATFORMS, RELATIVE, TEXT, listed, named, table
from builder.manifest.retention import RETENTION
from builder.manifest.shape import Schema

_CONTRACT: Final[Schema] = {**NAME, "title": "the name of a contract", "examples": ["kubeflow"]}

_PAGE: Final[Schema] = {
    "type": "string",
    "title": "an http or https URL without user and password",
    # Images are public, so no credential may come in here.
    "pattern": r"^https?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?$",
    "examples": ["https://git.example.com/notebooks"],
}

_PROJECT: Final = table(
    "What holds for every image.",
    {
        "name": {**NAME, "description": "The project's name.", "examples": ["notebooks"]},
        "platforms": {**PLATFORMS, "description": "What images are built for, in this order."},
        "repository": {
            "type": "string",
            "description": "Where images are pushed to.",
            "default": "{image}",
            "title": "an image repository with {image} in it, without a tag",
            "pattern": r"^([a-z0-9.-]+(:[0-9]+)?/)?([a-z0-9._-]+/)*[a-z0-9._-]*\{image\}[a-z0-9._-]*$",
            "examples": ["registry.example.com/notebook-servers/{image}"],
        },
        "version": {
            "type": "string",
            "description": "The family's own version, for tags.",
            "title": "a version",
            "pattern": r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$",
            "examples": ["2026.11"],
        },
        "tags": listed(
            {
                "type": "string",
                "title": "a tag, perhaps with {version}, {time}, {revision} or {key} in it",
                "pattern": r"^([A-Za-z0-9_.-]|\{(version|time|revision|key)\})+$",
                "examples": ["{version}", "{time}-{revision}"],
            },
            "Tags that images are pushed under: {version} as above; {time} and {revision} of the commit, so that tags "
            'sort by age; {key} of what is pushed, which another content changes. ["{key}"] by default.',
        ),
        "plain-http": listed(
            {
                "type": "string",
                "title": "a registry's host, perhaps with a port",
                "pattern": r"^[A-Za-z0-9.-]+(:[0-9]+)?$",
                "examples": ["registry.local:5000"],
            },
            "Registries that are pushed to without TLS; those on this machine are anyway.",
        ),
        "exclude-newer": {
            "type": "string",
            "format": "date-time",
            "description": "One cutoff for every ecosystem: nothing published after it is locked.",
            "title": "a date and time in UTC, without quotes",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|z|\+00:00)$",
            "examples": ["2026-11-01T00:00:00Z"],
        },
        "exempt": listed(
            {
                "type": "string",
                "title": "a package's name",
                "pattern": r"^[A-Za-z0-9][A-Za-z0-9._+-]*$",
                "examples": ["urllib3"],
            },
            "Packages that may be newer than exclude-newer, such as a security fix.",
        ),
        "resolver": {
            "type": "string",
            "description": "Who resolves pip's requests; pip-tools can do so for the running Python only.",
            "enum": ["uv", "pip-tools"],
            "default": "uv",
        },
        "source": {**_PAGE, "description": "Where the images' source is, for bots and people who read images."},
        "documentation": {**_PAGE, "description": "Where to read about the images."},
        "vendor": {**TEXT, "description": "Who distributes the images.", "title": "a name"},
        "licenses": {
            **TEXT,
            "description": "What the images are licensed under.",
            "title": "an SPDX license expression",
            "examples": ["BSD-3-Clause AND GPL-2.0-or-later"],
        },
        "compression": {
            "type": "string",
            "description": "How layers are compressed: docs/layers.md says when to choose which. Another one "
            "builds every layer anew.",
            "enum": list(compression.names()),
            "default": compression.DEFAULT,
        },
    },
    "name",
    "platforms",
)

_ARCHIVE: Final = table(
    "A Debian archive.",
    {
        "suites": {
            **listed(
                {
                    "type": "string",
                    "title": "a suite of the archive",
                    "pattern": r"^[a-z0-9][a-z0-9.+-]*(/[a-z0-9][a-z0-9.+-]*)*$",
                    "examples": ["bookworm", "bookworm-security"],
                },
                "Suites to take packages from.",
            ),
            "minItems": 1,
        },
        "components": {
            **listed(
                {
                    "type": "string",
                    "title": "a component of the archive",
                    "pattern": r"^[a-z0-9][a-z0-9-]*$",
                    "examples": ["main", "non-free-firmware"],
                },
                "Components to take packages from.",
            ),
            "minItems": 1,
            "default": ["main"],
        },
        "keyring": {
            **RELATIVE,
            "description": "Keys that sign the archive: one of stackbuild's, or a file of the project.",
            "examples": ["debian", "keys/team.gpg"],
            "default": "debian",
        },
    },
    "suites",
)

_LAYOUT: Final = table(
    "Who owns what in a family of images; NB_USER, NB_UID, NB_GID and HOME follow from it.",
    {
        "user": {
            "type": "string",
            "description": "Name of the user that the image runs as.",
            "title": "a user's name: lower-case letters, digits, dashes, at most 32",
            "pattern": r"^[a-z_][a-z0-9_-]{0,31}$",
            "examples": ["jovyan"],
        },
        "uid": {**ID, "description": "Number of the user."},
        "gid": {**ID, "description": "Number of the user's primary group."},
        "groups": listed(ID, "Numbers of the user's other groups."),
        "home": {**ABSOLUTE, "description": "The user's home."},
        "home-template": {
            **ABSOLUTE,
            "description": "A copy of the home, from which a first start fills an empty volume (HOME_TMP).",
            "examples": ["/tmp_home/jovyan"],
        },
        "check": listed(_CONTRACT, "Contracts that images of this layout keep."),
    },
    "user",
    "uid",
    "gid",
    "home",
)

_INDEX: Final[Schema] = {
    "type": "string",
    "title": "an http or https URL without user, password and query, or ./ and a folder of the project",
    "description": "The URL of a package index.",
    # Locks and logs never hold a credential, so none may come in here.
    "pattern": r"^(https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~%+/-]*)?|\./[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*)$",
    "examples": ["https://packages.example.com/cpu/simple", "./wheels"],
}
_CHANNEL: Final[Schema] = {
    **_INDEX,
    "description": "The URL of a conda channel.",
    "examples": ["https://packages.example.com/conda/team"],
}

_ENV: Final = named(
    "Environment variables of the image and its children.",
    TEXT,
    {
        "type": "string",
        "title": "the name of an environment variable",
        "pattern": r"^[A-Za-z_][A-Za-z0-9_]*$",
        "examples": ["NB_PREFIX"],
    },
)
_VARIANT: Final = table(
    "A way of building the same image for other hardware.",
    {
        "platforms": {
            **PLATFORMS,
            "description": "The only platforms that have it; all of them where not given.",
        },
        "virtual": listed(
            {
                "type": "string",
                "title": "a virtual package as conda names them",
                "pattern": r"^__[a-z0-9_]+(==[A-Za-z0-9.]+)?$",
                "examples": ["__cuda==13.0"],
            },
            "What solvers may take the hardware to have; never detected on the building host.",
        ),
        "env": _ENV,
        "indexes": named(
            "Packages that come from an index of their own in this variant: package = index.",
            {"type": "string", "title": "the name of an index", "x-names": "indexes"},
            {
                "type": "string",
                "title": "the name of a Python package",
                "pattern": r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
                "examples": ["torch"],
            },
        ),
    },
)

_LABELS: Final = named(
    "Labels of the image.",
    TEXT,
    {
        "type": "string",
        "title": "a label's name without blanks",
        "pattern": r"^[!-~]+$",
        "examples": ["io.k8s.description"],
    },
)
_FROM: Final[Schema] = {
    "type": "string",
    "description": "The parent: another image; or what a root begins with: `archive:NAME`, or `oci:REFERENCE`, "
    "an image of a registry or of a folder in the OCI layout.",
    "title": "an image, archive:NAME or oci:REFERENCE",
    "pattern": r"^((archive:)?[a-z0-9]+(-[a-z0-9]+)*"
    r"|oci:[A-Za-z0-9._/-]+(:[0-9]+/[A-Za-z0-9._/-]+)?(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?)$",
    "examples": ["base", "archive:bookworm", "oci:quay.io/jupyter/base-notebook:2026-10-26"],
}
_SELECTOR: Final[Schema] = {
    "type": "string",
    "title": "a variant, @ and a platform, or both",
    "pattern": r"^([a-z0-9]+(-[a-z0-9]+)*|([a-z0-9]+(-[a-z0-9]+)*)?@linux/(amd64|arm64))$",
    "examples": ["cuda", "@linux/arm64", "cpu@linux/arm64"],
}
_VARIANT_NAME: Final[Schema] = {"type": "string", "title": "the name of a variant", "x-names": "variants"}


def _on(properties: dict[str, Schema]) -> Schema:
    return named(
        "What a variant, a platform, or both together have besides; a request replaces the one of the same name.",
        table("For these targets only.", properties),
        _SELECTOR,
    )


def _set() -> Schema:
    return table(
        "A named list of requests, so that a pin is written once; images take it by `use`.",
        {
            **kinds.keys(shared=True),
            "together": {
                "type": "boolean",
                "description": "Whether its requests may only move as one.",
                "default": False,
            },
            "same-release": listed(
                {**TEXT, "title": "names of packages", "pattern": r"^[A-Za-z0-9*][A-Za-z0-9.+_*-]*$"},
                "Names of packages of any kind, `*` for any letters: their versions must agree in the first three "
                "numbers, as those of a driver and of the libraries made for it.",
            ),
            "on": _on(kinds.keys(shared=True)),
        },
    )


def _image() -> Schema:
    words: Schema = {**TEXT, "title": "one word of a command line"}
    return table(
        "An image.",
        {
            "from": _FROM,
            "archive": {
                "type": "string",
                "description": "Where apt packages come from, for it and its children, if the root is a registry's.",
                "x-names": "archives",
            },
            "description": {**TEXT, "description": "One sentence for people who choose among images."},
            "publish": {
                "type": "string",
                "description": "What it is called in the project's repository; {variant} is nothing for the plain "
                "one, else a dash and the variant's name.",
                "title": "a name with {variant} in it, and perhaps {image}",
                "pattern": r"^(\{image\}|[a-z0-9._/-])*\{variant\}[a-z0-9._-]*$",
                "default": "{image}{variant}",
                "examples": ["jupyter-pytorch{variant}-full"],
            },
            "same-as": {
                "type": "string",
                "description": "Another image, of which every key is taken that is not given here; of env, "
                "labels and on, every entry. Under another layout, pins and package layers stay the same.",
                "x-names": "images",
            },
            "layout": {
                "type": "string",
                "description": "The layout of the image and its children; a root must have one.",
                "x-names": "layouts",
            },
            "use": listed({"type": "string", "x-names": "sets"}, "Sets that are taken first, in this order."),
            **kinds.keys(),
            "on": _on({"from": _FROM, **kinds.keys(shared=True), "env": _ENV, "labels": _LABELS}),
            "env": _ENV,
            "labels": _LABELS,
            "entrypoint": listed(words, "The program that always runs, with its arguments.", unique=False),
            "cmd": listed(words, "Its default arguments, which `docker run` replaces.", unique=False),
            "expose": listed({"type": "integer", "minimum": 1, "maximum": 65535}, "TCP ports that it answers on."),
            "workdir": {**ABSOLUTE, "description": "The folder that processes start in."},
            "variants": {
                **listed(_VARIANT_NAME, "Variants that are built."),
                "minItems": 1,
                "default": ["cpu"],
            },
            "platforms": {
                **PLATFORMS,
                "description": "Those of the project's platforms that it is built for.",
            },
            "check": listed(_CONTRACT, "Contracts that it keeps besides its layout's."),
        },
    )


_CACHE: Final = table(
    "A repository of a registry, through which machines share what they built.",
    {
        "place": {
            "type": "string",
            "description": "Where it is; --cache and STACKBUILD_CACHE name another one.",
            "title": "oci:// and a repository, without a tag",
            "pattern": r"^oci://[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$",
            "examples": ["oci://registry.example.com/notebooks/cache"],
        },
        "trusted": {
            "type": "boolean",
            "description": "Whether whoever can write there is believed, without a signature.",
            "default": False,
        },
        "keys": listed(
            {
                "type": "string",
                "title": "an Ed25519 public key",
                "pattern": r"^ed25519:[A-Za-z0-9+/]{43}=$",
                "examples": ["ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="],
            },
            "Keys of those who fill it: one of them must have signed an entry.",
        ),
    },
)


def declaration() -> Schema:
    """The whole of `stacks.toml` as a schema that `shape.findings` takes."""
    return table(
        "Images, and what they are made of.",
        {
            "project": _PROJECT,
            "cache": _CACHE,
            "retention": RETENTION,
            "archives": named("Debian archives by name.", _ARCHIVE),
            "indexes": named("Python package indexes by name: URLs. `pypi` is always there.", _INDEX),
            "channels": named("Conda channels by name: URLs. `conda-forge` is always there.", _CHANNEL),
            "layouts": named("Layouts by name.", _LAYOUT),
            "variants": named("Variants by name. `cpu`, the plain one, is always there.", _VARIANT),
            "sets": named("Sets of requests by name.", _set()),
            "images": named("Images by name.", _image()),
        },
        "project",
        "images",
    )


def schema() -> Json:
    """The JSON Schema (draft 2020-12) of `stacks.toml`."""
    return cast(
        Json,
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "stacks.toml", **declaration()},
    )


def text() -> str:
    """The schema as `docs/stacks.schema.json` has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
