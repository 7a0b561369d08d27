"""What the reader makes of a manifest, and what it says about a wrong one."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import Problems, StackbuildError
from builder.manifest.model import Manifest, Target
from builder.manifest.read import loads, read

from .test_lines import quoted
from .test_schema import SKETCH, mutations

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TEXT = (HERE / "sketch.toml").read_text()


def problems(text: str) -> list[StackbuildError]:
    with pytest.raises(StackbuildError) as caught:
        loads(text, Path("stacks.toml"))
    return list(caught.value.problems) if isinstance(caught.value, Problems) else [caught.value]


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_the_sketch() -> None:
    manifest = read(HERE / "sketch.toml")
    assert list(manifest.images) == [
        "base",
        "jupyter",
        "jupyter-openshift",
        "jupyter-pytorch",
        "jupyter-scipy",
    ]
    assert manifest.project.exclude_newer == datetime(2026, 11, 1, tzinfo=UTC)
    assert manifest.project.resolver == "uv"
    base, jupyter = manifest.images["base"], manifest.images["jupyter"]
    assert (base.parent, base.archive, base.layout) == ("", "bookworm", "kubeflow")
    assert base.asks["overlays"] == ("s6", {"name": "base", "owner": "user"})
    assert base.entrypoint == ("/init",)
    assert jupyter.parent == "base"
    assert jupyter.asks["python"] == {"from": "apt", "prefix": "/opt/venv"}
    assert jupyter.expose == (8888,)
    assert manifest.place("jupyter") == f"sketch.toml:{line_of(TEXT, '[images.jupyter]')}"
    assert manifest.indexes == {"torch-cpu": "https://packages.example.com/whl/cpu"}
    assert manifest.layouts["kubeflow"].home_template == "/tmp_home/jovyan"
    assert manifest.variants["cuda"].virtual == ("__cuda==13.0",)
    torch = manifest.sets["torch"]
    assert torch.together
    assert torch.on == {"cpu": {"index": "torch-cpu"}}
    assert manifest.lines["images.jupyter.pip[1]"] == line_of(TEXT, '"jupyterlab==4.5.7"')


def test_the_catalogue() -> None:
    manifest = read(ROOT / "stacks.toml")
    found = {str(target) for target in manifest.targets()}
    plain = {
        f"{image}:cpu@{platform}"
        for image in (
            "base",
            "base-trixie",
            "jupyter",
            "jupyter-pytorch",
            "jupyter-scipy",
            "jupyter-tensorflow",
            "rstudio",
        )
        for platform in ("linux/amd64", "linux/arm64")
    }
    assert plain <= found
    cuda = {f"{image}{full}" for image in ("jupyter-pytorch", "jupyter-tensorflow") for full in ("", "-full")}
    assert {one for one in found if ":cuda@" in one} == {f"{image}:cuda@linux/amd64" for image in cuda}
    assert {manifest.title(one) for one in manifest.targets() if one.image.startswith("jupyter-pytorch")} == {
        f"jupyter-pytorch{variant}{full}" for variant in ("", "-cuda", "-gaudi") for full in ("", "-full")
    }
    scipy = Target("jupyter-scipy", "cpu", "linux/amd64")
    assert manifest.ask(scipy, "sdists") == ("kfp-server-api",)
    assert all("==" in request for request in manifest.ask(scipy, "pip"))


def test_requests_of_sets_are_replaced_by_name() -> None:
    manifest = read(HERE / "sketch.toml")
    assert manifest.ask(Target("jupyter-pytorch", "cpu", "linux/amd64"), "pip") == (
        "Numpy==2.4.7", "pandas==3.0.3", "scipy==1.17.1", "torch==2.12.0", "torchvision==0.27.0"
    )  # fmt: skip
    cuda = Target("jupyter-pytorch", "cuda", "linux/amd64")
    assert "torch==2.12.1" in manifest.ask(cuda, "pip")
    assert manifest.where(cuda, "pip", "torch") == f"sketch.toml:{line_of(TEXT, 'torch==2.12.1')}"
    assert manifest.where(cuda, "pip", "torchvision") == f"sketch.toml:{line_of(TEXT, 'torchvision==')}"
    assert manifest.where(cuda, "pip", "idna") == f"sketch.toml:{line_of(TEXT, '[images.jupyter-pytorch]')}"
    gaudi = Target("jupyter-scipy", "gaudi", "linux/amd64")
    assert {"numpy==1.26.4", "pandas==2.2.3", "scipy==1.17.1"} < set(manifest.ask(gaudi, "pip"))


def test_same_as() -> None:
    """The OpenShift sibling: same pins, another owner; `env` is added to, other keys are replaced."""
    manifest = loads(
        TEXT
        + '[images.twice]\nsame-as = "jupyter-openshift"\nlabels = { a = "b" }\nexpose = [8080]\n'
        + "[images.twice.env]\nMORE = '1'\n",
        Path("stacks.toml"),
    )
    jupyter, sibling, twice = (manifest.images[name] for name in ("jupyter", "jupyter-openshift", "twice"))
    assert sibling.asks == twice.asks == jupyter.asks
    assert (sibling.parent, sibling.layout, sibling.same_as, sibling.expose) == (
        "base",
        "openshift",
        "jupyter",
        (8888,),
    )
    assert (twice.layout, twice.workdir, twice.expose) == ("openshift", "/opt/app-root/work", (8080,))
    assert twice.env == {"PATH": "/opt/app-root/bin:/usr/bin", "MORE": "1"}
    target = Target("twice", "cpu", "linux/amd64")
    assert manifest.where(target, "pip", "notebook") == f"stacks.toml:{line_of(TEXT, '[images.jupyter]') + 3}"


def test_a_cutoff_in_days() -> None:
    manifest = loads(TEXT.replace("2026-11-01T00:00:00Z", '"3 days"'), Path("stacks.toml"))
    now, cutoff = datetime.now(UTC), manifest.project.exclude_newer
    assert cutoff is not None and cutoff.time() == datetime.min.time()
    assert timedelta(days=3) <= now - cutoff < timedelta(days=4, minutes=1)
    assert manifest.project.cooldown == 3


def test_a_set_may_have_the_channels_of_its_packages() -> None:
    wanted = 'together = true\nchannels = ["conda-forge"]\nconda = ["r-base"]'
    manifest = loads(TEXT.replace("together = true", wanted), Path("stacks.toml"))
    (target, *_) = (one for one in manifest.targets() if one.image == "jupyter-pytorch")
    assert manifest.option(target, "channels") == ("conda-forge",)


def test_sets_bring_variables_and_answers() -> None:
    """A set is a mixin: what several roots say alike stands in one place, and an image's own word counts more."""
    manifest = loads(
        TEXT
        + '[sets.locale]\napt = ["locales"]\ndebconf = ["locales locales/x select y"]\n'
        + 'env = { LANG = "en_US.UTF-8", LC_ALL = "C.UTF-8" }\n'
        + '[images.twice]\nfrom = "base"\nuse = ["locale"]\nenv = { LC_ALL = "de_DE.UTF-8" }\n'
        + 'debconf = ["tzdata tzdata/Areas select Etc"]\n',
        Path("stacks.toml"),
    )
    target = Target("twice", "cpu", "linux/amd64")
    assert manifest.image(target).env == {"LANG": "en_US.UTF-8", "LC_ALL": "de_DE.UTF-8"}
    answers = [text for _, asked in manifest.asking(target) for text in asked.get("debconf", ())]  # type: ignore[union-attr]
    assert answers == ["locales locales/x select y", "tzdata tzdata/Areas select Etc"]


