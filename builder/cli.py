"""The command group: loads a command's module only when it is called, and is the only place that exits."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from builder import __version__
from builder.errors import StackbuildError
from builder.offline import VARIABLE

_COMMANDS = Path(__file__).with_name("commands")


class Lazy(click.Group):
    """A group whose commands are the modules of `commands/`, each with a click command of its own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(path.stem.rstrip("_") for path in _COMMANDS.glob("[a-z]*.py"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"builder.commands.{cmd_name}")
        found: click.Command = module.command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(error.message + hint, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with the first line of its module, read without importing it."""
        rows = [(name, _summary(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _summary(name: str) -> str:
    with (_COMMANDS / f"{name}.py").open() as stream:
        return stream.readline().strip().strip('"')


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-C", "folder", metavar="FOLDER", default=".", help="The folder of the project.")
@click.option("--offline", is_flag=True, help="Ask no network for anything; STACKBUILD_OFFLINE=1 says the same.")
@click.version_option(__version__, prog_name="stackbuild")
@click.pass_context
def cli(ctx: click.Context, folder: str, offline: bool) -> None:
    """Build families of notebook images from locks: reproducibly, and only what a change touches."""
    if offline:
        os.environ[VARIABLE] = "1"  # Whatever this run starts shall know it too.
    ctx.obj = Path(folder).absolute()


def main() -> None:
    """The `stackbuild` command: 0 fine, 1 failed or differs, 2 usage."""
    become_root()
    try:
        cli.main(prog_name="stackbuild", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except StackbuildError as error:
        sys.stdout.flush()
        print("error: " + _without_secrets("\n".join(error.lines())), file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"error: {error.strerror or error}{where}\n  what was finished is kept; next: run the same command again",
            file=sys.stderr,
        )
        sys.exit(1)
    except Exception:
        from traceback import format_exc

        print(_without_secrets(format_exc()), end="", file=sys.stderr)
        sys.exit(1)


def _without_secrets(text: str) -> str:
    """What is told of a failure, without any credential that this machine knows."""
    from builder.credentials import secrets
    from builder.redaction import redact
    from builder.user_config import environment

    try:
        known = environment(os.environ)
    except StackbuildError:
        known = os.environ  # That file is wrong, which may be what is being told.
    return redact(text, secrets(known))


_NEED_ROOT = frozenset({"build", "check", "gc", "lock", "run", "shell", "store", "verify"})


def become_root() -> None:
    """As an ordinary user, start again inside a user namespace with the subordinate ids of /etc/subuid.

    Trees have many owners, and only there may one process write them (user_namespaces(7), newuidmap(1)).
    """
    wanted = _wanted(sys.argv[1:])
    if os.geteuid() == 0 or wanted not in _NEED_ROOT or "STACKBUILD_IN_NAMESPACE" in os.environ:
        return
    if wanted == "lock" and not _can_unshare():
        return  # Locks need no sandbox, but for sdists, which say so.
    os.environ["STACKBUILD_IN_NAMESPACE"] = "1"
    command = [sys.executable, "-P", "-m", "builder.cli", *sys.argv[1:]]
    try:
        os.execvp("unshare", ["unshare", "--user", "--map-root-user", "--map-auto", "--", *command])
    except FileNotFoundError:
        return


def _wanted(words: Sequence[str]) -> str:
    """The command among the words of a command line: the first that is neither an option nor the folder of `-C`."""
    folders = {number + 1 for number, word in enumerate(words) if word == "-C"}
    return next((word for number, word in enumerate(words) if number not in folders and word[:1] != "-"), "")


def _can_unshare() -> bool:
    actions = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    command = ["unshare", "--user", "--map-root-user", "--map-auto", "--", "true"]
    try:
        process = os.posix_spawnp("unshare", command, os.environ, file_actions=actions)
    except OSError:
        return False
    return os.waitpid(process, 0)[1] == 0


if __name__ == "__main__":
    main()
