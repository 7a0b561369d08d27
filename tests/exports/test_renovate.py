"""What Renovate's expressions find in a manifest; the real Renovate is tried in tests/e2e/test_renovate.py."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from builder.exports.renovate import configuration, preset
from builder.manifest.pins import places
from builder.manifest.read import loads, read

ROOT = Path(__file__).parent.parent.parent


def found(text: str) -> Counter[tuple[str, str]]:
    """(name, version) of what the managers find, as Renovate would: each expression in what the one before found."""
    pins: Counter[tuple[str, str]] = Counter()
    for manager in configuration(None)["customManagers"]:
        *outer, last = [re.compile(one.replace("(?<", "(?P<")) for one in manager["matchStrings"]]
        regions = [text]
        for one in outer:
            regions = [match[0] for region in regions for match in one.finditer(region)]
        for region in regions:
            pins.update((match["depName"], match["currentValue"]) for match in last.finditer(region))
    return pins


def test_every_pin_of_the_catalogue_once() -> None:
    text = (ROOT / "stacks.toml").read_text()
    wanted = Counter(one.version for one in places(text))
    wanted["1.29.0"] -= 1  # aws-efa-installer: nobody lists its versions, which the manifest says.
    assert Counter(version for _, version in found(text).elements()) == +wanted


def test_the_project_s_own_file_is_up_to_date() -> None:
    told = json.loads((ROOT / ".github/renovate.json").read_text())
    assert told == configuration(read(ROOT / "stacks.toml")), "stackbuild export renovate > .github/renovate.json"


def test_the_preset_is_up_to_date() -> None:
    command = "from builder.exports.renovate import preset; print(preset(), end='')"
    assert (ROOT / ".github/stackbuild.json").read_text() == preset(), (
        f'python -c "{command}" > .github/stackbuild.json'
    )


def test_layouts_of_lists() -> None:
    text = """
[sets.a]
pip = ["one==1", 'two[x,y] == 2.0+cu1' , # "three==3"
    # It isn't ] the end, nor is "four==4".
    "five>=5,<6", "six==6.*", "seven[all]==7"]
on = { cuda = { pip = ["eight==8"] } }
override = [{ pip = "nine==9", reason = "held" }]
[images.b]
from = 'oci:quay.io:443/org/base:2026-10@sha256:%s' # The base.
conda = ["pytorch==2.12.0=cuda*", "numpy=2.1"]
npm = ["@scope/thing==4.6.2"]
apt = [ "git==1:2.39.5-0+deb12u2",
]
sdists = ["x==1"]
""" % ("0" * 64)
    assert found(text) == Counter(
        {
            ("one", "1"): 1, ("two", "2.0+cu1"): 1, ("seven", "7"): 1, ("eight", "8"): 1,
            ("pytorch", "2.12.0"): 1, ("@scope/thing", "4.6.2"): 1, ("git", "1:2.39.5-0+deb12u2"): 1,
            ("quay.io:443/org/base", "2026-10"): 1,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ('version = "1.2"\nurl = "https://github.com/o/r/releases/download/v{version}/x.gz"', ("o/r", "1.2")),
        ('version = "1.2" # Why.\nurl = "https://github.com/o/r/archive/refs/tags/{version}.gz"', ("o/r", "1.2")),
        (
            '# renovate: datasource=github-tags depName=a/b\nversion = "3"\nurl = "https://github.com/o/r/x"',
            ("a/b", "3"),
        ),
    ],
)
def test_what_is_fetched(lines: str, wanted: tuple[str, str]) -> None:
    assert found(f'[[images.b.fetch]]\nname = "x"\n{lines}\n') == Counter([wanted])


FAMILY = """
[project]
name = "x"
platforms = ["linux/amd64"]
exclude-newer = "5 days"
[archives.team]
suites = ["stable", "updates"]
keyring = "keys.gpg"
[channels]
team = "https://packages.example.com/conda"
[indexes]
pypi = "https://packages.example.com/simple"
[layouts.plain]
user = "somebody"
uid = 1000
gid = 0
home = "/home/somebody"
[sets.torch]
together = true
pip = ["torch==2.1", "vision[all]==0.16"]
[images.base]
from = "archive:team"
layout = "plain"
apt = ["git==1.0"]
python = { from = "conda" }
channels = ["team", "conda-forge"]
conda = ["python==3.12.1"]
use = ["torch"]
"""


def rules() -> list[dict[str, Any]]:
    told = configuration(loads(FAMILY, Path("stacks.toml")))
    assert told["minimumReleaseAge"] == "5 days"
    rules: list[dict[str, Any]] = told["packageRules"]
    return rules


def test_what_expressions_cannot_know() -> None:
    first, *rest = rules()
    assert (first["groupName"], first["matchDepNames"]) == ("torch", ["torch", "vision"])
    assert {"matchDatasources": ["conda"], "matchDepNames": ["python"], "overridePackageName": "team/python"} in rest
    assert {"matchDatasources": ["pypi"], "registryUrls": ["https://packages.example.com/simple"]} in rest
    assert [one["registryUrls"] for one in rest if one["matchDatasources"] == ["deb"]] == [
        [f"https://team.invalid?suite={suite}&components=main&binaryArch=amd64" for suite in ("stable", "updates")]
    ]
