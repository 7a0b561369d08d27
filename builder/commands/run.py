"""Start a built image natively, for a browser on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("run", help=__doc__)
@click.argument("wanted", metavar="TARGET")
@click.option("--port", type=click.IntRange(0, 65535), default=8888, show_default=True, help="On the loopback.")
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Folder to mount as the home volume.")
@click.option("--env", "-e", "extra", metavar="NAME=VALUE", multiple=True, help="Set a variable in the container.")
@click.option("--host-network", is_flag=True, help="Share this machine's network, so that packages can be installed.")
@click.pass_obj
def command(
    folder: Path, wanted: str, port: int, home: Path | None, extra: tuple[str, ...], host_network: bool
) -> None:
    from builder.runtimes import Start
    from builder.workflow import run
    from builder.workflow.project import open_project

    bad = [one for one in extra if "=" not in one]
    if bad:
        raise click.BadParameter(f"{bad[0]!r} is not NAME=VALUE", param_hint="--env")
    project = open_project(folder)
    target = run.one_target(project, wanted)
    env = dict(one.split("=", 1) for one in extra)
    sys.exit(run.run(project, target, Start(env=env, network=host_network), home=home, port=port, told=_say))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
