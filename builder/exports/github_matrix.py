"""Targets as the matrix of a GitHub Actions job: one line of JSON, for `$GITHUB_OUTPUT` and `fromJSON`.

Source: GitHub's "Workflow syntax for GitHub Actions", `jobs.<job_id>.strategy.matrix`: at most 256 jobs for each run;
an `include` without other keys is a list of jobs.
"""

from __future__ import annotations

import json

from builder.awaited import awaited
from builder.errors import StackbuildError
from builder.exports import Scope, Subject

SCOPE = Scope.FAMILY
_MOST = 256
RUNNERS = {"linux/amd64": "ubuntu-24.04", "linux/arm64": "ubuntu-24.04-arm"}
"""GitHub's own runners, by name and not `latest`, so that a new one is an edit here."""


def export(subject: Subject) -> str:
    """The text: `{"include": [{"target", "image", "variant", "platform", "runs-on"}, …]}`, parents first; none
    whose locks wait for a source.

    Raises:
        StackbuildError: these are more targets than a matrix may have jobs.
    """
    waiting = awaited(subject.manifest, subject.locks, *subject.targets)
    targets = [one for one in subject.targets if one not in waiting]
    if len(targets) > _MOST:
        raise StackbuildError(
            f"too many jobs for one matrix: {len(targets)}",
            expected=f"at most {_MOST}",
            next_step="a matrix for each platform: stackbuild export github-matrix @linux/amd64",
        )
    jobs = [
        {
            "target": str(target),
            "image": target.image,
            "variant": target.variant,
            "platform": target.platform,
            "runs-on": RUNNERS[target.platform],
        }
        for target in targets
    ]
    return json.dumps({"include": jobs}, separators=(",", ":")) + "\n"
