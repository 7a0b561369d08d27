"""The grammars of requests, judged by those who define them."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder.kinds.apt import KEYS as APT
from builder.kinds.pip import KEYS as PIP
from builder.manifest.shape import request_name

PIP_REQUEST = PIP["pip"]["items"]["pattern"]
APT_REQUEST = APT["apt"]["items"]["pattern"]


@given(st.from_regex(re.compile(PIP_REQUEST.replace("$", r"\Z"), re.ASCII)))
def test_pip_requests_are_requirements(request: str) -> None:
    """Whatever the pattern lets through means to packaging what it means to us (PEP 508, PEP 440)."""
    requirement = Requirement(request)
    assert canonicalize_name(requirement.name) == request_name(request)
    assert requirement.marker is None
    assert requirement.url is None


@pytest.mark.parametrize(
    "request_",
    [
        "numpy", "numpy==2.4.6", "uvicorn[standard]==0.30.1", "a[b, c]>=1,<2", "a >= 1, < 2",
        "torch==2.12.0+cpu",
        "x==1!2.0rc1.post2.dev3", "x==1.*", "x!=1.2.*", "x~=1.4", "zope.interface==8.1", "pytz==2026.1",
        "ipykernel<7", "x==2026.01.05",
    ],
)  # fmt: skip
def test_pip_accepts(request_: str) -> None:
    assert re.fullmatch(PIP_REQUEST, request_)


@pytest.mark.parametrize(
    "request_",
    [
        "", "numpy=2", "numpy==", "==2", "numpy===2", "-e .", "./x", "numpy @ file:///x",
        "a;b", "a ==1 # comment", "a==1 --hash=sha256:00", "-r x.txt", "a\n==1", "a==1\n", "a[", "a[]",
        "a~=1", "a<=1.*", "a==1; os_name=='nt'", "_a==1", "a==1.0.0-rc1", "ünder==1",
    ],
)  # fmt: skip
def test_pip_refuses(request_: str) -> None:
    assert not re.fullmatch(PIP_REQUEST, request_)


@pytest.mark.parametrize("request_", ["g++", "libstdc++6", "python3.11", "git==1:2.39.5-0+deb12u2", "s6==2.11.3.0-1~x"])
def test_apt_accepts(request_: str) -> None:
    assert re.fullmatch(APT_REQUEST, request_)


@pytest.mark.parametrize(
    "request_",
    [
        "x",
        "",
        "Git",
        "git=1",
        "git==",
        "git==x",
        "git==1-",
        "libc6:amd64",
        "git/sid",
        "-git",
        "a b",
        "git==1\n",
    ],
)
def test_apt_refuses(request_: str) -> None:
    assert not re.fullmatch(APT_REQUEST, request_)


@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg to judge versions")
@settings(deadline=None)
@given(st.from_regex(r"\A([0-9]{1,3}:)?[0-9][A-Za-z0-9.+~-]{0,8}\Z"))
def test_apt_versions_are_dpkgs(version: str) -> None:
    if re.fullmatch(APT_REQUEST, f"git=={version}"):
        run = subprocess.run(["dpkg", "--validate-version", version], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
