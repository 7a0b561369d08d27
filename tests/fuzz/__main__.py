"""Runs parsers under libFuzzer (atheris), and keeps what takes a way of its own."""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from tests.fuzz import CORPUS, parsers

MEMORY = 1024
"""Megabytes that a parser may take."""
SECONDS = 10
"""That one input may take: some hundred times what any takes."""
LONGEST = 1 << 16
KEPT = ("find-", "seed-")
"""How the names of inputs begin that somebody put there, and that stay: old finds, and where to begin."""


def main() -> None:
    if sys.argv[1:2] == ["--inside"]:
        _fuzz(sys.argv[2], sys.argv[3:])
    known = parsers()
    reader = argparse.ArgumentParser(prog="scripts/fuzz", description="Fuzz the parsers of foreign bytes.")
    reader.add_argument("names", nargs="*", metavar="PARSER", help=f"of {', '.join(known)}; all for none")
    reader.add_argument("--seconds", type=int, default=60, help="for each parser (default: 60)")
    reader.add_argument("--jobs", type=int, default=os.cpu_count(), help="parsers at once (default: one for a core)")
    words = reader.parse_args()
    names = words.names or list(known)
    if unknown := set(names) - known.keys():
        reader.error(f"no such parser: {', '.join(sorted(unknown))}")
    # Processes, so that each knows what its own children took.
    with ProcessPoolExecutor(words.jobs) as pool:
        sound = pool.map(_run, names, repeat(words.seconds))
        failed = [name for name, well in zip(names, sound, strict=True) if not well]
    if failed:
        sys.exit(f"finds in: {', '.join(failed)}")


def _run(name: str, seconds: int) -> bool:
    """Fuzz one parser in a process of its own; its corpus has what the run added, as little as covers the same."""
    parser, kept = parsers()[name], CORPUS / name
    with tempfile.TemporaryDirectory() as folder:
        seeds, found, finds = Path(folder, "seeds"), Path(folder, "found"), Path(folder, "finds")
        for one in (seeds, found, finds):
            one.mkdir()
        for number, data in enumerate(parser.seeds()):
            (seeds / f"{number}").write_bytes(data)
        if kept.is_dir():
            shutil.copytree(kept, seeds, dirs_exist_ok=True)
        limits = [f"-timeout={SECONDS}", f"-rss_limit_mb={MEMORY}", f"-max_len={LONGEST}", f"-artifact_prefix={finds}/"]
        command = [sys.executable, "-m", "tests.fuzz", "--inside", name]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        done = subprocess.run(
            [*command, *limits, f"-max_total_time={seconds}", "-print_final_stats=1", str(found), str(seeds)],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        tried = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
        ways = re.findall(r"cov: (\d+)", done.stderr)
        busy = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        counts = f"{' '.join(tried) or 'no'} inputs, {ways[-1] if ways else 'no'} edges"
        print(f"{name}: {counts}, {busy:.0f} s of one core", flush=True)
        if done.returncode:
            print(done.stderr[-3000:])
            for one in sorted(finds.iterdir()):
                shutil.copy(one, Path.cwd() / f"{name}-{one.name}")
                print(f"kept as {name}-{one.name}")
            return False
        merged = Path(folder, "merged")
        merged.mkdir()
        subprocess.run(
            [*command, "-merge=1", *limits, str(merged), str(seeds), str(found)], capture_output=True, check=True
        )
        _keep(merged, kept)
    return True


def _keep(merged: Path, kept: Path, most: int = 12, longest: int = 8192) -> None:
    """The shortest inputs of a corpus, enough to notice what changes, few enough for git; and `KEPT`."""
    kept.mkdir(parents=True, exist_ok=True)
    for path in kept.iterdir():
        if not path.name.startswith(KEPT):
            path.unlink()
    found = sorted((path for path in merged.iterdir()), key=lambda path: (path.stat().st_size, path.name))
    for path in [one for one in found if one.stat().st_size <= longest][:most]:
        shutil.copy(path, kept / path.name[:16])


def _fuzz(name: str, arguments: list[str]) -> None:
    """Never returns. Only what is imported in here is looked into."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["builder", "zipfile", "tarfile", "tomli", "installer"]):
        parser = parsers()[name]

    def one(data: bytes) -> None:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            parser.attempt(data, Path(folder))

    # To merge corpora, libFuzzer starts itself again, by what it takes for its own name, in a shell.
    atheris.Setup([shlex.join([sys.executable, "-P", "-m", "tests.fuzz", "--inside", name]), *arguments], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
