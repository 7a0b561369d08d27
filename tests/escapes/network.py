"""Attempts at the network, and at what other channels lead out of the machine."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

from tests.escapes.kernel import Bait, call


def _asks(family: int, kind: int, address: Any, bait: Bait) -> str | None:
    with socket.socket(family, kind) as client:
        client.settimeout(3)
        client.connect(address)
        client.send(b"hello")
        return "answered" if bait["secret"].encode() in client.recv(200) else None


def tcp_to_the_hosts_loopback(bait: Bait) -> str | None:
    return _asks(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", bait["tcp"]), bait)


def tcp_by_version_6(bait: Bait) -> str | None:
    return _asks(socket.AF_INET6, socket.SOCK_STREAM, ("::1", bait["tcp6"]), bait)


def udp_to_the_hosts_loopback(bait: Bait) -> str | None:
    return _asks(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", bait["udp"]), bait)


def abstract_socket(bait: Bait) -> str | None:
    return _asks(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + bait["abstract"], bait)


def socket_of_a_daemon(bait: Bait) -> str | None:
    """As docker.sock lies on many machines."""
    return _asks(socket.AF_UNIX, socket.SOCK_STREAM, bait["socket"], bait)


def route_to_the_world(bait: Bait) -> str | None:
    """connect(2) of a datagram socket sends nothing, but needs a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("192.0.2.1", 53))
        return str(client.getsockname()[0])


def own_address_of_the_host(bait: Bait) -> str | None:
    return _asks(socket.AF_INET, socket.SOCK_DGRAM, (bait["address"], bait["udp"]), bait)


def name_server(bait: Bait) -> str | None:
    """What /etc/resolv.conf of the host names, asked for a name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect((bait["name_server"], bait["udp"]))
        client.send(struct.pack(">6H", 1, 256, 1, 0, 0, 0) + b"\x07example\x03org\x00\x00\x01\x00\x01")
        return "answered" if client.recv(200) else None


def raw_packets(bait: Bait) -> str | None:
    """Listen to all that passes the host's loopback while somebody is sent something there."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as listener:
        listener.settimeout(2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"hello", ("127.0.0.1", bait["udp"]))
        for _ in range(50):
            if bait["secret"].encode() in listener.recv(4096):
                return "overheard"
    return None


def interfaces_of_the_host(bait: Bait) -> str | None:
    return " ".join(name for _, name in socket.if_nameindex() if name != "lo")


def connections_of_the_host(bait: Bait) -> str | None:
    """/proc/net/tcp of whatever process."""
    for pid in ("self", "1", str(bait["pid"])):
        try:
            with open(f"/proc/{pid}/net/tcp") as stream:
                if f":{bait['tcp']:04X} " in stream.read():
                    return pid
        except OSError:
            continue
    return None


def vsock(bait: Bait) -> str | None:
    """To the hypervisor; no namespace has a say about it."""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM):
        return "opened"


def _family(number: int, kind: int = socket.SOCK_DGRAM) -> str:
    """Families of sockets that no package needs, and of which a kernel may load the module."""
    with socket.socket(number, kind):
        return "opened"


def crypto_sockets(bait: Bait) -> str | None:
    return _family(socket.AF_ALG, socket.SOCK_SEQPACKET)


def bluetooth(bait: Bait) -> str | None:
    return _family(31, socket.SOCK_RAW)


def tipc(bait: Bait) -> str | None:
    return _family(30)


def rds(bait: Bait) -> str | None:
    return _family(21, socket.SOCK_SEQPACKET)


def express_data_path(bait: Bait) -> str | None:
    return _family(44, socket.SOCK_RAW)


def kernel_events(bait: Bait) -> str | None:
    """The kernel's audit log by netlink."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as listener:
        listener.bind((0, 1))
        return "bound"


def io_uring(bait: Bait) -> str | None:
    """Opens files and sockets without the system calls that a filter sees."""
    os.close(call("io_uring_setup", 1, b"\0" * 120))
    return "set up"


def network_namespace_of_another(bait: Bait) -> str | None:
    namespace = os.open(f"/proc/{bait['pid']}/ns/net", os.O_RDONLY)
    call("setns", namespace, 0x40000000)
    return "joined"
