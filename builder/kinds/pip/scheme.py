"""Where things lie in a Python environment, and with which modes: sysconfig's schemes, bytecode as PEP 3147 has it."""

from __future__ import annotations

from dataclasses import dataclass

from installer.utils import Scheme

FILE_MODE, PROGRAM_MODE, FOLDER_MODE = 0o664, 0o775, 0o775
"""Group rights equal user rights, owner 0:0, in every family: families with another gid share these layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What wheels are laid into; all that a wheel's tree depends on beside the wheel.

    Attributes:
        prefix: absolute path, without a trailing slash.
        python: `3.11`.
        virtual: whether it is a virtual environment (PEP 405), not the prefix that the Python itself lies in.
        interpreter: absolute path of the interpreter, for the first line of scripts.
    """

    prefix: str
    python: str
    virtual: bool = True

    @property
    def interpreter(self) -> str:
        return f"{self.prefix}/bin/python{self.python}"

    @property
    def site(self) -> str:
        """Where modules go, relative to the root of the image."""
        return f"{self.prefix.strip('/')}/lib/python{self.python}/site-packages"

    def folder(self, scheme: Scheme, distribution: str) -> str:
        """The folder of an installation scheme, relative to the root (sysconfig, `venv` or `posix_prefix`; pip)."""
        base = self.prefix.strip("/")
        headers = f"{base}/include/site" if self.virtual else f"{base}/include"
        return {
            "purelib": self.site,
            "platlib": self.site,
            "scripts": f"{base}/bin",
            "headers": f"{headers}/python{self.python}/{distribution}",
            "data": base,
        }[scheme]


def has_bytecode(path: str) -> bool:
    """Whether a module, by its path below site-packages, is compiled ahead.

    A package's own tests are not: of a scientific image they are two fifths of what there is to compile, and nothing
    imports them but a run of those tests, which Python then compiles as it goes.
    """
    *folders, name = path.split("/")
    return name.endswith(".py") and "tests" not in folders[1:]


def cache_path(source: str, python: str) -> str:
    """Where the bytecode of a source lies (PEP 3147)."""
    folder, _, name = source.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-{python.replace('.', '')}.pyc"
