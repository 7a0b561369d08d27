"""A pull request of a stranger: its manifest, locks, overlays and names are read by CI, and nothing else happens.

Every command that CI runs on a branch before a person has looked at it (lock, plan, diff and those that only read) runs
for real, with secrets in its environment and in its home, on branches made to run code, to read or to send a secret, to
write elsewhere, or to say something in a comment, a terminal or a workflow's log that is not theirs to say.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from builder.errors import StackbuildError
from builder.manifest import read as manifest
from tests import osv, tiny
from tests.loopback import Service, serve

ROOT = Path(__file__).parent.parent
SECRET = "s3cret-0f-the-runner"
READERS = (
    ("lock", "--check"),
    ("plan", "--since", "main", "--github-matrix"),
    ("diff", "--since", "main", "--markdown"),
    ("diff", "--since", "main"),
    ("diff", "--since", "main", "--format", "json"),
    ("why", "torch"),
    ("tree", "app"),
    ("status",),
    ("explain", "app"),
    ("audit", "app"),
    ("export", "renovate"),
)
LINK = "https://osv.dev/PYSEC-2026-1"
"""The one that a comment may have: it comes from the database, which the runner chose."""
ADVISORIES = [osv.entry("PYSEC-2026-1", osv.affected("PyPI", "torch", {"introduced": "0"}))]
LOCKER = ("lock", "--upgrade")
APP = """
[images.app]
from = "base"
pip = ["torch"]
overlays = ["app"]
"""


PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
import builder.cli, importlib, json, tempfile
said = []
for words in json.loads(sys.argv[2]):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as used:
        if not (child := os.fork()):
            os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
            sys.argv[:] = ["stackbuild", *words]
            code = 0
            try:
                builder.cli.main()
            except SystemExit as stop:
                code = stop.code or 0
            sys.stdout.flush(), sys.stderr.flush()
            os.write(used.fileno(), "\\n".join(sys.modules).encode())
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [os.pread(one.fileno(), 1 << 24, 0).decode(errors="surrogateescape") for one in (out, err, used)]
        said.append([code, *texts[:2]])
        for name in texts[2].split():
            if name.startswith(("builder.", "networkx.", "packaging.", "requests.", "tomlkit.")):
                importlib.import_module(name)
print(json.dumps(said))
"""
"""Each command in a process of its own, of one that has loaded what the ones before it needed: as in CI, but sooner."""


@dataclass
class Said:
    arguments: tuple[str, ...]
    code: int
    out: str
    err: str


@dataclass
class Branch:
    """A clone whose `main` is sound, with what a stranger changed in its work tree.

    Attributes:
        folder: the clone; `outside` lies beside it, and holds what no branch has a business with.
        mark: a file that appears when code of the branch runs.
    """

    folder: Path
    outside: Path
    mark: Path
    service: Service
    environ: dict[str, str]
    said: list[Said] = field(default_factory=list)

    def write(self, path: str, text: str) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def append(self, text: str) -> None:
        with (self.folder / "stacks.toml").open("a") as stream:
            stream.write(text)

    def link(self, path: str, target: Path | str) -> None:
        place = self.folder / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def lock(self) -> Path:
        """The lock of pip's packages of the app."""
        (found,) = (self.folder / "locks/app").glob("*.pip.txt")
        return found

    def run(self, *arguments: str) -> Said:
        return self.run_each([arguments])[0]

    def run_all(self) -> None:
        self.run_each([*READERS, LOCKER, *READERS[:3]])

    def run_each(self, commands: Sequence[tuple[str, ...]]) -> list[Said]:
        """Commit what the work tree has, and run the commands one after another."""
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", "from a stranger")
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, str(ROOT), json.dumps(commands)], cwd=self.folder, env=self.environ,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = [Said(tuple(words), *one) for words, one in zip(commands, json.loads(done.stdout), strict=True)]
        self.said += found
        return found

    def problems(self) -> list[str]:
        """What happened that must not."""
        found = [f"code of the branch ran: {self.mark.read_text()}"] if self.mark.exists() else []
        for path, content in self._outside().items():
            if content != SECRET and path.name == "secret":
                found.append(f"{path} was written")
        found += [f"{path} appeared" for path in self._outside() if path.name != "secret"]
        for sent, login in self.service.seen:
            if SECRET in sent or SECRET in login or "cnVubmVy" in login:
                found.append(f"the secret was sent: {sent} {login}")
        for one in self.said:
            for stream in (one.out, one.err):
                if SECRET in stream:
                    found.append(f"{one.arguments} prints the secret: {stream[-2000:]}")
                if "Traceback" in stream or one.code not in {0, 1, 2, 3}:
                    found.append(f"{one.arguments} ends with {one.code}: {stream[-2000:]}")
                if strange := re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", stream):
                    found.append(
                        f"{one.arguments} moves the terminal: {stream[max(0, strange.start() - 80) :][:160]!r}"
                    )
                if orders := re.findall(r"^\s*(?:::|##\[).*", stream, re.MULTILINE):
                    found.append(f"{one.arguments} gives the workflow orders: {orders}")
            if "--github-matrix" in one.arguments and one.code == 0 and one.out.count("\n") != 1:
                found.append(f"the matrix is more than a line: {one.out}")
            if "--markdown" in one.arguments:
                found += [f"{one.arguments} says in a comment: {text}" for text in spoken(one.out)]
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and SECRET in path.read_text(errors="replace"):
                found.append(f"{path} holds the secret")
        return found

    def _outside(self) -> dict[Path, str]:
        return {path: path.read_text() for path in self.outside.rglob("*") if path.is_file()}


