"""Renovate's configuration for a manifest: where every version stands in it, and which move together.

Regular expressions find the pins, so that a new pin is found without this being written again; what they cannot know of
a pin (its channel, its index, the suite of its archive, the set that it moves with) are rules made from the manifest.
Renovate edits the manifest alone. `locks/` is made by `stackbuild lock` on Renovate's branch.

Lists are read in four steps: the list, in which a string or a comment may hold brackets; its lines; what of a line
stands before a comment; the pins in that.

Source: Renovate's documentation, "Custom Manager Support using Regex", "Configuration Options".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from builder.exports import Scope, Subject
from builder.manifest.model import Manifest
from builder.manifest.settings import Archive

SCOPE = Scope.FAMILY

_FILES: Final = [r"/(^|/)stacks\.toml$/"]
_COOLDOWN: Final = 3
"""Days, where the manifest tells none."""
_DEBIAN: Final = f"https://{'.'.join(('deb', 'debian', 'org'))}/debian"
"""In pieces, as in `kinds/apt/places.py`."""

_DATASOURCES: Final = {
    "open-vsx": {
        "defaultRegistryUrlTemplate": "https://open-vsx.org/api/{{packageName}}",
        "transformTemplates": ['{"releases": $map($keys(allVersions), function($v) { {"version": $v} })[]}'],
    },
    "rstudio": {  # Its files have `-` where its tags have `+`.
        "defaultRegistryUrlTemplate": "https://api.github.com/repos/rstudio/rstudio/tags?per_page=100",
        "transformTemplates": [
            '{"releases": $map($, function($t) { {"version": $replace($substringAfter($t.name, "v"), "+", "-")} })[]}'
        ],
    },
}
"""Publishers of what notebook images fetch, whose versions Renovate cannot list by itself."""

_ITEM: Final = r"""(?:"[^"\n]*"|'[^'\n]*'|#[^\n]*|[^\]"'#])*"""
_LINE: Final = r"[^\n]+"
_CODE: Final = "^[^#]+"
_QUOTE: Final = "[\"']"
_VERSION: Final = r" ?== ?(?<currentValue>[^\"'=*, ]+)"


def export(subject: Subject) -> str:
    """The text of `renovate.json`."""
    return json.dumps(configuration(subject.manifest), indent=2) + "\n"


def preset() -> str:
    """The text of a preset that any repository may extend: all but the rules that are made from a manifest."""
    return json.dumps(configuration(None), indent=2) + "\n"


def configuration(manifest: Manifest | None) -> dict[str, Any]:
    """The configuration as Renovate reads it.

    Args:
        manifest: whose sets, channels and indexes it is to know; None for a preset, which is good for any.
    """
    cooldown = manifest.project.cooldown if manifest else 0
    return {
        "$schema": "https://docs.renovatebot.com/renovate-schema.json",
        "description": ["Versions in stacks.toml; made by stackbuild export renovate"],
        "extends": ["config:recommended", "helpers:pinGitHubActionDigests", ":semanticCommitsDisabled"],
        "ignorePaths": ["locks/**", "tests/**"],
        "schedule": ["* 0-5 * * 1"],
        "minimumReleaseAge": f"{cooldown or _COOLDOWN} days",
        "internalChecksFilter": "strict",
        "osvVulnerabilityAlerts": True,
        "vulnerabilityAlerts": {"schedule": ["at any time"], "minimumReleaseAge": None},
        "rebaseWhen": "conflicted",
        "gitIgnoredAuthors": ["41898282+github-actions[bot]@users.noreply.github.com"],
        "customManagers": _managers(),
        "customDatasources": _DATASOURCES,
        "packageRules": list(_rules(manifest)) if manifest else [],
    }


def _managers() -> list[dict[str, Any]]:
    return [
        _list(
            "(?:pip|constraints)",
            rf"{_QUOTE}(?<depName>[A-Za-z0-9][A-Za-z0-9._-]*?)(?:\[[^\]\n]*\])?{_VERSION}{_QUOTE}",
            datasourceTemplate="pypi",
            versioningTemplate="pep440",
        ),
        _list(
            "conda",
            rf"{_QUOTE}(?<depName>[a-z0-9_][a-z0-9._-]*?){_VERSION}(?:=[^\"'\n]*)?{_QUOTE}",
            datasourceTemplate="conda",
            packageNameTemplate="conda-forge/{{{depName}}}",
            versioningTemplate="pep440",
        ),
        _list(
            "apt",
            rf"{_QUOTE}(?<depName>[a-z0-9][a-z0-9+.-]+?){_VERSION}{_QUOTE}",
            datasourceTemplate="deb",
            versioningTemplate="deb",
        ),
        _list(
            "npm",
            rf"{_QUOTE}(?<depName>(?:@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*?){_VERSION}{_QUOTE}",
            datasourceTemplate="npm",
            versioningTemplate="npm",
        ),
        {
            "customType": "regex",
            "managerFilePatterns": _FILES,
            "matchStrings": [
                rf"(?:^|[\n{{,])[ \t]*from[ \t]*=[ \t]*{_QUOTE}oci:(?<depName>[A-Za-z0-9][^\s\"'@]*?)"
                rf":(?<currentValue>[A-Za-z0-9_][A-Za-z0-9._-]*)(?:@(?<currentDigest>sha256:[0-9a-f]{{64}}))?{_QUOTE}",
            ],
            "datasourceTemplate": "docker",
        },
        {
            "customType": "regex",
            "managerFilePatterns": _FILES,
            "matchStrings": [
                # The comment that people know from Dockerfiles, before the version.
                r"#[ \t]*renovate:[ \t]*datasource=(?<datasource>[^\s]+)[ \t]+depName=(?<depName>[^\s]+)"
                r"(?:[ \t]+packageName=(?<packageName>[^\s]+))?(?:[ \t]+versioning=(?<versioning>[^\s]+))?"
                r"(?:[ \t]+extractVersion=(?<extractVersion>[^\s]+))?(?:[ \t]+registryUrl=(?<registryUrl>[^\s]+))?"
                rf"[ \t]*\nversion[ \t]*=[ \t]*{_QUOTE}(?<currentValue>[^\"'\n]+){_QUOTE}",
            ],
        },
        *(_github(*one) for one in (("releases/download/", "github-releases"), ("archive/refs/tags/", "github-tags"))),
    ]