CASES = tomli.loads((HERE / "problems.toml").read_text())


@pytest.mark.parametrize("name", CASES)
def test_problem(name: str) -> None:
    """Each case is reported, on the line where a person would look, and with what helps."""
    old, new, what, help_ = (CASES[name][key] for key in ("old", "new", "what", "help"))
    assert TEXT.count(old) >= 1, "the case does not fit the sketch"
    text = TEXT.replace(old, new, 1)
    found = [one for one in problems(text) if one.what.startswith(what)]
    assert len(found) == 1, [one.what for one in problems(text)]
    assert help_ in found[0].expected + found[0].next_step + found[0].got
    if old.count("\n") == new.count("\n"):
        assert found[0].where in {f"stacks.toml:{line_of(TEXT, old) + n}" for n in range(3)} or "left" in what


def test_variant_without_parent() -> None:
    text = TEXT.replace('from = "jupyter"\nuse', 'from = "jupyter-scipy"\nuse').replace('["cpu", "gaudi"]', '["gaudi"]')
    assert [(one.what, one.got) for one in problems(text)] == [
        ("no parent for jupyter-pytorch:cpu", "jupyter-scipy has gaudi"),
        ("no parent for jupyter-pytorch:cuda", "jupyter-scipy has gaudi"),
    ]


