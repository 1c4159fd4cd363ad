"""A disk that remembers every write and every flush, in order: what a power cut would have left of it can be made at any moment.

As a program: `cutdisk.py FOLDER IMAGE LOG` mounts on FOLDER a file system of one file, `disk`, whose bytes are IMAGE; a loop device on
it is a disk with a volatile cache. LOG gets a record for each write (offset, length, bytes) and each flush (length 0). It speaks FUSE's
protocol itself: two dozen lines of it are needed. Ends when it is unmounted.

What was written before a flush survives a cut; of what came after it any part may. So `state_at` has two ways: all that was written by
then (what a snapshot of a running machine's disk has), or all up to the last flush and any of the rest, by chance."""

import ctypes
import os
import random
import struct
import sys

BLOCK = 4096
HEAD = struct.Struct("=QI")
FUSE_IN, FUSE_OUT = struct.Struct("=IIQQIIII"), struct.Struct("=IiQ")
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, DESTROY = \
    1, 2, 3, 4, 14, 15, 16, 17, 18, 20, 25, 26, 27, 28, 29, 36, 38
ROOT, DISK = 1, 2
MAX_WRITE = 1 << 17


class Server:
    def __init__(self, folder, image, log):
        self.image, self.log = os.open(image, os.O_RDWR), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.size = os.fstat(self.image).st_size
        self.fuse = os.open("/dev/fuse", os.O_RDWR)
        options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % self.fuse
        if ctypes.CDLL(None, use_errno=True).mount(b"cutdisk", folder.encode(), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "mount")

    def attr(self, node):
        size, mode = (0, 0o40755) if node == ROOT else (self.size, 0o100600)
        return struct.pack("=QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, BLOCK, 0)

    def answer(self, op, node, body):
        """The reply's bytes, or an errno; None: there is no reply."""
        if op == INIT:
            major, minor, readahead, flags = struct.unpack_from("=IIII", body)
            return struct.pack("=IIIIHHIIHHI28x", 7, 31, readahead, 0x20, 16, 12, MAX_WRITE, 1, 0, 0, 0)     # FUSE_BIG_WRITES
        if op == LOOKUP:
            if body != b"disk\0":
                return 2
            return struct.pack("=QQQQII", DISK, 0, 3600, 3600, 0, 0) + self.attr(DISK)
        if op in (GETATTR, SETATTR):
            return struct.pack("=QII", 3600, 0, 0) + self.attr(node)
        if op in (OPEN, OPENDIR):
            return struct.pack("=QII", 1, 0, 0)
        if op == READ:
            _, offset, size = struct.unpack_from("=QQI", body)
            return os.pread(self.image, size, offset)
        if op == WRITE:
            _, offset, size = struct.unpack_from("=QQI", body)
            data = body[40:40 + size]
            os.pwrite(self.image, data, offset)
            os.writev(self.log, [HEAD.pack(offset, len(data)), data])
            return struct.pack("=II", size, 0)
        if op == FSYNC:
            os.write(self.log, HEAD.pack(0, 0))
            return b""
        if op == STATFS:
            return struct.pack("=QQQQQIIII24x", self.size // BLOCK, 0, 0, 2, 0, BLOCK, 255, BLOCK, 0)
        if op in (FLUSH, RELEASE, RELEASEDIR, READDIR):
            return b""
        return None if op in (FORGET, 42, INTERRUPT) else 38

    def run(self):
        while True:
            try:
                request = os.read(self.fuse, MAX_WRITE + 4096)
            except OSError as e:
                if e.errno == 19:       # unmounted
                    return
                if e.errno in (2, 4):   # interrupted before we saw it
                    continue
                raise
            length, op, unique, node, *_ = FUSE_IN.unpack_from(request)
            got = self.answer(op, node, request[FUSE_IN.size:length])
            if got is None:
                continue
            code, data = (-got, b"") if isinstance(got, int) else (0, got)
            os.write(self.fuse, FUSE_OUT.pack(FUSE_OUT.size + len(data), code, unique) + data)


# ---------------------------------------------------------------- what a cut leaves

def records(log, until):
    """(place in the log, offset, length) of the whole records before that place."""
    fd, at = os.open(log, os.O_RDONLY), 0
    end = min(until, os.fstat(fd).st_size)
    try:
        while at + HEAD.size <= end:
            offset, length = HEAD.unpack(os.pread(fd, HEAD.size, at))
            if at + HEAD.size + length > end:
                return
            yield at, offset, length
            at += HEAD.size + length
    finally:
        os.close(fd)


def state_at(base, log, until, out, chance=None):
    """The disk as a cut at this place of the log leaves it. chance (a random.Random): of what was written after the last flush, block by
    block, some is lost. The numbers of writes, of flushes, of blocks written since the last one, and of those that were lost."""
    found = list(records(log, until))
    flushes = [i for i, (_, _, length) in enumerate(found) if not length]
    sure = flushes[-1] if flushes else -1
    source, target = os.open(log, os.O_RDONLY), os.open(out, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.truncate(out, os.path.getsize(base))
    copy_sparse(base, target)
    lost = young = 0
    for i, (at, offset, length) in enumerate(found):
        for part in range(0, length, BLOCK):
            young += i > sure
            if chance and i > sure and chance.random() < 0.5:
                lost += 1
                continue
            os.pwrite(target, os.pread(source, min(BLOCK, length - part), at + HEAD.size + part), offset + part)
    os.close(source)
    os.close(target)
    return len(found) - len(flushes), len(flushes), young, lost


def copy_sparse(path, target):
    fd, at, size = os.open(path, os.O_RDONLY), 0, os.path.getsize(path)
    try:
        while at < size:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(fd, at, os.SEEK_HOLE)
            while at < end:
                data = os.pread(fd, min(1 << 20, end - at), at)
                os.pwrite(target, data, at)
                at += len(data)
    finally:
        os.close(fd)


if __name__ == "__main__":
    Server(*sys.argv[1:4]).run()
