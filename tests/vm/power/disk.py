"""A disk for a virtual machine that loses its power at a byte: a server of the NBD protocol, as much of it as QEMU needs, on a unix socket.

Reads and writes go to a file; each write and each flush is kept in a log too, in the order in which they came, before it is answered
(tests/system/cutdisk.py: records, state_at). One request at a time, so what was not answered was not done."""

import os
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "system"))

from cutdisk import HEAD  # noqa: E402

READ, WRITE, DISCONNECT, FLUSH = range(4)
EXPORT_NAME, ABORT, GO = 1, 2, 7
FLAGS = 1 | 4                   # there are flags; there is flush. What asks for FUA is a write and a flush then.


class Disk:
    def __init__(self, path, image, log):
        self.image, self.log = os.open(image, os.O_RDWR), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self.size, self.place, self.limit = os.fstat(self.image).st_size, 0, None
        self.cut, self.closed = threading.Event(), threading.Event()
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen(1)
        self.error = None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def arm(self, more):
        """The power goes when so many more bytes are in the log."""
        self.limit = self.place + more

    def close(self):
        """When QEMU is dead. Till then it must see no error: a disk without power says nothing."""
        self.closed.set()
        self.thread.join(20)
        self.server.close()
        os.close(self.image)
        os.close(self.log)
        if self.error:
            raise self.error

    def serve(self):
        try:
            self.peer, _ = self.server.accept()
            with self.peer:
                self.greet()
                while self.request():
                    if self.cut.is_set():
                        self.closed.wait()
                        return
        except (EOFError, OSError):
            pass                # QEMU was killed
        except BaseException as e:
            self.error = e

    def get(self, length):
        data = bytearray()
        while len(data) < length:
            more = self.peer.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    def greet(self):
        self.peer.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))       # fixed newstyle, no zeroes
        self.get(4)
        while True:
            _, option, length = struct.unpack(">8sII", self.get(16))
            self.get(length)

            def reply(kind, data=b""):
                self.peer.sendall(struct.pack(">QIII", 0x3e889045565a9, option, kind, len(data)) + data)
            if option == EXPORT_NAME:
                self.peer.sendall(struct.pack(">QH", self.size, FLAGS))
                return
            if option == GO:
                reply(3, struct.pack(">HQH", 0, self.size, FLAGS))
                reply(1)
                return
            reply(1 if option == ABORT else 0x80000001)      # unsupported

    def request(self):
        _, _, kind, handle, offset, length = struct.unpack(">IHH8sQI", self.get(28))
        data = b""
        if kind == DISCONNECT:
            return False
        if kind == READ:
            data = os.pread(self.image, length, offset)
        elif kind == WRITE:
            body = self.get(length)
            self.put(HEAD.pack(offset, length) + body)
            os.pwrite(self.image, body, offset)
        elif kind == FLUSH:
            self.put(HEAD.pack(0, 0))
        if not self.cut.is_set():
            self.peer.sendall(struct.pack(">II8s", 0x67446698, 0 if kind in (READ, WRITE, FLUSH) else 22, handle) + data)
        return True

    def put(self, record):
        os.write(self.log, record)
        self.place += len(record)
        if self.limit is not None and self.place >= self.limit:
            self.cut.set()