def test_platform_without_parent() -> None:
    text = TEXT.replace("expose = [8888]", 'platforms = ["linux/amd64"]')
    found = problems(text)
    assert [one.what for one in found] == [
        "no parent for jupyter-scipy:cpu on linux/arm64",
        "no parent for jupyter-pytorch:cpu on linux/arm64",
    ]
    assert found[0].next_step == "narrow platforms of images.jupyter-scipy, or widen those of images.jupyter"


def test_image_platform_that_the_project_lacks() -> None:
    text = TEXT.replace('["linux/amd64", "linux/arm64"]', '["linux/amd64"]').replace(
        "expose = [8888]", 'platforms = ["linux/amd64", "linux/arm64"]'
    )
    assert [one.what for one in problems(text)] == ["not a platform of the project: images.jupyter.platforms[1]"]


def test_names_are_printed_harmlessly() -> None:
    """A name with an escape sequence, in the list of names of another problem, reached the terminal once."""
    found = problems(TEXT.replace('use = ["science"]', 'use = ["zzz"]').replace("[sets.torch]", '[sets."\\u001b[2J"]'))
    assert any("\\x1b[2J" in one.expected for one in found)
    assert all(part.isprintable() for one in found for row in one.lines() for part in row)


def test_names_that_are_near_to_none() -> None:
    found = problems(TEXT.replace('layout = "openshift"', 'layout = "zzz"\nqqq = 1'))
    assert [one.what for one in found] == [
        "unknown layout: images.jupyter-openshift.layout",
        "unknown key: images.jupyter-openshift.qqq",
    ]
    assert found[0].expected == "a name that [layouts] defines: kubeflow, openshift"
    assert found[1].expected.startswith("one of apt, ")
    assert [one.next_step for one in found] == ["", ""]


def test_all_problems_at_once_in_the_order_of_lines() -> None:
    """Shape and fit together, each once, though one hides what the other would say."""
    text = (
        TEXT.replace("gid = 0\ngroups", "gdi = 0\ngroups", 1)
        .replace('from = "base"', 'from = "bse"')
        .replace('"notebook==7.5.6"', '"notebook==7.5.6" , "torch=="')
        .replace('use = ["science"]', "use = 3")
    )
    with pytest.raises(Problems) as caught:
        loads(text, Path("stacks.toml"))
    whats = [one.what for one in caught.value.problems]
    assert whats == [
        "missing key: layouts.kubeflow.gid",
        "unknown key: layouts.kubeflow.gdi",
        "unknown image: images.jupyter.from",
        "bad value: images.jupyter.pip[3]",
        "wrong type: images.jupyter-scipy.use",
    ]
    lines = [int(one.where.rpartition(":")[2]) for one in caught.value.problems]
    assert lines == sorted(lines)
    assert caught.value.lines()[0] == "5 problems"


