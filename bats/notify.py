#!/usr/bin/env python3
"""A service manager for notify.bats: notify.py SOCKET OUT. It binds SOCKET (abstract with an '@')
and writes one line to OUT for each message: the text, and how many descriptors came with it, which
are closed then."""
import array
import os
import signal
import socket
import sys

name, out = sys.argv[1:]
signal.alarm(300)
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind('\0' + name[1:] if name.startswith('@') else name)
with open(out, 'w', buffering=1) as file:
    while True:
        text, rights, _, _ = server.recvmsg(4096, 1024)
        fds = array.array('i')
        for _, _, data in rights:
            fds.frombytes(data)
        print(text.decode().replace('\n', '|'), len(fds), file=file)
        # Who sent one may wait for its end, to know that all of this is written.
        for fd in fds:
            os.close(fd)