def spoken(text: str) -> Iterator[str]:
    """What of a Markdown text acts on its own, by an independent reader: HTML but folds, links, images, mentions."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = [child for token in parser.parse(text) for child in (token, *(token.children or ()))]
    for token in tokens:
        if token.type in {"html_inline", "html_block"}:
            rest = re.sub(r"</?(details|summary)>|<code>[^<>]*</code>", "", token.content)
            if re.search(r"[<>@]|://", rest):
                yield token.content
        elif token.attrs.get("href") == LINK:
            continue
        elif token.type in {"link_open", "image"} or (
            token.type == "text" and re.search(r"@\w|://|\bwww\.|#\d", token.content)
        ):
            yield f"{token.type} {token.content} {token.attrs}"


def git(folder: Path, *words: str) -> str:
    own = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def main(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Service]]:
    """A sound project, locked and committed, and the server that it was locked from."""
    top = tmp_path_factory.mktemp("main")
    folder = top / "project"
    folder.mkdir()
    with serve(top / "served") as service:
        tiny.archive(service, folder)
        service.publish(*tiny.wheel("torch", "1.0", ["sympy"]))
        service.publish(*tiny.wheel("sympy", "1.0"))
        branch = Branch(folder, top / "outside", top / "mark", service, _environ(top, service))
        branch.append(tiny.MANIFEST + APP)
        branch.write("overlays/app/etc/motd", "hello\n")
        git(folder, "init", "-q", "-b", "main")
        assert branch.run("lock").code == 0, branch.said
        assert branch.run("lock", "--check").code == 0
        git(folder, "switch", "-q", "-c", "stranger")
        yield top, service


@pytest.fixture
def branch(main: tuple[Path, Service], tmp_path: Path) -> Branch:
    top, service = main
    shutil.copytree(top / "project", tmp_path / "project", symlinks=True)
    service.seen.clear()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text(SECRET)
    return Branch(tmp_path / "project", outside, tmp_path / "mark", service, _environ(tmp_path, service))


def _environ(top: Path, service: Service) -> dict[str, str]:
    """What a runner has: secrets in variables, and in files of its home."""
    home = top / "home"
    (home / ".docker").mkdir(parents=True)
    (home / ".netrc").write_text(f"machine registry.example.com login runner password {SECRET}\n")
    (home / ".netrc").chmod(0o600)
    (home / ".docker/config.json").write_text(
        json.dumps({"auths": {"registry.example.com": {"auth": "cnVubmVyOnMzY3JldA=="}}})
    )
    secrets = (
        "GH_TOKEN",
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "REGISTRY_PASSWORD",
        "STACKBUILD_SIGNING_KEY",
        "STACKBUILD_CACHE_KEY",
    )
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "STACKBUILD_STORE": str(top / "store"),
        "STACKBUILD_MIRROR_TOY": service.url,
        "PIP_INDEX_URL": f"{service.url}/simple",
        "STACKBUILD_ADVISORIES": str(osv.folder(top / "osv", ADVISORIES)),
        **dict.fromkeys(secrets, SECRET),
    }


def test_a_sound_branch_is_read_without_a_problem(branch: Branch) -> None:
    """Else the others prove nothing."""
    branch.write("overlays/app/etc/motd", "another\n")
    branch.run_all()
    assert [(one.arguments[0], one.code) for one in branch.said if one.code] == [("audit", 1)]
    assert branch.problems() == []
    assert "`app:cpu@" in next(one.out for one in branch.said if "--markdown" in one.arguments)


# Code -------------------------------------------------------------------------------------------------------------


def test_modules_and_settings_beside_the_manifest(branch: Branch) -> None:
    """What Python, its tools, npm, conda and git find in the folder that they are started in."""
    code = f"import os; open({str(branch.mark)!r}, 'a').write(__file__ + ' ')\n"
    modules = ("sitecustomize", "usercustomize", "tomli", "click", "networkx", "uv", "pip", "packaging", "json", "cvss")
    for name in (*modules, "piptools", "tomlkit", "requests", "conda_lock", "rattler", "yaml", "tempfile"):
        branch.write(f"{name}.py", code)
        branch.write(f"builder/{name}.py", code)
    branch.write("builder/__init__.py", code)
    branch.write("builder/__main__.py", code)
    branch.write("setup.py", code)
    branch.write(
        "pyproject.toml", '[build-system]\nrequires = []\nbuild-backend = "sitecustomize"\nbackend-path = ["."]\n'
    )
    program = f"#!/bin/sh\necho $0 >> {branch.mark}\n"
    for name in ("git", "uv", "python3", "keyring", "docker-credential-x", "npm", "node", "gpgv"):
        branch.write(name, program)
        (branch.folder / name).chmod(0o755)
    elsewhere = f"{branch.service.url}/elsewhere/simple"
    branch.write("uv.toml", f'index-url = "{elsewhere}"\n')
    branch.write("pip.conf", f"[global]\nindex-url = {elsewhere}\n")
    branch.write(".npmrc", f"script-shell={branch.folder}/git\nregistry={elsewhere}\n")
    branch.write(".condarc", f"channels: [{elsewhere}]\n")
    branch.write(".env", f"PIP_INDEX_URL={elsewhere}\nPATH={branch.folder}\n")
    branch.write(".netrc", "default login stranger password stranger\n")
    branch.run_all()
    assert branch.problems() == []
    assert not [sent for sent, _ in branch.service.seen if "elsewhere" in sent]


def test_attributes_and_a_bare_repository(branch: Branch) -> None:
    """Filters that a clone may know, and a folder that is a repository of its own, whose settings name programs."""
    branch.write(".gitattributes", "* filter=evil diff=evil merge=evil export-subst text\n")
    run = f"sh -c 'echo ran >> {branch.mark}'"
    for name, text in {
        "HEAD": "ref: refs/heads/main\n",
        "config": f'[core]\n bare = false\n worktree = .\n fsmonitor = "{run}"\n hooksPath = hooks\n'
        f'[filter "evil"]\n smudge = "{run}"\n clean = "{run}"\n[diff "evil"]\n textconv = "{run}"\n'
        f'[tar "tar"]\n command = "{run}"\n',
        "objects/.keep": "",
        "refs/heads/.keep": "",
    }.items():
        branch.write(f"nested/{name}", text)
    shutil.copytree(branch.folder / "locks", branch.folder / "nested/locks")
    shutil.copytree(branch.folder / "overlays", branch.folder / "nested/overlays")
    for name in ("stacks.toml", "keys.gpg"):
        shutil.copy(branch.folder / name, branch.folder / "nested" / name)
    branch.run_all()
    branch.run_each([("-C", "nested", *arguments) for arguments in READERS])
    assert branch.problems() == []


REQUESTS = (
    "-r {outside}/secret",
    "--index-url={url}/elsewhere/simple",
    "-e .",
    ".",
    "./evil",
    "torch @ {url}/elsewhere/torch-9.tar.gz",
    "torch @ file://{outside}/secret",
    "torch @ git+ext::sh -c touch% {mark}",
    "torch; python_version < '3'\n--index-url={url}/elsewhere/simple",
    "${{GH_TOKEN}}",
    "torch[${{GH_TOKEN}}]",
    "torch==${{GH_TOKEN}}",
    "torch==$(touch {mark})",
    "https://{outside}/x.tgz",
    "git+ssh://git@{url}/x",
    "file:{outside}",
)


@pytest.mark.parametrize("key", ["pip", "apt", "conda", "npm", "sdists", "constraints", "apt-build", "npm-build"])
def test_requests_that_are_options_places_or_programs(key: str, branch: Branch) -> None:
    """Most are refused by the manifest's own rules; whatever they let through is locked."""
    sound = (branch.folder / "stacks.toml").read_text()
    more = {"conda": 'channels = ["main"]\n', "npm": 'node = { prefix = "/opt/npm" }\n'}.get(key, "")
    for request in REQUESTS:
        text = request.format(outside=branch.outside, url=branch.service.url, mark=branch.mark)
        asked = f"{key} = [{json.dumps(text)}]\n{more}"
        body = APP.replace('pip = ["torch"]\n', asked) if key == "pip" else APP + asked
        branch.write("stacks.toml", sound.replace(APP, body))
        try:
            manifest.read(branch.folder / "stacks.toml")
        except StackbuildError as error:
            assert key in error.where or key in str(error), error
            if request is not REQUESTS[0]:
                continue  # Once is enough to see what commands say of it.
        assert branch.run("lock").code == 1, (request, branch.said[-1])
        assert branch.run("diff", "--since", "main", "--markdown").code == 1
    assert branch.problems() == []
    assert not [sent for sent, _ in branch.service.seen if "elsewhere" in sent]


