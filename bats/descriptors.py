#!/usr/bin/env python3
"""The caller's side of preserve-fds.bats: descriptors.py SCENARIO COMMAND..., where COMMAND is vcrt
with all that starts the container. Each scenario makes descriptors, has the command started with
them as 3, 4, ..., and prints what it sees. Every wait has a limit."""
import json
import os
import select
import signal
import socket
import sys
import threading
import time

LIMIT = 60
scenario, command = sys.argv[1], sys.argv[2:]
signal.alarm(LIMIT + 20)
sys.stdout.reconfigure(line_buffering=True)


def start(*fds, listen=0, argv=None):
    """Start the command; our own copies of the descriptors are closed. Its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i)
        os.closerange(3 + len(high), 200)
        if listen:
            os.environ['LISTEN_FDS'] = str(listen)
            os.environ['LISTEN_PID'] = str(os.getpid())
        os.execvp((argv or command)[0], argv or command)
    for fd in fds:
        os.close(fd)
    return pid


def finish(pid):
    limit = time.monotonic() + LIMIT
    while time.monotonic() < limit:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            print('exit', os.waitstatus_to_exitcode(status))
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    print('did not end')


def read(fd, size=65536):
    if not select.select([fd], [], [], LIMIT)[0]:
        raise TimeoutError(f'nothing to read from {fd}')
    return os.read(fd, size)


def read_all(fd):
    data = bytearray()
    while True:
        part = read(fd)
        if not part:
            return bytes(data)
        data += part


def names_of(pid):
    """What its descriptors lead to. One may be closed meanwhile."""
    names = set()
    for n in os.listdir(f'/proc/{pid}/fd'):
        try:
            names.add(os.readlink(f'/proc/{pid}/fd/{n}'))
        except FileNotFoundError:
            pass
    assert names, f'process {pid} has ended'
    return names


def detach(sock):
    return sock.detach()


def pair(kind=socket.SOCK_STREAM):
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    ours.settimeout(LIMIT)
    return ours, detach(theirs)


def pipes():
    """In on 3, out on 4; the second is read to its end while the program still runs."""
    (r1, w1), (r2, w2) = os.pipe(), os.pipe()
    pid = start(r1, w2)
    os.write(w1, b'input')
    os.close(w1)
    print(read_all(r2).decode())
    finish(pid)


def echo():
    """Ten megabytes there and back."""
    sock, theirs = pair()
    pid = start(theirs)
    data = os.urandom(10 << 20)
    back = bytearray()

    def reader():
        while len(back) <= len(data):
            part = sock.recv(65536)
            if not part:
                break
            back.extend(part)
    thread = threading.Thread(target=reader)
    thread.start()
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
    thread.join(LIMIT)
    print('intact' if back == data else f'{len(back)} other bytes')
    finish(pid)


def stalled():
    """A reader that stops makes the program wait, and it goes on when he does."""
    r, w = os.pipe()
    out_r, out_w = os.pipe()
    pid = start(w, out_w)
    # It says on 4 how much it could write to 3.
    last = read(out_r)
    while select.select([out_r], [], [], 5)[0]:
        last = read(out_r)
    before = int(last.split()[-1])
    print('waits' if 0 < before < 8 << 20 else f'wrote {before} bytes')
    threading.Thread(target=lambda: read_all(out_r), daemon=True).start()
    print(len(read_all(r)), 'bytes')
    finish(pid)


def half():
    """On 3 we shut down our direction first, on 4 the program does."""
    (first, theirs), (second, kept) = pair(), pair()
    copy = os.dup(kept)  # as a caller may keep it
    pid = start(theirs, kept)
    first.sendall(b'x' * 100000)
    first.shutdown(socket.SHUT_WR)
    print(read_all(first.fileno()).decode(), end='')
    print(read_all(second.fileno()).decode(), end='')
    second.sendall(b'x' * 200000)
    second.shutdown(socket.SHUT_WR)
    finish(pid)
    os.close(copy)


def broken():
    """Nobody reads any more."""
    (r, w), (sock, theirs) = os.pipe(), pair()
    pid = start(w, theirs)
    read(r)
    os.close(r)
    sock.recv(1)
    sock.close()
    finish(pid)


def messages(kind):
    sock, theirs = pair(kind)
    pid = start(theirs)
    sizes = [1, 70000, 5, 200000, 17]
    sent = [os.urandom(size) for size in sizes]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    for data in sent:
        sock.send(data)
    back = [sock.recv(300000) for _ in sent]
    print('intact' if back == sent else [len(data) for data in back])
    finish(pid)


def connections(listener, listen=0):
    """Five at the same time, all open before the first one sends."""
    address, family = listener.getsockname(), listener.family
    pid = start(detach(listener), listen=listen)
    clients = []
    for i in range(5):
        client = socket.socket(family)
        client.settimeout(LIMIT)
        if i == 3:
            os.seteuid(1234)
        client.connect(address)
        os.seteuid(0)
        clients.append(client)
    for i, client in enumerate(clients):
        data = bytes([65 + i]) * 100000


        def send(to=client, what=data):
            to.sendall(what)
            to.shutdown(socket.SHUT_WR)
        threading.Thread(target=send).start()
    for i, client in enumerate(clients):
        head, rest = read_all(client.fileno()).split(b'\n', 1)
        print(head.decode(), 'intact' if rest == bytes([65 + i]) * 100000 else len(rest))
    finish(pid)


def unix_listener():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind('\0' + os.environ['T'])
    listener.listen(16)
    connections(listener)


def tcp_listener():
    listener = socket.socket(socket.AF_INET)
    listener.bind(('127.0.0.1', 0))
    listener.listen(16)
    print('port', listener.getsockname()[1])
    connections(listener, listen=1)


def kinds():
    """Every kind of socket; the program says what it has."""
    unix, inet, inet6 = (socket.socket(f) for f in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6))
    unix.bind('\0' + os.environ['T'])
    inet.bind(('127.0.0.1', 0))
    inet6.bind(('::1', 0))
    for listener in unix, inet, inet6:
        listener.listen()
    print('ports', inet.getsockname()[1], inet6.getsockname()[1])
    packet = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    packet.bind('\0packet' + os.environ['T'])
    packet.listen()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.connect(('127.0.0.1', 9))
    finish(start(*map(detach, (unix, inet, inet6, packet, udp))))


def refused():
    """One after the other; the command is only expected to fail."""
    directory = os.open('/', os.O_RDONLY)
    path = os.open('/', os.O_PATH)
    file = os.open(__file__, os.O_RDONLY)
    fifo = os.path.join(os.environ['T'], 'fifo')
    os.mkfifo(fifo)
    both = os.open(fifo, os.O_RDWR)
    master, slave = os.openpty()
    loose = socket.socket(socket.AF_UNIX)
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(('127.0.0.1', 0))
    event = os.eventfd(0)
    for fd in directory, path, file, both, slave, detach(loose), detach(bound), event:
        finish(start(fd))


def held():
    """Who holds our descriptors while it runs, and that nobody does afterwards."""
    (r, w), (sock, theirs) = os.pipe(), pair()
    names = {os.readlink(f'/proc/self/fd/{fd}') for fd in (w, theirs)}
    finish(start(w, theirs))
    print(read(r).decode(), end='')
    data = json.load(open(os.environ['STATE']))['vcrt']
    for who in 'shim', 'monitor', 'vmm':
        pid = data[who]['pid']
        print(who, 'holds', len(names_of(pid) & names))
    os.kill(data['shim']['pid'], signal.SIGTERM)
    print(read_all(r).decode() + read_all(sock.fileno()).decode() + 'ended')


{
    'pipes': pipes, 'echo': echo, 'stalled': stalled, 'half': half, 'broken': broken,
    'seqpacket': lambda: messages(socket.SOCK_SEQPACKET),
    'dgram': lambda: messages(socket.SOCK_DGRAM),
    'unix': unix_listener, 'tcp': tcp_listener, 'kinds': kinds, 'refused': refused, 'held': held,
}[scenario]()
