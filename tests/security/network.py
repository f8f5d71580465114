"""Attempts on the network, on sockets of this machine, and on the pipe that a cell has."""

from attempt import attempt


@attempt
def connect(given):
    import socket

    with socket.create_connection(given["tcp"], 5) as connected:
        return connected.recv(500).decode()


@attempt
def send_a_datagram(given):
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(5)
        sender.sendto(b"?", tuple(given["udp"]))
        return sender.recv(500).decode()


@attempt
def connect_to_a_path(given):
    import socket

    with socket.socket(socket.AF_UNIX) as connected:
        connected.connect(given["unix"])
        return connected.recv(500).decode()


@attempt
def connect_to_an_abstract_name(given):
    import socket

    with socket.socket(socket.AF_UNIX) as connected:
        connected.connect(given["abstract"])
        return connected.recv(500).decode()


@attempt
def fetch_an_address(given):
    import urllib.request

    return urllib.request.urlopen("http://%s:%d/" % tuple(given["tcp"]), timeout=5).read().decode()


@attempt
def speak_a_protocol(given):
    import http.client

    connection = http.client.HTTPConnection(*given["tcp"], timeout=5)
    connection.request("GET", "/")
    return connection.getresponse().read().decode()


@attempt
def connect_in_a_loop(given):
    import asyncio

    async def read():
        reader, _ = await asyncio.open_connection(*given["tcp"])
        return (await reader.read(500)).decode()

    return asyncio.run(read())


@attempt
def listen(given):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return REACHED if server.getsockname()[1] else None


@attempt
def listen_at_whatever_port(given):
    import socket

    with socket.socket() as server:
        server.listen()
        return REACHED if server.getsockname()[1] else None


@attempt
def wait_for_datagrams(given):
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served:
        served.bind(("127.0.0.1", 0))
        return REACHED


@attempt
def open_a_connection_by_sending(given):
    import socket

    with socket.socket() as connected:
        connected.sendto(b"x", socket.MSG_FASTOPEN, tuple(given["tcp"]))
        connected.settimeout(5)
        return connected.recv(500).decode()


@attempt
def open_a_connection_of_several_ways(given):
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as connected:
        connected.settimeout(5)
        connected.connect(tuple(given["tcp"]))
        return connected.recv(500).decode()


@attempt
def run_a_program_in_the_kernel_for_every_packet(given):
    import array
    import socket
    import struct

    # One instruction: keep the packet.
    kept = array.array("B", struct.pack("HBBI", 6, 0, 0, 65535))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as filtered:
        filtered.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxQ", 1, kept.buffer_info()[0]))
        return REACHED


@attempt
def listen_at_a_path(given):
    import socket

    socket.socket(socket.AF_UNIX).bind(given["made"])


@attempt
def listen_at_an_abstract_name(given):
    import os
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0callboard-attempt-{os.getpid()}")
        server.listen()
        return REACHED


@attempt
def look_a_name_up(given):
    import socket

    return REACHED if socket.getaddrinfo("localhost", 80) else None


@attempt
def look_a_service_up(given):
    import socket

    return REACHED if socket.getservbyname("http") else None


@attempt
def list_interfaces(given):
    import socket

    return REACHED if "lo" in dict(socket.if_nameindex()).values() else None


@attempt
def ask_an_interface(given):
    import fcntl
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        return REACHED if fcntl.ioctl(asked, 0x8913, b"lo".ljust(40, b"\0")) else None


@attempt
def ask_for_routes(given):
    import socket
    import struct

    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as asked:
        asked.send(struct.pack("<IHHIIB", 20, 26, 0x301, 1, 0, 0) + bytes(3))
        return REACHED if asked.recv(4096) else None


@attempt
def read_the_list_of_connections(given):
    return REACHED if open("/proc/net/tcp").read() else None


@attempt
def hear_of_devices(given):
    import socket

    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15) as heard:
        heard.bind((0, 1))
        return REACHED


@attempt
def send_raw_packets(given):
    import socket

    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    return REACHED


@attempt
def hear_packets(given):
    import socket

    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300).close()
    return REACHED


@attempt
def speak_to_the_host(given):
    import socket

    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    return REACHED


@attempt
def use_the_kernels_ciphers(given):
    import socket

    with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET) as cipher:
        cipher.bind(("hash", "sha256"))
        return REACHED


@attempt
def make_a_pair_of_sockets(given):
    import socket

    one, other = socket.socketpair()
    one.send(b"x")
    return REACHED if other.recv(1) else None


@attempt
def take_the_pipe_for_a_socket(given):
    import socket

    return REACHED if socket.socket(fileno=3).family == socket.AF_UNIX else None


@attempt
def send_a_descriptor_to_the_node(given):
    import array
    import os
    import socket

    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [4]))]
    _socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=os.dup(3))
    return REACHED if _socket.sendmsg([b"x"], rights) else None


@attempt
def ask_who_is_at_the_other_end(given):
    import socket

    return REACHED if socket.socket(fileno=3).getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12) else None


@attempt
def make_the_nodes_end_block(given):
    import os

    os.set_blocking(3, False)
    return REACHED


@attempt
def close_the_nodes_end(given):
    import socket

    socket.socket(fileno=3).shutdown(socket.SHUT_RD)
    return REACHED
