"""Ports of this machine carried into a container."""

from __future__ import annotations

import socket
import threading

from builder.runtimes import Container


def forward(running: Container, listener: socket.socket, port: int) -> None:
    """Carry every connection of a listening socket to a port of the container, until the socket is closed."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, target):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    while True:
        try:
            outer, _ = listener.accept()
        except OSError:
            return
        try:
            inner = running.connect(port)
        except OSError:
            outer.close()
            continue
        inner.settimeout(None)
        for pair in ((outer, inner), (inner, outer)):
            threading.Thread(target=pump, args=pair, daemon=True).start()
