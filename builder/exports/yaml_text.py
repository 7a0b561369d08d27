"""Documents for Kubernetes and its kin as YAML: keys in the order in which they were put, no anchors, no tags.

What reads it may follow YAML 1.1 or 1.2, so a string that one of them would take for something else is quoted: `012`,
`1e3` and `.5`, `y` and `n`, besides those that PyYAML quotes by itself (`true`, `8888`, `2026-11-21`, `~`).
"""

from __future__ import annotations

import re

import yaml  # type: ignore[import-untyped]

from builder.digest import Json

_AMBIGUOUS = re.compile(r"[0-9.+~=-].*|[yYnN]", re.DOTALL)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    def ignore_aliases(self, _: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, value: str) -> object:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if _AMBIGUOUS.fullmatch(value) else None)


_Dumper.add_representer(str, _text)


def dumps(document: Json) -> str:
    """The text of one document."""
    found: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1 << 16)
    return found