def _list(key: str, pin: str, **rest: str) -> dict[str, Any]:
    return {
        "customType": "regex",
        "managerFilePatterns": _FILES,
        "matchStringsStrategy": "recursive",
        "matchStrings": [rf"(?:^|[\n{{,])[ \t]*{key}[ \t]*=[ \t]*\[{_ITEM}\]", _LINE, _CODE, pin],
        **rest,
    }


def _github(path: str, datasource: str) -> dict[str, Any]:
    """Files of GitHub that are fetched, and whose version no comment explains."""
    return {
        "customType": "regex",
        "managerFilePatterns": _FILES,
        "matchStrings": [
            rf"\nname[^\n]*\nversion[ \t]*=[ \t]*{_QUOTE}(?<currentValue>[^\"'\n]+){_QUOTE}[^\n]*"
            rf"\nurl[ \t]*=[ \t]*{_QUOTE}https://github\.com/(?<depName>[^/\s\"']+/[^/\s\"']+)/{path}",
        ],
        "datasourceTemplate": datasource,
        "extractVersionTemplate": "^v?(?<version>.+)$",
    }


def _rules(manifest: Manifest) -> Iterator[dict[str, Any]]:
    for one in manifest.sets.values():
        names = sorted({name for asks in (one.asks, *one.on.values()) for name in _names(asks)})
        if one.together and names:
            yield {
                "description": [f"Set {one.name} moves as one"],
                "groupName": one.name,
                "matchManagers": ["custom.regex"],
                "matchDepNames": names,
            }
    channels = {name: channel for name, channel in _channels(manifest) if channel != "conda-forge"}
    for channel in sorted(set(channels.values())):
        for name in sorted(name for name, one in channels.items() if one == channel):
            yield {
                "matchDatasources": ["conda"],
                "matchDepNames": [name],
                "overridePackageName": f"{channel}/{name}",
            }
    if "pypi" in manifest.indexes:
        yield {"matchDatasources": ["pypi"], "registryUrls": [manifest.indexes["pypi"]]}
    yield from _indexes(manifest)
    suites = [_deb(archive, suite) for archive in manifest.archives.values() for suite in archive.suites]
    if any("==" in item for item in _texts(manifest, "apt")):
        yield {"matchDatasources": ["deb"], "registryUrls": suites}


def _deb(archive: Archive, suite: str) -> str:
    """A suite as Renovate names it; its mirror is the user's to say where the archive is not Debian's own."""
    place = _DEBIAN if archive.keyring == "debian" else f"https://{archive.name}.invalid"
    return f"{place}?suite={suite}&components={','.join(archive.components)}&binaryArch=amd64"


def _indexes(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Where packages are looked up that come from one index alone; nowhere, if it is a folder of the project."""
    found: dict[str, set[str]] = {}
    for asks in _tables(manifest):
        for name in _names({"pip": asks.get("pip")}):
            found.setdefault(name, set()).add(str(asks.get("index", "")))
    for index, url in manifest.indexes.items():
        if names := sorted(name for name, indexes in found.items() if indexes == {index}):
            place: dict[str, Any] = {"enabled": False} if url.startswith("file:") else {"registryUrls": [url]}
            yield {"matchDatasources": ["pypi"], "matchDepNames": names, **place}


def _names(asks: Mapping[str, object]) -> Iterator[str]:
    """What a table pins of packages, as the manifest writes it."""
    for key in ("apt", "conda", "npm", "pip"):
        for item in _items(asks.get(key)):
            if "==" in item:
                yield item.partition("==")[0].partition("[")[0].strip()


def _items(value: object) -> Sequence[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, tuple) else []


def _tables(manifest: Manifest) -> Iterator[Mapping[str, object]]:
    for asks, on in [
        *((one.asks, one.on) for one in manifest.sets.values()),
        *((one.asks, one.on) for one in manifest.images.values()),
    ]:
        yield asks
        yield from on.values()


def _texts(manifest: Manifest, key: str) -> Iterator[str]:
    for asks in _tables(manifest):
        yield from _items(asks.get(key))


def _channels(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Each conda package that is pinned, and the first channel of a target that asks for it."""
    for target in manifest.targets():
        asked = manifest.ask(target, "conda")
        found = manifest.option(target, "channels")
        if isinstance(found, tuple) and found:
            yield from ((item.partition("==")[0].strip(), str(found[0])) for item in asked if "==" in item)
