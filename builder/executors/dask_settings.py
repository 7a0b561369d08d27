"""How Dask runs in processes of ours, unless this machine's configuration says otherwise: it does not watch itself.

It would look at every thread a hundred times a second, and at its own loop fifty times, for a dashboard that is not
there: a tenth of a core in each worker, which steps need.

Source: https://distributed.dask.org/en/stable/configuration.html.
"""

from __future__ import annotations

import logging

import dask

_UNWATCHED = {"distributed": {"worker": {"profile": {"enabled": False}}, "admin": {"tick": {"interval": "1s"}}}}


def settle() -> None:
    """To be called before anything of Dask's is made."""
    dask.config.update_defaults(_UNWATCHED)
    logging.getLogger("distributed").setLevel(logging.WARNING)
