"""The points of `contents` that read a root, on roots made here, and its program on a real virtual environment."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder.checks import Broken, Environment, Promised, _python, contents
from builder.checks import _imports as program
from builder.checks._python import Said
from builder.checks._root import Survey, conda_packages, distributions, owned_by_dpkg, prefix_of, survey
from builder.files import Files
from builder.manifest.model import Target

SITE = "/opt/venv/lib/python3.11/site-packages"
ENVIRONMENT = Environment(
    prefix="/opt/venv", pins={"one": "1.0", "two": "2.0"}, wheels=frozenset({"one", "two"}), asked=("one",)
)
NOTHING = Said()


def promised(*, cuda: bool = False, held: frozenset[tuple[str, str]] = frozenset()) -> Promised:
    return Promised(
        target=Target("lab", "cuda" if cuda else "cpu", "linux/amd64"),
        environments=(ENVIRONMENT,),
        conda={},
        apt={},
        held=held,
        cuda=cuda,
    )


def put(folder: Path, path: str, text: str = "") -> None:
    place = folder / path.strip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def install(folder: Path, name: str, version: str, files: Mapping[str, str], site: str = SITE) -> None:
    """A distribution as pip leaves one."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not this one\n"
    rows = [f"{path},{digest(text)},{len(text)}" for path, text in {**files, f"{info}/METADATA": metadata}.items()]
    for path, text in {**files, f"{info}/METADATA": metadata}.items():
        put(folder, f"{site}/{path}", text)
    put(folder, f"{site}/{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Files:
    install(tmp_path, "one", "1.0", {"one/__init__.py": "", "one/deep.py": "deep = 1\n", "../../../bin/one": "#!\n"})
    install(tmp_path, "Two", "2.0", {"two.py": "two = 2\n"})
    return Files(tmp_path)


def problem(point: object, *arguments: object) -> list[str]:
    """The lines of what is wrong, nothing for a point that is kept."""
    assert callable(point)
    try:
        point(*arguments)
    except Broken as broken:
        return str(broken).splitlines()
    return []


def python_points(root: Files, said: Said = NOTHING) -> dict[str, list[str]]:
    walked = survey(root)
    there = _python.installed(root, walked, ENVIRONMENT)
    found = {
        "pinned": problem(_python.pinned, ENVIRONMENT, there),
        "unnamed": problem(_python.unnamed, ENVIRONMENT, there),
        "files": problem(_python.files, ENVIRONMENT, root, walked),
        "copies": problem(_python.copies, promised(), ENVIRONMENT, root, walked, said),
    }
    return {name: lines for name, lines in found.items() if lines}


def test_what_is_as_the_locks_say_is_kept(root: Files) -> None:
    assert survey(root).sites == (SITE,)
    assert python_points(root) == {}


def test_a_missing_package(root: Files) -> None:
    for name in ("METADATA", "RECORD"):
        (root.folder / f"{SITE[1:]}/Two-2.0.dist-info/{name}").unlink()
    (root.folder / f"{SITE[1:]}/Two-2.0.dist-info").rmdir()
    assert python_points(root) == {"pinned": ["two==2.0 is not there"]}


@pytest.mark.parametrize(
    ("there", "kept"), [("1.0", True), ("1.0.0", True), ("1.0+cpu", False), ("1.1", False), ("odd", False)]
)
def test_versions_are_compared_as_pep_440_has_them(tmp_path: Path, there: str, kept: bool) -> None:
    install(tmp_path, "one", there, {})
    install(tmp_path, "two", "2.0", {})
    wanted = {} if kept else {"pinned": [f"one: the locks say 1.0, there is {there}"]}
    assert python_points(Files(tmp_path)) == wanted


def test_two_versions_of_one_package(root: Files) -> None:
    install(root.folder, "one", "0.9", {})
    assert python_points(root) == {"pinned": ["one==1.0 is there 2 times: 0.9, 1.0"]}


def test_a_package_that_no_lock_names(root: Files) -> None:
    install(root.folder, "stray", "3.0", {"stray.py": ""})
    assert python_points(root) == {"unnamed": [f"stray==3.0 in {SITE}/stray-3.0.dist-info"]}


def test_files_that_are_not_those_of_the_wheel(root: Files) -> None:
    put(root.folder, f"{SITE}/one/deep.py", "deep = 2\n")
    put(root.folder, f"{SITE}/two.py", "two = 3\n")
    (root.folder / "opt/venv/bin/one").unlink()
    (root.folder / "opt/venv/bin/one").symlink_to("/etc/passwd")
    lines = [
        f"one: {SITE}/one/deep.py has other bytes",
        "one: /opt/venv/bin/one is no file",
        f"two: {SITE}/two.py has other bytes",
    ]
    assert sorted(python_points(root)["files"]) == sorted(lines)


def test_a_file_that_two_packages_claim_has_either_ones_bytes(root: Files) -> None:
    """As `prefer` in the manifest settles it: RECORD still names the file that another package brings."""
    install(root.folder, "two", "2.0", {"one/deep.py": "deep = 2\n"})
    assert "files" not in python_points(root)


def test_bytecode_has_no_digest_but_must_be_there(root: Files) -> None:
    with (root.folder / f"{SITE[1:]}/one-1.0.dist-info/RECORD").open("a") as stream:
        stream.write("one/__pycache__/deep.cpython-311.pyc,,\n")
    assert python_points(root) == {"files": [f"one: {SITE}/one/__pycache__/deep.cpython-311.pyc is gone"]}


def test_long_lists_are_cut() -> None:
    lines = problem(_python.pinned, Environment(prefix="/opt/venv", pins={f"p{n:02}": "1" for n in range(20)}), ())
    assert lines[0] == "p00==1 is not there"
    assert lines[-1] == "and 12 more"
    assert len(lines) == 9


@pytest.mark.parametrize(
    "site",
    [
        "/usr/local/lib/python3.11/dist-packages",
        "/.local/lib/python3.11/site-packages",
        "/home/jovyan/.local/lib/python3.11/site-packages",
        "/tmp_home/jovyan/.local/lib/python3.12/site-packages",
        "/opt/conda/lib/python3.12/site-packages",
    ],
)
def test_second_copies(root: Files, site: str) -> None:
    install(root.folder, "one", "0.9", {"one/__init__.py": "", "other.py": ""}, site)
    assert python_points(root) == {"copies": [f"one==0.9 in {site}", f"{site}/one, a module of one"]}


def test_what_dpkg_brought_is_no_second_copy_unless_it_is_seen(root: Files) -> None:
    site = "/usr/lib/python3/dist-packages"
    install(root.folder, "one", "0.9", {"one/__init__.py": ""}, site)
    assert "copies" in python_points(root)
    put(root.folder, "/var/lib/dpkg/info/python3-one.list", f"/.\n{site}/one\n{site}/one-0.9.dist-info\n/etc/one\n")
    assert owned_by_dpkg(root) == {f"{site}/one", f"{site}/one-0.9.dist-info"}
    assert python_points(root) == {}
    seen = Said(places=(("one", "0.9", site), ("one", "1.0", SITE), ("other", "1", site)))
    assert python_points(root, seen) == {"copies": [f"one==0.9 in {site}, which /opt/venv/bin/python3 sees"]}


def test_what_a_base_image_is_known_to_hold_is_no_second_copy(root: Files) -> None:
    site = "/usr/local/lib/python3.12/site-packages"
    install(root.folder, "one", "0.9", {"one/__init__.py": ""}, site)
    known = promised(held=frozenset({("/usr/local", "one")}))
    assert problem(_python.copies, known, ENVIRONMENT, root, survey(root), NOTHING) == []


def test_links_of_an_image_are_followed_inside_of_it(tmp_path: Path) -> None:
    secret = tmp_path / "host/secret"
    put(tmp_path, "host/secret", "host")
    folder = tmp_path / "root"
    put(folder, "usr/lib/file", "mine")
    (folder / "lib").symlink_to("/usr/lib")
    (folder / "out").symlink_to(f"../../..{tmp_path}/host")
    (folder / "loop").symlink_to("loop")
    (folder / "usr/lib/link").symlink_to(secret)
    os.mkfifo(folder / "usr/lib/pipe")
    root = Files(folder)
    assert root.read("/lib/file") == b"mine"
    assert root.names("/lib") == ("file", "link", "pipe")
    assert root.exists("/lib/link")
    paths = ("/out/secret", "/usr/lib/link", "/lib/link", "/loop/file", "/usr/lib", "/../host/secret", "/absent/file")
    assert [root.read(path) for path in paths] == [None] * len(paths)
    assert [root.sha256(path) for path in paths] == [None] * len(paths)
    assert root.names("/out") == ()
    assert root.read("/usr/lib/pipe") == b""  # It would wait for a writer for ever.


def test_prefixes() -> None:
    assert prefix_of(SITE) == "/opt/venv"
    assert prefix_of("/usr/lib/python3/dist-packages") == "/usr"
    assert prefix_of("/lib/python3.11/site-packages") == "/"
    assert prefix_of("/opt/more") == ""


def test_metadata_of_any_form(tmp_path: Path) -> None:
    put(tmp_path, f"{SITE}/egg_one-1.0-py3.11.egg-info/PKG-INFO", "Name: egg.one\nVersion: 1.0\n")
    put(tmp_path, f"{SITE}/egg_two-2.0.egg-info", "Name: egg_two\r\nVersion: 2.0\r\n\r\nText\r\n")
    put(tmp_path, f"{SITE}/bare-3.0.dist-info/other")
    found = [(one.name, one.version) for one in distributions(Files(tmp_path), SITE)]
    assert found == [("bare", "3.0"), ("egg-one", "1.0"), ("egg-two", "2.0")]


def test_conda_meta_against_the_locks(tmp_path: Path) -> None:
    record = {"name": "numpy", "version": "2.1.0", "build": "py312h2_0"}
    put(tmp_path, "/opt/conda/conda-meta/numpy-2.1.0-py312h2_0.json", json.dumps(record))
    put(tmp_path, "/opt/conda/conda-meta/odd.json", "{")
    put(tmp_path, "/opt/conda/conda-meta/history")
    found = conda_packages(Files(tmp_path), "/opt/conda")
    assert list(contents.differences({"numpy": "2.1.0 py312h2_0", "odd.json": "unreadable"}, found)) == []
    assert list(contents.differences({"numpy": "2.2.0 0", "six": "1 0"}, found)) == [
        "numpy: the locks say 2.2.0 0, there is 2.1.0 py312h2_0",
        "odd.json unreadable is in no lock",
        "six 1 0 is not there",
    ]


def test_cuda_libraries_by_their_names(tmp_path: Path) -> None:
    wanted = [
        "libcudart.so.13",
        "libcublasLt.so.12",
        "libnccl.so.2",
        "libcudart-9f1a2b3c.so.12.1.105",
        "libcudnn_ops.so.9",
    ]
    for name in (*wanted, "libcudf.so.1", "libnccl.py", "libcudart.txt", "libcurand_tests"):
        put(tmp_path, f"/opt/{name}")
    put(tmp_path, "/proc/libcudart.so.13")
    assert survey(Files(tmp_path)).libraries == tuple(sorted(f"/opt/{name}" for name in wanted))


def test_a_root_that_is_gone_has_not_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        survey(Files(tmp_path / "gone"))


def cuda(*libraries: str) -> Survey:
    return Survey(sites=(), libraries=libraries)


def test_cuda_belongs_in_its_variants() -> None:
    assert problem(contents.cuda, promised(), cuda()) == []
    assert problem(contents.cuda, promised(), cuda("/a/libnccl.so.2")) == ["/a/libnccl.so.2 in variant cpu"]
    assert problem(contents.cuda, promised(cuda=True), cuda("/a/libcudart.so.13", "/b/libnccl.so.2")) == []
    assert problem(contents.cuda, promised(cuda=True), cuda("/b/libnccl.so.2")) == ["variant cuda has no libcudart"]
    two = problem(contents.cuda, promised(cuda=True), cuda("/a/libcudart.so.13", "/b/libcudart-1a.so.12.4"))
    assert two == ["several versions of CUDA: 13 (/a/libcudart.so.13), 12 (/b/libcudart-1a.so.12.4)"]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ("cuda>=13.0", True),
        ("cuda>=13.0 brand=tesla,driver>=470,driver<471", True),
        ("cuda>=12.9", False),
        ("cuda>=14", False),
        ("driver>=580", False),
    ],
)
def test_the_driver_that_is_asked_for(wanted: str, kept: bool) -> None:
    lines = problem(contents.driver, {"NVIDIA_REQUIRE_CUDA": wanted}, cuda("/a/libcudart.so.13"))
    assert (lines == []) == kept
    assert problem(contents.driver, {"NVIDIA_REQUIRE_CUDA": wanted}, cuda()) == []


