"""The repositories that a run writes to, by the names of images."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock as Mutex

from builder.net import Client
from builder.transports.registry import Registry
from builder.transports.upload import Upload
from builder.workflow.network import parted


class Repositories:
    """Each is made once, with one client for all; used by many threads."""

    def __init__(self, client: Client, environ: Mapping[str, str]) -> None:
        self.client = client
        self._environ = environ
        self._mutex = Mutex()
        self._known: dict[str, Upload] = {}

    def upload(self, name: str) -> Upload:
        """The repository of what an image is called, without a tag.

        Raises:
            StackbuildError: the name has no registry in it.
        """
        with self._mutex:
            if name not in self._known:
                self._known[name] = Upload(Registry(self.client, *parted(name), self._environ))
            return self._known[name]
