"""berth-net alone, asked by the messages that berthd would send."""

import fcntl
import os
import socket
import subprocess
import time

import proto

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "proto", "net.proto")) as f:
    NET = proto.Schema(f.read())
F_ADD_SEALS, ALL_SEALS = 1033, 15


class BerthNet:
    def __init__(self, *words):
        """words: the program, and what it is started by (unshare -n)."""
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.p = subprocess.Popen(words, close_fds=False, preexec_fn=lambda: os.dup2(theirs.fileno(), 3))
        theirs.close()
        self.id = 0
        self.said = []      # by itself

    def ask(self, body, value, fd=None):
        """Seconds that it takes, from the message that is ready. fd: what comes with it."""
        result = self.tell(body, value, fd)
        assert "sys_errno" not in result, (body, result)
        return time.perf_counter() - self.begun

    def tell(self, body, value, fd=None):
        """Its Result, whatever it is."""
        self.send(body, value, fd)
        return self.result()

    def send(self, body, value, fd=None):
        self.id += 1
        data = NET.encode("NetMessage", {"id": self.id, body: value})
        self.begun = time.perf_counter()
        if len(data) > proto.RECORD_MAX:
            fd = os.memfd_create(body, os.MFD_ALLOW_SEALING)
            os.write(fd, data)
            fcntl.fcntl(fd, F_ADD_SEALS, ALL_SEALS)
            socket.send_fds(self.sock, [b"!"], [fd])
            os.close(fd)
        else:
            socket.send_fds(self.sock, [data], [] if fd is None else [fd])

    def result(self):
        """Behind what it says by itself, as that its table was lost."""
        while "result" not in (m := self.hear()):
            self.said.append(m)
        return m["result"]

    def hear(self):
        """What it says next."""
        data = self.sock.recv(proto.RECORD_MAX)
        assert data, "it has ended"
        return NET.decode("NetMessage", data)

    def end(self):
        self.sock.close()
        assert self.p.wait() == 0
