"""What an image says about itself in the words that registries, scanners and bots read.

The same names are labels of the config, for who asks a daemon, and annotations of manifest and index, for who asks a
registry. Only what follows from manifest and locks is said: a time or a revision would give equal images other
digests with every commit. Those of a push are in `stackbuild releases`, and in what is attached to the pushed image.

Source: OCI image-spec v1.1, annotations.md, "Pre-Defined Annotation Keys".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from builder.manifest.model import Manifest, Target

PREFIX = "org.opencontainers.image."


def standard(manifest: Manifest, target: Target, base: Mapping[str, str]) -> dict[str, str]:
    """The pre-defined annotations of a target's image, by name; those of which nothing is known are left out.

    Args:
        base: `base.name` and `base.digest` of a foreign image that the family begins with.
    """
    project = manifest.project
    said = {
        "title": manifest.title(target),
        "description": manifest.images[target.image].description,
        "version": project.version,
        "source": project.source,
        "documentation": project.documentation,
        "vendor": project.vendor,
        "licenses": project.licenses,
        **base,
    }
    return {PREFIX + name: value for name, value in said.items() if value}


def common(tables: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The annotations that all of these images have with the same value: what their index may say."""
    first, *others = tables
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}
