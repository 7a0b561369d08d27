"""The user's configuration file: what it stands for, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import Problems, StackbuildError
from builder.user_config import ca, default_path, environment, environment_for_tools, variable

WHOLE = """
[mirrors.archives]
bookworm = ["https://one.example/debian", "https://two.example/debian"]

[mirrors.indexes]
pypi = "https://u:hunter2@packages.example/simple"
torch-cpu = "file:///srv/cpu"

[mirrors.channels]
conda-forge = "https://channels.example/conda-forge"

[mirrors.npm]
registry = "https://npm.example"

[tls]
ca = "/etc/ssl/company.pem"

[proxy]
http = "http://proxy.example:3128"
https = "http://proxy.example:3128"
no-proxy = [".example", "10.0.0.0/8"]

[advisories]
databases = ["/srv/osv", "https://osv.example"]

[store]
max-size = "20GB"
"""
MEANT = {
    "STACKBUILD_MIRROR_BOOKWORM": "https://one.example/debian https://two.example/debian",
    "STACKBUILD_INDEX_PYPI": "https://u:hunter2@packages.example/simple",
    "STACKBUILD_INDEX_TORCH_CPU": "file:///srv/cpu",
    "STACKBUILD_CHANNEL_CONDA_FORGE": "https://channels.example/conda-forge",
    "STACKBUILD_NPM_REGISTRY": "https://npm.example",
    "SSL_CERT_FILE": "/etc/ssl/company.pem",
    "http_proxy": "http://proxy.example:3128",
    "https_proxy": "http://proxy.example:3128",
    "no_proxy": ".example,10.0.0.0/8",
    "STACKBUILD_ADVISORIES": "/srv/osv https://osv.example",
    "STACKBUILD_MAX_SIZE": "20GB",
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"STACKBUILD_CONFIG": str(tmp_path / "config.toml")}


def write(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)


def test_where_it_is(tmp_path: Path) -> None:
    assert default_path({"HOME": "/h"}) == Path("/h/.config/stackbuild/config.toml")
    assert default_path({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == Path("/x/stackbuild/config.toml")
    assert default_path({"HOME": "/h", "XDG_CONFIG_HOME": "/x", "STACKBUILD_CONFIG": "/c"}) == Path("/c")
    assert environment({"HOME": str(tmp_path)}) == {"HOME": str(tmp_path)}


def test_each_key_stands_for_a_variable(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, WHOLE)
    assert environment(environ) == {**MEANT, **environ}


def test_variables_win(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, WHOLE)
    own = dict.fromkeys(MEANT, "mine")
    assert environment({**environ, **own}) == {**environ, **own}
    upper = {"HTTP_PROXY": "", "HTTPS_PROXY": "mine", "NO_PROXY": "mine", "REQUESTS_CA_BUNDLE": "mine"}
    found = environment({**environ, **upper, "STACKBUILD_INDEX_PYPI": ""})
    assert not {"https_proxy", "no_proxy", "SSL_CERT_FILE"} & found.keys()
    assert found["http_proxy"] == MEANT["http_proxy"]
    assert found["STACKBUILD_INDEX_PYPI"] == MEANT["STACKBUILD_INDEX_PYPI"]


def test_names_of_variables() -> None:
    assert variable("INDEX", "torch-cpu") == "STACKBUILD_INDEX_TORCH_CPU"


def test_everything_wrong_is_told_at_once_with_lines_and_without_values(
    environ: dict[str, str], tmp_path: Path
) -> None:
    write(
        tmp_path,
        "[mirrors.archives]\n"
        'bookworm = "https://u:hunter2@h/"\n'
        "[mirrors.indexes]\n"
        'pypi = "u:hunter2@h/simple"\n'
        '"Bad Name" = "https://h/"\n'
        "[mirrors.indices]\n"
        "[tls]\n"
        'ca = "hunter2/relative"\n'
        'verify = "hunter2"\n'
        "[proxy]\n"
        'https = "socks5://u:hunter2@h"\n',
    )
    with pytest.raises(Problems) as caught:
        environment(environ)
    told = [(one.what, one.where.rpartition(":")[2]) for one in caught.value.problems]
    assert told == [
        ("wrong type: mirrors.archives.bookworm", "2"),
        ("bad value: mirrors.indexes.pypi", "4"),
        ('bad value: mirrors.indexes."Bad Name"', "5"),
        ("unknown key: mirrors.indices", "6"),
        ("bad value: tls.ca", "8"),
        ("unknown key: tls.verify", "9"),
        ("bad value: proxy.https", "11"),
    ]
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ['pypi = "hunter2', "hunter2", "[mirrors\nhunter2 = 1", "a = " + "[" * 5000])
def test_text_that_is_no_toml_is_not_shown(text: str, environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, text)
    with pytest.raises(StackbuildError) as caught:
        environment(environ)
    assert "hunter2" not in str(caught.value)
    assert str(tmp_path / "config.toml") in caught.value.where


def test_a_file_that_cannot_be_read(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(StackbuildError, match="no such file"):
        environment(environ)
    (tmp_path / "config.toml").write_bytes(b"\xff")
    with pytest.raises(StackbuildError, match="not UTF-8"):
        environment(environ)
    with pytest.raises(StackbuildError, match="cannot read"):
        environment({"STACKBUILD_CONFIG": str(tmp_path)})


def test_a_ca_that_is_not_there(tmp_path: Path) -> None:
    assert ca({}) == ""
    with pytest.raises(StackbuildError, match="no such file of certificates") as caught:
        ca({"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
    assert "SSL_CERT_FILE" in caught.value.where


def test_what_programs_are_told(tmp_path: Path) -> None:
    assert environment_for_tools({"STACKBUILD_INDEX_PYPI": "https://u:p@h", "HOME": "/h"}) == {}
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    found = environment_for_tools(
        {"CURL_CA_BUNDLE": str(bundle), "HTTPS_PROXY": "http://p:1", "no_proxy": "a,localhost"}
    )
    assert found["https_proxy"] == found["HTTPS_PROXY"] == "http://p:1"
    assert found["no_proxy"] == found["NO_PROXY"] == "a,localhost,127.0.0.1,::1"
    assert "http_proxy" not in found
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        assert found[name] == str(bundle)