def test_how_a_problem_reads() -> None:
    text = TEXT.replace('from = "base"', 'from = "bsae"')
    with pytest.raises(Problems) as caught:
        loads(text, Path("/somewhere/stacks.toml"))
    assert str(caught.value).splitlines() == [
        "unknown image: images.jupyter.from",
        f"  stacks.toml:{line_of(text, 'bsae')}",
        '  got: "bsae"',
        '  next: did you mean "base"?',
    ]


@pytest.mark.parametrize(
    ("text", "what", "where", "got"),
    [
        ("[project]\nname = \n", "not TOML: Invalid value", "stacks.toml:2", "name ="),
        ("[project]\na = 1\na = 2\n", "not TOML: Cannot overwrite a value", "stacks.toml:3", "a = 2"),
        ("x = '\x1b[31m'", "not TOML: ", "stacks.toml:1", r"x = '\x1b[31m'"),
        ("x = " + "[" * 5000, "not ", "stacks.toml", ""),
    ],
    ids=["no value", "twice", "escape sequence", "nested"],
)
def test_no_toml(text: str, what: str, where: str, got: str) -> None:
    (problem,) = problems(text)
    assert problem.what.startswith(what)
    assert problem.where.startswith(where)
    assert problem.got.startswith(got)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StackbuildError, match="no stacks manifest"):
        read(tmp_path / "stacks.toml")
    with pytest.raises(StackbuildError, match="cannot read"):
        read(tmp_path)
    path = tmp_path / "stacks.toml"
    path.write_bytes(b"# a\n# b\xff\n")
    with pytest.raises(StackbuildError, match="not UTF-8") as caught:
        read(path)
    assert (caught.value.where, caught.value.got) == ("stacks.toml:2", "byte 0xff")


def test_empty() -> None:
    assert [one.what for one in problems("")] == ["missing key: project", "missing key: images"]


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return quoted(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(mutations(), st.data())
def test_any_change_is_understood_or_reported(document: dict[str, Any], data: st.DataObject) -> None:
    """Never another exception; every problem has a line of the text."""
    for table, name in (("images", "jupyter"), ("sets", "science"), ("project", "platforms")):
        if data.draw(st.integers(0, 9)) == 0 and isinstance(document.get(table), dict):
            document[table].pop(name, None)
    text = "\n".join(f"{quoted(key)} = {toml(item)}" for key, item in document.items())
    try:
        assert isinstance(loads(text, Path("stacks.toml")), Manifest)
    except Problems as error:
        for problem in error.problems:
            line = int(problem.where.removeprefix("stacks.toml:"))
            assert 1 <= line <= text.count("\n") + 1
            assert all(part.isprintable() for row in problem.lines() for part in row)


def test_reading_back_what_was_read() -> None:
    text = "\n".join(f"{quoted(key)} = {toml(item)}" for key, item in SKETCH.items())
    again, once = loads(text, Path("stacks.toml")), loads(TEXT, Path("stacks.toml"))
    assert again.sets == once.sets
    assert again.layouts == once.layouts
    assert list(again.targets()) == list(once.targets())


def test_order_of_tables_does_not_matter() -> None:
    head, *parts = TEXT.split("\n[")
    turned = head + "\n[" + "\n[".join(reversed(parts))
    once, again = loads(TEXT, Path("x")), loads(turned, Path("x"))
    assert list(again.images) == list(once.images)
    assert list(again.layouts) == list(once.layouts)


HEAVY = """asyncio builder.layer builder.net builder.sandbox builder.store click difflib http
    importlib.metadata isal jsonschema networkx packaging pydantic rich ssl subprocess urllib.request"""


@pytest.mark.parametrize(
    "program",
    ["import builder.manifest.read", "import builder.kinds as room; room.kinds()"],
    ids=["read", "kinds"],
)
def test_start_up_is_light(program: str) -> None:
    """Every command reads the manifest, so neither that nor a kind's declaration pulls in what does work."""
    program += "; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(HEAVY.split()) & set(run.stdout.split()) == set()