@pytest.mark.parametrize(
    "revision",
    [
        "--output={mark}",
        "--upload-pack=touch {mark}",
        "--exec=touch {mark}",
        "main;touch {mark}",
        "main:stacks.toml",
    ],
)
def test_revisions_that_are_options(revision: str, branch: Branch) -> None:
    text = revision.format(mark=branch.mark)
    for arguments in (
        ("plan", f"--since={text}"),
        ("diff", f"--since={text}"),
        ("diff", text),
        ("plan", f"--since=main:{text}"),
    ):
        assert branch.run(*arguments).code in {1, 2}
    assert branch.problems() == []


# Places that are not the branch's ---------------------------------------------------------------------------------


def test_a_lock_that_is_a_link(branch: Branch) -> None:
    """To a secret: it is not read aloud; to somewhere else: nothing is written there."""
    path = branch.lock().relative_to(branch.folder)
    branch.link(str(path), branch.outside / "secret")
    branch.run_all()
    branch.link(str(path), branch.outside / "new")
    branch.run_all()
    assert branch.problems() == []


@pytest.mark.parametrize(
    "name", ["locks", "locks/app", "overlays", "overlays/app", "stacks.toml", "keys.gpg", "released"]
)
def test_a_part_of_the_project_that_is_a_link(name: str, branch: Branch) -> None:
    branch.link(name, branch.outside / "secret" if "." in name else branch.outside)
    branch.run_all()
    assert branch.problems() == []


