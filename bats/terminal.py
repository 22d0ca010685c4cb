#!/usr/bin/env python3
"""Drive a terminal.

terminal.py run ROWSxCOLS ACTION... -- COMMAND...
    Run the command in a session of its own on a new pty; exit as it does (128 + n by signal n).
terminal.py listen SOCKET ACTION... [-- COMMAND...]
    Wait for a connection on a new unix socket, take the pty's master from it as console-socket
    clients do, and drive that until its end. Run the command first, if there is one, and go on
    when it has succeeded, as containerd's shim does.

Actions, in their order:
    expect=TEXT      until the output since the last match has the text
    send=TEXT        write it (\\n, \\r, \\x03 as in Python)
    resize=ROWSxCOLS
All output of the terminal goes to standard output. Everything is over after 100 seconds."""
import array
import codecs
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios

pending = b''


def set_size(fd, text):
    rows, cols = map(int, text.split('x'))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))


def read_more(master):
    """False at the end: no slave is open any more."""
    global pending
    try:
        data = os.read(master, 65536)
    except OSError:
        data = b''
    pending += data
    os.write(1, data)
    return bool(data)


def drive(master, actions, pidfd=None):
    """Until the terminal's end, or that of the process."""
    rest = list(actions)
    while True:
        while rest and perform(master, rest[0]):
            rest.pop(0)
        ready, _, _ = select.select([master] + ([pidfd] if pidfd else []), [], [])
        if master not in ready:
            # Written between the looks at one and at the other.
            ready, _, _ = select.select([master], [], [], 0)
        if not ready or not read_more(master):
            break
    if rest:
        sys.exit(f'terminal.py: the end came before {rest[0]!r}')


def perform(master, action):
    """False: not yet."""
    global pending
    verb, _, text = action.partition('=')
    if verb == 'expect':
        _, found, after = pending.partition(text.encode())
        if not found:
            return False
        pending = after
    elif verb == 'send':
        os.write(master, codecs.decode(text, 'unicode_escape').encode('latin-1'))
    elif verb == 'resize':
        set_size(master, text)
    else:
        sys.exit(f'terminal.py: unknown action {action!r}')
    return True


def run(size, actions, command):
    master, slave = pty.openpty()
    set_size(slave, size)
    before = termios.tcgetattr(slave)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in range(3):
            os.dup2(slave, fd)
        os.closerange(3, 256)
        os.execvp(command[0], command)
    # Our slave stays open: what is written before the command exits must not be lost.
    drive(master, actions, os.pidfd_open(pid))
    _, status = os.waitpid(pid, 0)
    if termios.tcgetattr(slave) != before:
        sys.exit('terminal.py: the settings of the terminal are not as before')
    return os.waitstatus_to_exitcode(status)


def receive(listener):
    """The one descriptor of the one message; everything else is an error."""
    conn, _ = listener.accept()
    data, ancillary, flags, _ = conn.recvmsg(4096, 4096)
    if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
        sys.exit('terminal.py: the message was cut off')
    if not data:
        sys.exit('terminal.py: a message without bytes')
    if len(ancillary) != 1 or ancillary[0][:2] != (socket.SOL_SOCKET, socket.SCM_RIGHTS):
        sys.exit(f'terminal.py: not exactly one SCM_RIGHTS: {ancillary!r}')
    fds = array.array('i', ancillary[0][2])
    if len(fds) != 1:
        sys.exit(f'terminal.py: {len(fds)} descriptors')
    if conn.recvmsg(4096, 4096)[:2] != (b'', []):
        sys.exit('terminal.py: something after the first message')
    return fds[0]


def listen(path, actions, command):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1)
    if command:
        status = subprocess.call(command, stdin=subprocess.DEVNULL)
        if status:
            sys.exit(f'terminal.py: the command ended with {status}')
    master = receive(listener)
    print('console received', flush=True)
    if not os.isatty(master):
        sys.exit('terminal.py: not a terminal')
    drive(master, actions)
    return 0


def main():
    signal.alarm(100)
    mode, target, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
    split = rest.index('--') if '--' in rest else len(rest)
    status = {'run': run, 'listen': listen}[mode](target, rest[:split], rest[split + 1:])
    sys.exit(128 - status if status < 0 else status)


main()