# The program that runs in the image -------------------------------------------------------------------------------


def test_modules_of_a_package() -> None:
    files = ["one/__init__.py", "one/deep/__init__.py", "two.py", "_three.py", "four.cpython-311-x86_64-linux-gnu.so"]
    files += ["google/cloud/thing/__init__.py", "google/cloud/thing/a.py", "tests/__init__.py", "../../../bin/x.py"]
    files += ["no-name/a.py", "six/data.txt", "ext/__init__.abi3.so"]
    assert program.modules(files) == ["ext", "four", "google.cloud.thing", "one", "two"]


def test_imports_in_a_real_environment(tmp_path: Path) -> None:
    """Each package in a process of its own: one that fails, kills Python or comes from elsewhere harms no other."""
    venv.create(tmp_path / "venv", with_pip=False)
    site = f"/venv/lib/python3.{sys.version_info.minor}/site-packages"
    install(tmp_path, "good", "1.0", {"good/__init__.py": "print('RESULT noise')\n"}, site)
    install(tmp_path, "bad", "1.0", {"bad.py": "import absent_module\n"}, site)
    install(tmp_path, "fatal", "1.0", {"fatal.py": "import os\nprint('last words', flush=True)\nos.abort()\n"}, site)
    install(tmp_path, "leaving", "1.0", {"leaving.py": "raise SystemExit(0)\n"}, site)
    install(tmp_path, "moved", "1.0", {"moved.py": ""}, site)
    install(tmp_path, "bare", "1.0", {"data.txt": ""}, site)
    put(tmp_path, "elsewhere/moved.py")
    put(tmp_path, f"{site}/egg-1.0.egg-info/PKG-INFO", "Name: egg\nVersion: 1.0\n")
    put(tmp_path, f"{site}/egg-1.0.egg-info/SOURCES.txt", "src/wrong/__init__.py\n")
    put(tmp_path, f"{site}/egg-1.0.egg-info/top_level.txt", "absent_too\n")
    names = ["good", "bad", "fatal", "leaving", "moved", "bare", "egg", "gone"]
    source = Path(program.__file__).read_text()
    done = subprocess.run(
        [tmp_path / "venv/bin/python3", "-c", source, *names],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "elsewhere")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said = _python.parsed(done.stdout)
    assert [one[:2] for one in said.places] == sorted((name, "1.0") for name in names[:-1])
    assert [list(one) for one in said.problems] == [
        ["bad", "bad", "ModuleNotFoundError: No module named 'absent_module'"],
        ["fatal", "fatal", "Python ended with exit code -6 / last words"],
        ["leaving", "leaving", "SystemExit: 0"],
        ["moved", "moved", f"comes from {tmp_path}/elsewhere/moved.py, which is no file of the package"],
        ["egg", "absent_too", "ModuleNotFoundError: No module named 'absent_too'"],
        ["gone", "", "not found by importlib.metadata"],
    ]
    with pytest.raises(Broken, match="bad: import bad: ModuleNotFoundError"):
        _python.importable(said)


@pytest.mark.parametrize("said", ["", "noise", "RESULT {", "RESULT []", 'RESULT {"problems": [1], "places": []}'])
def test_a_python_that_says_something_else(said: str) -> None:
    with pytest.raises(Broken, match="does not say what it imported"):
        _python.parsed(said)