@pytest.mark.parametrize("target", ["/proc/self/environ", "{outside}/secret", "../../../outside/secret", "/dev/zero"])
def test_an_overlay_with_links_to_outside(target: str, branch: Branch) -> None:
    """Links of an image lead somewhere in the image: they are copied, never followed."""
    branch.link("overlays/app/etc/motd", target.format(outside=branch.outside))
    branch.link("overlays/app/etc/folder", branch.outside)
    branch.run_all()
    assert branch.problems() == []


def test_paths_in_the_manifest_that_lead_out(branch: Branch) -> None:
    text = (branch.folder / "stacks.toml").read_text()
    for old, new in {
        'keyring = "keys.gpg"': f'keyring = "{branch.outside}/secret"',
        'overlays = ["app"]': 'overlays = ["../../outside"]',
        "[images.app]": '[images."../../outside/new"]',
        'pip = ["torch"]': 'pip = ["torch"]\nindex = "file:///etc"',
    }.items():
        branch.write("stacks.toml", text.replace(old, new))
        branch.run_all()
    assert branch.problems() == []


# What is said -----------------------------------------------------------------------------------------------------

PRINTED = "a`b|c</summary></details><script>alert(1)</script> @everyone ![x](https://evil.example) --> %0a::error::x #1"
MOVING = "new\nline\n::set-output name=matrix::x\n::add-mask::y\r##[error]z\x1b]0;title\x07\x1b[2J\u202etxt.exe"
NAMES = pytest.mark.parametrize("name", [PRINTED, MOVING], ids=["printed", "moving"])


