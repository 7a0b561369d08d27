"""The rules of the house, kept by pytest: linters and types, the order of imports, what starts fast, short files."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest
import tomli

from builder.digest import Digest
from builder.kinds import kinds
from builder.manifest.model import Target
from builder.platforms import NATIVE
from builder.store import Store
from builder.workflow import fresh, projects

ROOT: Final = Path(__file__).parent.parent
LONGEST: Final = 300

ORDER: Final = """
    advice background chains closure digits ecosystem escaping frames guarded headers naming purls redaction removal
    replacing settling toml
    errors platforms
    limits
    digest lease scratch offline file_urls
    licences
    incoming image_index image_layout sealing flocks
    tree lock manifest.shape own project_files
    store interpreter waiver cells sandbox_child untar manifest.fragments manifest.lines proxies
    user_config
    credentials
    session
    requester
    downloading
    net remote sandbox scan listing failed action difference program tar content blob
    weight compression comparison
    layer
    unpacked plan ahead transports processes files
    built
    runtimes
    marking sweeping weighing evicting root_inspecting inspecting
    parts conflicts impure signing signatures entry exchange cache kinds.*
    manifest
    locks fetching about
    bill provenance
    inputs keytable
    awaited checked packing
    state
    site locking image together
    kinds
    planner advisories
    executors checks exports templates
    workflow
    commands
    cli
"""
"""A module imports from lines above its own, or from its own line (without cycles); a room stands for all its files.

