"""A name server, as Docker has one in a network namespace: resolver.py ADDRESS PORT [UPSTREAM]

Each name has the addresses 10.99.0.1 and fd99::1. For "size-N.test" the answer has N bytes; by UDP
it is cut off when the program that asks does not take that much. For "mute.test" there is none, for
"up.test" that of the name server UPSTREAM, which is asked by UDP or TCP as this one was.
"""
import socket
import struct
import sys
import threading

A, TXT, AAAA, OPT = 1, 16, 28, 41
TRUNCATED = 0x0200


def parse(query):
    """The names' first label, the type, the bytes of the question, and how much may be answered."""
    end = 12
    while query[end]:
        end += query[end] + 1
    end += 5
    kind = struct.unpack("!H", query[end - 4:end - 2])[0]
    limit = 512
    if struct.unpack("!H", query[10:12])[0] and query[end] == 0:
        option, size = struct.unpack("!HH", query[end + 1:end + 5])
        if option == OPT:
            limit = max(limit, size)
    return query[13:13 + query[12]].decode(), kind, query[12:end], limit


def record(kind, data):
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def padding(room):
    """Text records of exactly that many bytes."""
    records = []
    while room:
        size = min(room, 60000)
        if 0 < room - size < 13:
            size -= 13
        records.append(record(TXT, bytes(size - 12)))
        room -= size
    return records


def answer(query, is_stream):
    """None: no answer."""
    label, kind, question, limit = parse(query)
    flags, records = 0x8180, []
    if label == "mute":
        return None
    if label == "up" and len(sys.argv) > 3:
        return ask(query, is_stream)
    if label.startswith("size-"):
        records = padding(int(label[5:]) - 12 - len(question))
    elif kind == A:
        records = [record(A, socket.inet_aton("10.99.0.1"))]
    elif kind == AAAA:
        records = [record(AAAA, socket.inet_pton(socket.AF_INET6, "fd99::1"))]
    if not is_stream and 12 + len(question) + sum(map(len, records)) > limit:
        flags, records = flags | TRUNCATED, []
    header = query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
    return header + question + b"".join(records)


def read(conn, size):
    data = b""
    while len(data) < size:
        part = conn.recv(size - len(data))
        if not part:
            return None
        data += part
    return data


def ask(query, is_stream):
    kind = socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as upstream:
        upstream.settimeout(20)
        upstream.connect((sys.argv[3], 53))
        if not is_stream:
            upstream.send(query)
            return upstream.recv(65536)
        upstream.sendall(struct.pack("!H", len(query)) + query)
        return read(upstream, struct.unpack("!H", read(upstream, 2))[0])


def serve(conn):
    with conn:
        while True:
            size = read(conn, 2)
            query = read(conn, struct.unpack("!H", size)[0]) if size else None
            if not query:
                return
            reply = answer(query, True)
            if reply:
                conn.sendall(struct.pack("!H", len(reply)) + reply)


def accept(server):
    while True:
        conn = server.accept()[0]
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


def main():
    address = (sys.argv[1], int(sys.argv[2]))
    tcp = socket.create_server(address, backlog=256)
    threading.Thread(target=accept, args=(tcp,), daemon=True).start()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    udp.bind(address)
    while True:
        query, peer = udp.recvfrom(65536)
        reply = answer(query, False)
        if reply:
            udp.sendto(reply, peer)


main()