@NAMES
def test_names_of_files(name: str, branch: Branch) -> None:
    for part in (name, *name.split()):
        branch.write("overlays/app/etc/" + part.replace("/", ":"), "x")
        branch.write("overlays/" + part.replace("/", ":") + "/x", "x")
    branch.run_all()
    assert branch.problems() == []


@NAMES
def test_names_in_the_manifest(name: str, branch: Branch) -> None:
    """Of an image, a set, a variant, a layout; as versions, reasons and values."""
    text = (branch.folder / "stacks.toml").read_text()
    quoted = json.dumps(name)
    for old, new in (
        ("[images.app]", f"[images.{quoted}]"),
        ("[images.app]", f'[sets.{quoted}]\npip = ["sympy"]\n[images.app]'),
        ("[images.app]", f"[variants.{quoted}]\n[images.app]\nvariants = [{quoted}]"),
        ("layouts.plain", f"layouts.{quoted}"),
        ('"torch"', quoted),
        ('"torch"', json.dumps(f"torch=={name}")),
        ('name = "tiny"', f"name = {quoted}"),
        ("[images.app]", f'[[audit.accept]]\nid = "PYSEC-2026-1"\nreason = {quoted}\n[images.app]'),
        ("[images.app]", f"[images.app]\nlabels = {{ x = {quoted} }}"),
        ("[images.app]", f"[images.app]\nenv = {{ X = {quoted} }}"),
        ("[images.app]", f"{quoted} = 1\n[images.app]"),
    ):
        branch.write("stacks.toml", text.replace(old, new))
        branch.run_each([*READERS[1:3], ("lock",)])
    assert branch.problems() == []


@NAMES
def test_names_in_locks(name: str, branch: Branch) -> None:
    text = branch.lock().read_text()
    assert "torch==1.0" in text
    for old, new in (
        ("torch==1.0", f"{name}==1.0"),
        ("torch==1.0", f"torch=={name}"),
        ("sympy", name),
        ("sympy", name.encode("unicode_escape").decode()),
        ("#", f"# {name}"),
    ):
        branch.lock().write_text(text.replace(old, new))
        branch.run_each([*READERS[:3], ("why", "sympy"), ("tree", "app"), ("audit", "app")])
    assert branch.problems() == []


# What takes for ever ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 200_000,
        "a = " + "{b=" * 100_000,
        ".".join("a" * 50_000) + " = 1",
        "a = " + "9" * 100_000,
        "[" + ".".join("b" * 20_000) + "]",
        "\x00",
        "\ufeff",
        "a = 1\na = 2",
    ],
    ids=["lists", "tables", "keys", "number", "headers", "nul", "mark", "twice"],
)
def test_a_manifest_that_is_deep_or_no_text(text: str, branch: Branch) -> None:
    branch.append(text + "\n")
    assert [one.code for one in branch.run_each(READERS[:4])] == [1] * 4
    assert branch.problems() == []
