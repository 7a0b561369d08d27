"""Tags from templates: `{version}`, `{time}-{revision}`, `{key}`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.workflow import git
from builder.workflow.project import Project

_FIELD = re.compile(r"\{(version|time|revision|key)\}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Tags:
    """The tags of one push, all images alike but for `{key}`.

    Args:
        templates: instead of the manifest's.
    """

    def __init__(self, project: Project, templates: Sequence[str] = ()) -> None:
        self._project = project.manifest.project
        self._folder = project.manifest.folder
        self._templates = tuple(templates) or self._project.tags

    def of(self, digest: Digest) -> tuple[str, ...]:
        """The tags of what has that digest, in the order of the templates.

        Raises:
            StackbuildError: a field has no value here, or what comes out is no tag.
        """
        return tuple(dict.fromkeys(self._one(template, digest) for template in self._templates))

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """Those that do not depend on what is pushed, so that several machines have them."""
        nothing = Digest.of(b"")
        return tuple(dict.fromkeys(self._one(one, nothing) for one in self._templates if "{key}" not in one))

    def _one(self, template: str, digest: Digest) -> str:
        found = _FIELD.sub(lambda match: self._value(match[1], digest), template)
        if not _TAG.fullmatch(found):
            raise StackbuildError(
                f"not a tag: {found}",
                where=f"tags = [{template!r}]",
                expected="letters, digits, and . _ - after the first; {version}, {time}, {revision}, {key}",
            )
        return found

    def _value(self, field: str, digest: Digest) -> str:
        if field == "key":
            return digest.hex[:12]
        if field == "version":
            if not self._project.version:
                raise StackbuildError(
                    "tags ask for {version}, and there is none", next_step='version = "…" in [project] of stacks.toml'
                )
            return self._project.version
        time, revision = self._commit
        return time if field == "time" else revision

    @cached_property
    def _commit(self) -> tuple[str, str]:
        """When what is checked out was committed (UTC), and its hash, marked if files that git knows differ."""
        stamp, revision = git.run(self._folder, "log", "-1", "--format=%ct %H").decode().split()
        time = datetime.fromtimestamp(int(stamp), UTC).strftime("%Y%m%dT%H%M%SZ")
        changed = git.run(self._folder, "status", "--porcelain", "--untracked-files=no").strip()
        return time, revision[:12] + ("-dirty" if changed else "")
