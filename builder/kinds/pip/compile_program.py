"""Compile Python sources to bytecode. Executed by the *image's* interpreter inside the sandbox, on its own.

Two things make bytecode differ between runs: the path and time it embeds, which are given, and what the process did
before, as marshal's references depend on the life of every interned string. So each chunk of at most 64 sources is
compiled in a child forked from a process that has compiled nothing, in the order given: a wheel's bytecode is a
function of the wheel, the interpreter and the path alone.

Sources that do not compile (templates, tests of syntax errors) have no bytecode, as with pip.
"""

import importlib._bootstrap_external as external
import json
import os
import sys
import warnings
import zipfile
import zlib

CHUNK = 64


def main() -> None:
    with open(sys.argv[1]) as stream:
        order = json.load(stream)
    warnings.simplefilter("ignore")
    tasks = []
    for wheel in order["wheels"]:
        for number, start in enumerate(range(0, len(wheel["files"]), CHUNK)):
            scratch = f"{order['out']}/{wheel['name']}.{number}"
            tasks.append((wheel["archive"], wheel["files"][start : start + CHUNK], scratch))
    running: dict[int, str] = {}
    failed = False
    for archive, files, scratch in tasks:
        if len(running) >= order["jobs"]:
            failed = reap(running) or failed
        child = os.fork()
        if child == 0:
            code = 1
            try:
                compile_chunk(archive, files, scratch, order["mtime"])
                code = 0
            except BaseException as error:
                os.write(2, f"{error or type(error).__name__}\n".encode())
            finally:
                os._exit(code)
        running[child] = scratch
    while running:
        failed = reap(running) or failed
    if failed:
        sys.exit(1)


def reap(running: "dict[int, str]") -> bool:
    child, status = os.wait()
    if status:
        sys.stderr.write(f"compiling {running[child]} ended with status {status}\n")
    del running[child]
    return status != 0


def compile_chunk(archive: str, files: "list[list]", scratch: str, mtime: int) -> None:  # type: ignore[type-arg]
    with open(archive, "rb") as stream, zipfile.ZipFile(scratch, "w") as out:
        for path, offset, packed, size, method in files:
            stream.seek(offset)
            data = stream.read(packed)
            if method == 8:
                data = zlib.decompressobj(-15).decompress(data, size + 1)  # Not more, whatever is in there.
            if len(data) != size:
                sys.exit(f"{path}: {len(data)} bytes, not {size}")
            try:
                code = compile(data, "/" + path, "exec", dont_inherit=True, optimize=-1)
                compiled = external._code_to_timestamp_pyc(code, mtime, size)  # type: ignore[attr-defined]
            except (SyntaxError, ValueError, RecursionError, UnicodeDecodeError, MemoryError):
                continue
            out.writestr(zipfile.ZipInfo(path), compiled)


main()
