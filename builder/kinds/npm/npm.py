"""npm itself, in a subprocess: the only place that starts it. It solves, and says where its registry is.

`npm install --package-lock-only --ignore-scripts` reads metadata and writes a lock; it runs no code of any package. It
sees a folder of its own and, of the machine's configuration, only how to reach a registry: nothing of the user's can
change what is chosen. A login travels in its environment, never in a file or an argument.

npm prefers versions whose `engines` fit the Node.js that runs it. The answer is for the image's, so a preloaded line
says that version instead, once npm has started.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from builder import credentials
from builder.errors import HostileInput, StackbuildError
from builder.kinds.npm.failure import hostless, told
from builder.kinds.npm.package import NAME
from builder.redaction import redact
from builder.store import Store
from builder.user_config import environment_for_tools

VARIABLE: Final = "STACKBUILD_NPM_REGISTRY"
_REACHING: Final = ("cafile", "proxy", "https-proxy", "noproxy", "strict-ssl")
"""Settings of the machine's npm that say how a registry is reached; none of them can change what is chosen."""
_KEPT = re.compile(r"PATH|TMPDIR|NODE_EXTRA_CA_CERTS|(?i:npm_config_)//.*")
_PRETEND: Final = 'setImmediate(() => Object.defineProperty(process, "version", { value: "v%s" }))\n'
_LIMIT: Final = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question to npm.

    Attributes:
        dependencies: name → range, as in a package.json.
        seed: `packages` of the lock so far: versions that stay while they answer.
        node: the image's Node.js.
        before: versions published at that time or later do not exist; with time zone.
        where: for messages.
    """

    dependencies: Mapping[str, str]
    seed: Mapping[str, Any]
    node: str
    before: datetime | None = None
    where: str = ""


def solve(asked: Asked, registry: str, store: Store, environ: Mapping[str, str]) -> dict[str, Any]:
    """`packages` of the lock that npm makes, for all platforms; nothing in it is checked yet.

    Raises:
        StackbuildError: npm is missing, found no solution, or could not reach the registry.
    """
    settings = _settings(environ)
    with store.workspace() as folder:
        head = {"name": NAME, "dependencies": dict(asked.dependencies)}
        (folder / "package.json").write_text(json.dumps(head))
        if asked.seed:
            packages = {"": head, **asked.seed}
            seed = {"name": NAME, "lockfileVersion": 3, "requires": True, "packages": packages}
            (folder / "package-lock.json").write_text(json.dumps(seed))
        (folder / "node.cjs").write_text(_PRETEND % asked.node)
        (folder / "home").mkdir()
        command = [_binary(environ), "install", *_arguments(asked, settings)]
        variables = {
            **_environment(environ),
            "HOME": str(folder / "home"),
            "NODE_OPTIONS": "--require=./node.cjs",
            "LC_ALL": "C.UTF-8",
            **dict(_login(registry, environ)),
            "npm_config_cache": str(store.path / "npm"),
            "npm_config_userconfig": str(folder / "home/npmrc"),
            "npm_config_globalconfig": str(folder / "home/global"),
        }
        done = subprocess.run(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode:
            shown = shlex.join(["npm", *command[1:]])
            secrets = credentials.secrets(environ)
            said = redact(done.stdout.decode("utf-8", "replace"), secrets)
            words = redact(done.stderr.decode("utf-8", "replace"), secrets)
            raise told(said, words, asked.where, shown, cutoff=asked.before is not None)
        path = folder / "package-lock.json"
        if path.stat().st_size > _LIMIT:
            raise HostileInput("npm's answer is too large", expected=f"at most {_LIMIT} bytes")
        packages = json.loads(path.read_bytes()).get("packages")
    if not isinstance(packages, dict):
        raise StackbuildError("npm wrote a lock of another format", expected="lockfileVersion 3", where=asked.where)
    return {location: entry for location, entry in packages.items() if location}


def _arguments(asked: Asked, settings: Mapping[str, Any]) -> list[str]:
    found = [
        "--package-lock-only", "--ignore-scripts", "--install-strategy=shallow", "--lockfile-version=3",
        "--no-audit", "--no-fund", "--no-update-notifier", "--omit-lockfile-registry-resolved=false", "--json",
        "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=4000",  # npm's own would wait a minute.
    ]  # fmt: skip
    if asked.before is not None:
        found.append(f"--before={asked.before.isoformat().replace('+00:00', 'Z')}")
    for name in _REACHING:
        value = settings.get(name)
        if isinstance(value, str) and value:
            found.append(f"--{name}={value}")
        elif value is False:
            found.append(f"--no-{name}")
    return found


def _login(registry: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Where the registry is and who asks, as npm's configuration has it (npm, npmrc, "Auth related configuration")."""
    bare = credentials.split(registry)[0] + "/"
    yield "npm_config_registry", bare
    login = credentials.Logins(environ).of(registry)
    if login is not None and login.user in {"", credentials.TOKEN}:
        yield f"npm_config_{bare.partition(':')[2]}:_authToken", login.password or ""
    elif login is not None:
        yield f"npm_config_{bare.partition(':')[2]}:_auth", b64encode(":".join(login.pair).encode()).decode()


def registry(environ: Mapping[str, str]) -> str:
    """Where packages are, perhaps with user info, without a final slash: what this machine says.

    `STACKBUILD_NPM_REGISTRY`, else npm's own variable, else what npm is configured to, which may be its default.

    Raises:
        StackbuildError: nothing says it, or it is no URL.
    """
    found = environ.get(VARIABLE) or environ.get("npm_config_registry") or environ.get("NPM_CONFIG_REGISTRY", "")
    if not found:
        found = str(_settings(environ).get("registry", ""))
    if urlsplit(found).scheme not in ("http", "https"):
        raise StackbuildError("npm's registry is no http or https URL", got=redact(found), next_step=f"set {VARIABLE}")
    return credentials.placed(found.rstrip("/"), credentials.named("npm", environ))


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if _KEPT.fullmatch(name)}
    return kept | environment_for_tools(environ)


def _settings(environ: Mapping[str, str]) -> dict[str, Any]:
    """What npm on this machine is configured to, the user's own configuration included; it keeps back secrets."""
    kept = {name: environ[name] for name in ("HOME", "XDG_CONFIG_HOME") if name in environ}
    return _listed(_binary(environ), tuple(sorted({**_environment(environ), **kept}.items())))


@cache
def _listed(binary: str, environ: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    command = [binary, "config", "list", "--json", "--long"]
    done = subprocess.run(
        command, cwd="/", env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        got = hostless(done.stderr.decode("utf-8", "replace")).strip()[-500:]
        where = shlex.join(["npm", *command[1:]])
        raise StackbuildError("npm does not say its configuration", where=where, got=got) from None
    return found


def _binary(environ: Mapping[str, str]) -> str:
    found = shutil.which("npm", path=environ.get("PATH"))
    if found is None:
        raise StackbuildError(
            "npm is not installed here: it solves what `npm` in stacks.toml asks for",
            expected="npm 10 or newer in PATH; only `stackbuild lock` needs it",
            next_step=f"apt-get install npm; for builds alone: set {VARIABLE} to the registry's URL",
        )
    return found
