"""The contract of OpenShift on a real image: kept as it was built, broken by each fault in its own point.

The image is Kubeflow's jupyter with the overlays and the layout of OpenShift's stacks, so that nothing has to be locked
and next to nothing is built; those stacks themselves are in test_openshift_catalogue.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from builder.built import Image
from builder.checks import Broken, Promised, Subject
from builder.checks.openshift import POINTS, check
from builder.errors import StackbuildError
from builder.runtimes.native import ready
from builder.tree import Bytes, Entry
from tests.e2e.altered import altered, program
from tests.e2e.project import ROOT, Site

USER, WRITES, HOME, PASSWORD, LABELS, S2I, VOLUME = POINTS
SITE = "opt/venv/lib/python3.11/site-packages"
START = "usr/local/bin/start-notebook.sh"
SCRIPTS = "usr/libexec/s2i"
IMAGE = """
[images.s2i]
same-as = "jupyter"
layout = "openshift"
overlays = ["fix-permissions", "notebook-start", "s2i"]
entrypoint = ["/usr/bin/env", "--"]
cmd = ["start-notebook.sh"]
workdir = "/home/jovyan/work"

[images.s2i.labels]
"io.k8s.description" = "S2I builder for Jupyter notebooks."
"io.k8s.display-name" = "Jupyter"
"io.openshift.expose-services" = "8888:http"
"io.openshift.s2i.scripts-url" = "image:///usr/libexec/s2i"
"io.openshift.tags" = "builder,python,jupyter"
"""


@pytest.fixture(scope="module")
def subject(catalogue: Site, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """What is tried, with ~/work, which comes with a root of that layout."""
    site = catalogue.clone(tmp_path_factory.mktemp("openshift"))
    with (site.folder / "stacks.toml").open("a") as manifest:
        manifest.write(IMAGE)
    shutil.copytree(site.folder / "locks/jupyter", site.folder / "locks/s2i")
    site.run("build", "s2i", "--no-start")
    image = altered(Image(site.store, site.result("s2i")), [Entry("home/jovyan/work", "dir", 0o2775, 1001, 0)])
    return Subject(image=image, container=lambda start: _never(), env=image.env(), promised=_unasked)


def _never() -> Any:
    raise AssertionError("a subject of these tests is started as `on` gives it")


def _unasked() -> Promised:
    raise AssertionError("an image built elsewhere has no locks, so the contract may not need any")


@contextmanager
def on(subject: Subject, entries: Sequence[Entry] = (), config: dict[str, Any] | None = None) -> Iterator[Subject]:
    """The subject with a fault, or as it is."""
    image = altered(subject.image, entries, config) if entries or config else subject.image
    with ready(image) as container:
        yield replace(subject, image=image, container=container, env=image.env())


def problem(point: str, subject: Subject, entries: Sequence[Entry] = (), config: dict[str, Any] | None = None) -> str:
    """What a point says of the image with a fault."""
    with on(subject, entries, config) as one, pytest.raises(Broken) as broken:
        POINTS[point](one)
    return str(broken.value)


def edited(path: str, *changes: tuple[str, str]) -> list[Entry]:
    """A script of the overlays with something else in it."""
    (place,) = (ROOT / "overlays").glob(f"*/{path}")
    text = place.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return [program(path, text)]


def test_what_was_built_keeps_it(subject: Subject) -> None:
    with on(subject) as one:
        assert [(outcome.name, outcome.problem) for outcome in check(one)] == [(name, "") for name in POINTS]


@pytest.mark.parametrize("user", ["jovyan", "0", "0:0", "1001:100", ""])
def test_a_user_that_openshift_cannot_judge(subject: Subject, user: str) -> None:
    assert problem(USER, subject, config={"User": user}).startswith("User: expected a number that is not 0")


def test_a_start_that_needs_an_account(subject: Subject) -> None:
    """As a random uid has none: the container ends, which is told with what it said."""
    fault = edited(START, ("\numask 0002\n", "\numask 0002\nwhoami >/dev/null\n"))
    with on(subject, fault) as one, pytest.raises(StackbuildError, match="no HTTP 200") as error:
        POINTS[USER](one)
    assert "cannot find name for user ID 54321" in str(error.value)


def test_files_that_the_group_may_not_write(subject: Subject) -> None:
    sealed = [
        Entry(f"{SITE}/sealed", "dir", 0o755),
        Entry(f"{SITE}/sealed/module.py", "file", 0o644, content=Bytes(b"")),
        Entry("home/jovyan/.config", "dir", 0o775, 1001, 100),
    ]
    assert problem(WRITES, subject, sealed).splitlines() == [
        "not writable for the group: /home/jovyan/.config (drwxrwxr-x 1001:100)",
        f"not writable for the group: /{SITE}/sealed (drwxr-xr-x 0:0)",
        f"not writable for the group: /{SITE}/sealed/module.py (-rw-r--r-- 0:0)",
    ]


def test_an_environment_that_pip_cannot_install_into(subject: Subject) -> None:
    fault = Entry(f"{SITE}/stackbuild_probe.py", "dir", 0o2775)
    assert "pip cannot install into /opt/venv" in problem(WRITES, subject, [fault])


def test_an_image_without_home(subject: Subject) -> None:
    env = [one for one in subject.image.config["Env"] if not one.startswith("HOME=")]
    assert "HOME among the image's variables" in problem(HOME, subject, config={"Env": env})
    gone = [*env, "HOME=/home/gone"]
    assert problem(HOME, subject, config={"Env": gone}) == "no folder: /home/gone"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("options+=(--IdentityProvider.token=)", ":")], "/api/contents without PASSWORD and without a login"),
        ([("[[ -n $given ]]", "false")], "/api/contents with PASSWORD and without a login: expected 403, got 200"),
        ([("unset PASSWORD", ": PASSWORD")], "PASSWORD in the server's environment"),
        (
            [("unset password", ": password"), ("--no-browser", '--ServerApp.custom_display_url="$password"')],
            "the password in its environment or command line",
        ),
    ],
    ids=["closed", "open", "kept", "shown"],
)
def test_a_password_that_is_not_what_it_should_be(
    subject: Subject, changes: Sequence[tuple[str, str]], words: str
) -> None:
    assert words in problem(PASSWORD, subject, edited(START, *changes))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("io.k8s.description", ""),
        ("io.k8s.display-name", ""),
        ("io.openshift.tags", ""),
        ("io.openshift.expose-services", "8080:http"),
        ("io.openshift.s2i.scripts-url", "https://example.com/scripts"),
    ],
)
def test_a_label_that_is_missing_or_wrong(subject: Subject, name: str, text: str) -> None:
    labels = {**subject.image.config["Labels"], name: text}
    said = problem(LABELS, subject, config={"Labels": labels})
    assert said.startswith(name)
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("script", "change", "words"),
    [
        ("assemble", ("chmod g+rwX", "chmod g-w"), "not writable for the group: /home/jovyan/work/"),
        ("assemble", ("    pip install", "    : pip install"), "stackbuild_probe is not in /opt/venv"),
        (
            "assemble",
            ("cp -R /tmp/src/.", "rm /tmp/src/*.ipynb; cp -R /tmp/src/."),
            "first.ipynb in the server's folder",
        ),
        ("run", ('exec start-notebook.sh "$@"', 'start-notebook.sh "$@"; exit $?'), "run must exec the server"),
    ],
    ids=["rights", "package", "sources", "exec"],
)
def test_s2i_scripts_that_do_something_else(subject: Subject, script: str, change: tuple[str, str], words: str) -> None:
    assert words in problem(S2I, subject, edited(f"{SCRIPTS}/{script}", change))


def test_a_server_elsewhere_than_in_the_volume(subject: Subject) -> None:
    assert "a file of the volume" in problem(VOLUME, subject, config={"WorkingDir": "/home/jovyan"})


def test_a_volume_whose_files_the_next_uid_cannot_write(subject: Subject) -> None:
    fault = edited(START, ("umask 0002", "umask 0022"))
    assert "new file group-writable (mode 0644)" in problem(VOLUME, subject, fault)
