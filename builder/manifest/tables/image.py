"""`[images.NAME]` and `[sets.NAME]`: what is asked for, with the keys of every kind."""

from __future__ import annotations

from typing import Final

from builder import kinds
from builder.manifest.fragments import ABSOLUTE, CONTRACT, ENV, PLATFORMS, RELATIVE, TEXT, listed, named, table
from builder.manifest.shape import Schema

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
_REQUIRE_SIGNATURE: Final[Schema] = {
    **listed(
        {**RELATIVE, "title": "the path of a file in the project", "examples": ["keys/base.pub"]},
        "Public keys in PEM, of which one must have signed the `oci:` image that it is from.",
    ),
    "minItems": 1,
}
_SELECTOR: Final[Schema] = {
    "type": "string",
    "title": "a variant, @ and a platform, or both",
    "pattern": r"^([a-z0-9]+(-[a-z0-9]+)*|([a-z0-9]+(-[a-z0-9]+)*)?@linux/(amd64|arm64))$",
    "examples": ["cuda", "@linux/arm64", "cpu@linux/arm64"],
}
_AWAITS: Final[Schema] = {
    **TEXT,
    "description": "A source of the requests beside it that is not reached everywhere. `stackbuild lock` then leaves "
    "the image and its children out; `stackbuild lock --awaited` locks them where it is.",
    "title": "what the lock waits for",
    "examples": ["https://download.pytorch.org/whl/cpu"],
}
_VARIANT_NAME: Final[Schema] = {"type": "string", "title": "the name of a variant", "x-names": "variants"}


def _on(properties: dict[str, Schema]) -> Schema:
    return named(
        "What a variant, a platform, or both together have besides; a request replaces the one of the same name.",
        table("For these targets only.", properties),
        _SELECTOR,
    )


def requests(*, shared: bool = False) -> dict[str, Schema]:
    """The keys that say what is asked for: those of the kinds, and where they wait for it."""
    return {**kinds.keys(shared=shared), "awaits": _AWAITS}


def package_set() -> Schema:
    return table(
        "A named list of requests, so that a pin is written once; images take it by `use`.",
        {
            **requests(shared=True),
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
            "env": ENV,
            "on": _on(requests(shared=True)),
        },
    )


def image() -> Schema:
    words: Schema = {**TEXT, "title": "one word of a command line"}
    return table(
        "An image.",
        {
            "from": _FROM,
            "require-signature": _REQUIRE_SIGNATURE,
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
            **requests(),
            "on": _on(
                {
                    "from": _FROM,
                    "require-signature": _REQUIRE_SIGNATURE,
                    **requests(shared=True),
                    "env": ENV,
                    "labels": _LABELS,
                }
            ),
            "env": ENV,
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
            "check": listed(CONTRACT, "Contracts that it keeps besides its layout's."),
        },
    )
