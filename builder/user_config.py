"""The user's own configuration: mirrors, a CA and proxies of this machine, in `~/.config/stackbuild/config.toml`.

Each of its keys stands for an environment variable, which wins over it, so the rest of the program knows variables
only: `environment` puts the file's values below them.

    [mirrors.archives]   bookworm = ["https://…", …]     STACKBUILD_MIRROR_BOOKWORM
    [mirrors.indexes]    pypi = "https://…"              STACKBUILD_INDEX_PYPI
    [mirrors.channels]   conda-forge = "https://…"       STACKBUILD_CHANNEL_CONDA_FORGE
    [mirrors.npm]        registry = "https://…"          STACKBUILD_NPM_REGISTRY
    [tls]                ca = "/etc/ssl/company.pem"     SSL_CERT_FILE
    [proxy]              http, https, no-proxy           http_proxy, https_proxy, no_proxy
    [advisories]         databases = ["/srv/osv", …]     STACKBUILD_ADVISORIES, parted by blanks
    [store]              max-size = "20GB"               STACKBUILD_MAX_SIZE, of `gc`

It is read when something must be fetched, or is collected, and not before. URLs in it may have user info, so no error
shows a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from builder import toml
from builder.errors import StackbuildError, raise_all
from builder.manifest.fragments import ABSOLUTE, listed, named, table
from builder.manifest.lines import locate
from builder.manifest.shape import Finding, Schema, findings
from builder.offline import refuse
from builder.proxies import LOOPBACK, value

_URL: Final[Schema] = {"type": "string", "title": "an http, https or file URL", "pattern": r"^(https?|file)://[^\s]+$"}
_DATABASE: Final[Schema] = {
    "type": "string",
    "title": "an absolute path without blanks, or an http or https URL",
    "pattern": r"^(/|https?://)[^\s]+$",
}
_PROXY: Final[Schema] = {"type": "string", "title": "an http or https URL", "pattern": r"^https?://[^\s]+$"}
_SIZE: Final[Schema] = {
    "type": "string",
    "title": "a number and kB, MB, GB or TB",
    "pattern": r"^\d{1,9}(\.\d{1,3})? ?[kMGT]i?B$",
}
_HOSTS: Final[Schema] = {"type": "string", "title": "a host, domain, address or network", "pattern": r"^[^\s,]+$"}

SCHEMA: Final[Schema] = table(
    "What this machine has of its own.",
    {
        "mirrors": table(
            "Where things are fetched from here, instead of where the manifest says.",
            {
                "archives": named("Mirrors by the archive's name, best first.", listed(_URL, "URLs above `dists/`.")),
                "indexes": named("Package indexes by name.", _URL),
                "channels": named("Conda channels by name.", _URL),
                "npm": table("npm's registry.", {"registry": _URL}),
            },
        ),
        "tls": table("Whom to trust.", {"ca": {**ABSOLUTE, "description": "Certificates in PEM form."}}),
        "advisories": table(
            "Who knows of vulnerabilities.",
            {"databases": listed(_DATABASE, "Files of OSV entries, folders of such, services with OSV's API.")},
        ),
        "store": table("The store.", {"max-size": {**_SIZE, "description": "Beyond it, `gc` evicts."}}),
        "proxy": table(
            "How to get out.", {"http": _PROXY, "https": _PROXY, "no-proxy": listed(_HOSTS, "What is reached without.")}
        ),
    },
)

CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Files of certificates, the first that is set counts: as curl and requests, then OpenSSL have them."""


def variable(what: str, name: str) -> str:
    """`STACKBUILD_INDEX_TORCH_CPU` for the index `torch-cpu`: the variable that says something about a name."""
    return f"STACKBUILD_{what}_" + re.sub(r"[^A-Z0-9]", "_", name.upper())


def default_path(environ: Mapping[str, str]) -> Path:
    """Where the file is, or would be: `$STACKBUILD_CONFIG`, else below the user's configuration folder."""
    if named_file := environ.get("STACKBUILD_CONFIG"):
        return Path(named_file)
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "stackbuild" / "config.toml"


def environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, and below it what the user's configuration says.

    Raises:
        Problems: all that is wrong with the file, in the order of its lines.
        StackbuildError: it cannot be read, or is no TOML.
    """
    path = default_path(environ)
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        if environ.get("STACKBUILD_CONFIG"):
            raise StackbuildError(f"no such file: {path}", next_step="unset STACKBUILD_CONFIG, or correct it") from None
        return environ
    except UnicodeDecodeError:
        raise StackbuildError("not UTF-8", where=str(path)) from None
    except OSError as error:
        raise StackbuildError(f"cannot read {path}", got=str(error.strerror)) from None
    return dict(_variables(loads(text, path), environ)) | {
        name: said for name, said in environ.items() if said or not name.startswith("STACKBUILD_")
    }


def loads(text: str, path: Path) -> Mapping[str, Any]:
    """The tables of a configuration file, which have the shape of `SCHEMA`.

    Raises:
        Problems, StackbuildError: as for `environment`.
    """
    try:
        document = toml.loads(text)
        lines = locate(text)
    except toml.TOMLDecodeError as error:
        raise StackbuildError("not TOML", where=f"{path}:{error.lineno}") from None
    except RecursionError:
        raise StackbuildError("not a configuration file: nested too deeply", where=str(path)) from None
    found = sorted(findings(document, SCHEMA, {}), key=lambda one: _line(one, lines))
    raise_all([_error(one, f"{path}:{_line(one, lines)}") for one in found])
    return document


def _line(one: Finding, lines: Mapping[str, int]) -> int:
    path = one.path
    while path and path not in lines:
        path = path.rpartition(".")[0]
    return lines.get(path, 1)


def _error(one: Finding, where: str) -> StackbuildError:
    """Without the value, which may be a password at the wrong place."""
    what = one.what if one.what.isprintable() else "a name of characters that cannot be printed"
    return StackbuildError(what, where=where, expected=one.expected, next_step=one.next_step)


def _variables(document: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    mirrors = document.get("mirrors", {})
    for name, urls in mirrors.get("archives", {}).items():
        yield variable("MIRROR", name), " ".join(urls)
    for name, url in mirrors.get("indexes", {}).items():
        yield variable("INDEX", name), url
    for name, url in mirrors.get("channels", {}).items():
        yield variable("CHANNEL", name), url
    if registry := mirrors.get("npm", {}).get("registry"):
        yield "STACKBUILD_NPM_REGISTRY", registry
    if databases := document.get("advisories", {}).get("databases"):
        yield "STACKBUILD_ADVISORIES", " ".join(databases)
    if size := document.get("store", {}).get("max-size"):
        yield "STACKBUILD_MAX_SIZE", size
    if (file := document.get("tls", {}).get("ca")) and not any(environ.get(name) for name in CA_VARIABLES):
        yield "SSL_CERT_FILE", file
    proxy = document.get("proxy", {})
    for key, said in (*proxy.items(),):
        name = "no_proxy" if key == "no-proxy" else f"{key}_proxy"
        if not value(name, environ):
            yield name, ",".join(said) if isinstance(said, list) else said


def ca(environ: Mapping[str, str]) -> str:
    """The file of certificates to trust, "" for the client's own.

    Raises:
        StackbuildError: it is not there.
    """
    for name in CA_VARIABLES:
        if found := environ.get(name):
            if not Path(found).exists():
                raise StackbuildError(
                    f"no such file of certificates: {found}",
                    where=f"{name}, or [tls] in the user's configuration",
                    next_step="correct it, or install the CA there",
                )
            return found
    return ""


def environment_for_tools(environ: Mapping[str, str]) -> dict[str, str]:
    """How a program that we start reaches the network: proxies and the CA, under the names that programs read.

    Credentials of indexes and mirrors are not in it; a proxy's are, since there is no other way to it.

    Args:
        environ: as `environment` gives it.

    Raises:
        Unreachable: this run may use no network.
        StackbuildError: there is no such file of certificates.
    """
    refuse(environ, "a program would be started that asks a network")
    found: dict[str, str] = {}
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        if said := value(name, environ):
            found |= {name: said, name.upper(): said}
    if found:
        rules = value("no_proxy", environ)
        said = ",".join(filter(None, (rules, *(host for host in LOOPBACK if host not in rules.split(",")))))
        found |= {"no_proxy": said, "NO_PROXY": said}
    if bundle := ca(environ):
        found |= dict.fromkeys((*CA_VARIABLES, "NODE_EXTRA_CA_CERTS"), bundle)
    return found