`kinds.*` are the kinds' declarations (`kinds/__init__.py`, `kinds/<kind>.py`, `kinds/<kind>/__init__.py`), of which
the manifest's schema is made; what the kinds do with a manifest comes after it.
"""

ONLY_IN: Final = {
    "click": ("cli", "commands"),
    "conda_lock": ("kinds.conda.lockfile",),
    "cryptography": ("checks._gateway", "signatures.keys", "signing"),
    "cvss": ("advisories.severity",),
    "distributed": ("executors.dask", "executors.dask_local", "executors.dask_round", "executors.dask_worker"),
    "deflate": ("compression.gzip",),
    "docker": ("runtimes.docker", "transports.daemon"),
    "http": ("net", "runtimes"),
    "installer": ("kinds.pip",),
    "isal": ("compression.gzip", "content", "unpacked"),
    "multiprocessing": ("executors",),
    "nacl": ("signatures.cosign_key",),
    "networkx": ("packing", "plan"),
    "packageurl": ("purls",),
    "packaging": ("kinds.pip", "licences"),
    "pip": ("kinds.pip.index",),
    "pysequoia": ("kinds.apt.keyring",),
    "rattler": ("kinds.conda.matching", "kinds.conda.worker"),
    "requests": ("downloading", "net", "requester", "session"),
    "rich": ("commands",),
    "tomli": ("manifest.lines", "toml"),
    "urllib.request": (),
    "urllib3": ("downloading", "session"),
    "tomlkit": ("manifest.pins",),
    "uv": ("kinds.pip.uv",),
    "yaml": ("exports.yaml_text", "kinds.conda.lockfile"),
    "zstandard": ("compression.zstd", "frames"),
    # In a root file system: sandbox_child alone, and the programs that run inside it. On the host: resolvers, git, and
    # the whole of stackbuild again, for `verify`. `unpacked` names a constant; `failed` copies as only cp(1) does.
    "subprocess": (
        "checks._imports",
        "credentials",
        "failed",
        "kinds.apt.install",
        "kinds.conda.solve",
        "kinds.npm.npm",
        "kinds.pip.piptools",
        "kinds.pip.uv",
        "program",
        "sandbox",
        "sandbox_child.start",
        "transports.docker_config",
        "unpacked",
        "workflow.git",
        "workflow.verify",
    ),
}
"""Who may import what, wherever in the file: one door for each library."""

SLOW: Final = frozenset(ONLY_IN) - {"click", "tomli"} | {"asyncio", "concurrent", "piptools", "ssl"}
"""What a command that has nothing to do must not import: top-level names."""


def _modules() -> dict[str, Path]:
    """Every module of the package by its name without `builder.`; the package itself is ""."""
    found = {}
    for path in sorted((ROOT / "builder").rglob("*.py")):
        parts = path.relative_to(ROOT / "builder").with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES: Final = _modules()
SCRIPTS: Final = sorted(str(path) for path in (ROOT / "scripts").iterdir() if path.is_file())
PYTHON: Final = (
    "builder",
    "examples",
    "tests",
    *(path for path in SCRIPTS if "python" in Path(path).open().readline()),
)


def _statements(node: ast.AST, *, inside_functions: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _statements(child, inside_functions=inside_functions)


def _imports(path: Path, *, inside_functions: bool) -> Iterator[tuple[str, int]]:
    """Full names of imported modules, and lines; `if TYPE_CHECKING:` is no hiding place."""
    for node in _statements(ast.parse(path.read_bytes()), inside_functions=inside_functions):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
            continue
        assert not node.level, f"{path}:{node.lineno}: relative import"
        module = node.module or ""
        for alias in node.names:
            whole = f"{module}.{alias.name}"
            is_module = whole.removeprefix("builder.") in MODULES or whole in ONLY_IN
            yield (whole if is_module else module), node.lineno


def _needs(module: str) -> set[str]:
    """The modules of the package that a module imports when it is imported itself."""
    found = (name for name, _ in _imports(MODULES[module], inside_functions=False))
    return {name.removeprefix("builder.") for name in found if name.startswith("builder.")}


def _place(module: str) -> int:
    """The line of ORDER a module stands in, by its own name or the longest one of a room above it."""
    lines = [line.split() for line in ORDER.strip().splitlines()]
    parts = module.split(".")
    if parts[0] == "kinds" and len(parts) <= 2:
        module = "kinds.*"
    names = [module, *(".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))]
    for name in names:
        for number, line in enumerate(lines):
            if name in line:
                return number
    raise AssertionError(f"{module} has no place in ORDER (tests/test_house.py): give it one")


def _below(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def _tool(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_kind_that_plans_with_files_of_the_project_says_which() -> None:
    """Else a key table would not notice that one of them changed; see `inputs.py`."""
    for name, module in kinds().items():
        text = "".join(path.read_text() for path in (ROOT / "builder/kinds" / name).glob("build.py"))
        assert ("from builder.own import" in text) == hasattr(module, "reads"), name


def test_ruff_finds_nothing() -> None:
    _tool("ruff", "check", "--quiet", *PYTHON)


def test_code_is_formatted() -> None:
    _tool("ruff", "format", "--check", *PYTHON)


def test_types_hold() -> None:
    _tool("mypy", "--no-error-summary")


def test_imports_point_upward() -> None:
    wrong = [
        f"{module} imports {needed}, which comes later"
        for module in MODULES
        if module
        for needed in sorted(_needs(module))
        if _place(needed) > _place(module)
    ]
    assert not wrong, "\n".join(wrong)


def test_imports_have_no_cycles() -> None:
    """Nor with the packages above a module, whose `__init__` is imported first."""
    graph = {module: _needs(module) | ({module.rpartition(".")[0]} - {""}) for module in MODULES if module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_library_has_one_door(library: str) -> None:
    wrong = [
        f"builder/{path.relative_to(ROOT / 'builder')}:{line} imports {name}"
        for module, path in MODULES.items()
        if not _below(module, ONLY_IN[library])
        for name, line in _imports(path, inside_functions=True)
        if _below(name, (library,))
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_command_line_exits() -> None:
    """Programs that run in a sandbox end themselves as well: they are nobody's library."""
    apt = ("kinds.apt.extract", "kinds.apt.install", "kinds.apt.stage", "kinds.apt.unpack")
    programs = ("sandbox_child", *apt, "kinds.pip.backend_program", "kinds.pip.compile_program", "kinds.conda.worker")
    wrong = [
        f"{path}:{node.lineno}"
        for module, path in MODULES.items()
        if not _below(module, ("cli", "commands", *programs))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if (isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.exit", "os._exit", "os.abort"})
        or (isinstance(node, ast.Raise) and node.exc and ast.unparse(node.exc).startswith("SystemExit"))
    ]
    assert not wrong, "\n".join(wrong)


def test_every_dependency_is_imported() -> None:
    """What pyproject.toml asks for is what the package imports, and the other way round."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomli.loads(text)["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dask"]]
    asked = {line.split(">=")[0] for line in lines}
    imported = {
        name.split(".")[0]
        for path in MODULES.values()
        for name, _ in _imports(path, inside_functions=True)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "builder"}
    }
    names = {
        "conda-lock": "conda_lock",
        "packageurl-python": "packageurl",
        "py-rattler": "rattler",
        "pynacl": "nacl",
        "pyyaml": "yaml",
    }
    # pip-tools is run as `python -m piptools`; urllib3 is what requests raises errors and verifies with.
    assert "piptools" in MODULES["kinds.pip.piptools"].read_text(encoding="utf-8")
    assert imported - {"urllib3"} == {names.get(name, name) for name in asked} - {"pip-tools"}


def test_files_are_short() -> None:
    lengths = {path: len(path.read_bytes().splitlines()) for path in MODULES.values()}
    assert not {str(path): length for path, length in lengths.items() if length > LONGEST}


def _slow_imports(arguments: list[str], environ: Mapping[str, str]) -> tuple[str, set[str]]:
    """What a command prints, and which slow libraries it imported on the way."""
    program = (
        "import json, sys\n"
        "from builder.cli import cli\n"
        "try:\n"
        "    cli.main(json.loads(sys.argv[1]), prog_name='stackbuild', standalone_mode=False)\n"
        "finally:\n"
        "    print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, json.dumps(arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, set(json.loads(done.stderr.splitlines()[-1])) & SLOW


def _standing(project: Path, store_path: Path) -> None:
    """A project whose one image was built already and has not changed since."""
    manifest = project / "stacks.toml"
    manifest.write_text("# Not read as long as its digest is known.\n")
    store = Store.open(store_path)
    blob, key = str(store.put_blob(b"{}")), Digest.of(b"plan")
    layer = {"digest": blob}
    store.put_action(key, {}, {"manifest": {"digest": blob}, "config": blob, "layers": [layer]})
    fresh.remember(manifest, store, {Target.parse(f"base:cpu@{NATIVE}"): fresh.Known(key=str(key), tags={})})
    projects.put(store, projects.Known(manifest=manifest, name="standing"))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["build", "--help"], ["lock", "--help"]])
def test_help_imports_nothing_slow(arguments: list[str]) -> None:
    said, slow = _slow_imports(arguments, {})
    assert "stackbuild" in said
    assert not slow


def test_help_needs_no_toml() -> None:
    program = "import sys, builder.cli; sys.exit('tomli' in sys.modules or 'builder.manifest' in sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.parametrize("arguments", [["build"], ["build", "--changed"], ["build", "base"]])
def test_build_with_nothing_to_do_imports_nothing_slow(arguments: list[str], tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    _standing(project, tmp_path / "store")
    said, slow = _slow_imports(["-C", str(project), *arguments], {"STACKBUILD_STORE": str(tmp_path / "store")})
    assert f"base:cpu@{NATIVE}" in said or "unchanged" in said
    assert not slow
