"""The attack list: images and archives made by somebody who wishes us ill, one row each. Every row is tried as a layout folder, as
the same in a tar, as a docker-archive and by a pull, where it can be written so. It ends in an error that says what is wrong, or in
the image that the row describes; in both cases nothing outside of the image store has changed, no half image is to be seen, the job
has kept to its memory and its time, and a good image is imported afterwards."""

import gzip
import hashlib
import io
import json
import lzma
import os
import re
import socket
import stat
import subprocess
import zipfile
import zlib

import pytest

import registry as reg
from conftest import busybox_image, private_host
from craft import (END, FORMS, Crafted, base256, entry, folder, hard, layer, padded, pax, raw, record, symlink, zstd, zstd_zeros)
from host import BIN, DIR, SLOW, eventually
from oci import digest

pytestmark = pytest.mark.native

PORT = 5010
SIZE_MAX = 600 << 20
MEMORY_MAX = 256 << 20
SECONDS = 10


class Row:
    """want: what the refusal says (a pattern), or a function of the image's layer folders, topmost first."""

    def __init__(self, name, make, want, forms=FORMS, seconds=SECONDS):
        self.name, self.make, self.want, self.forms, self.seconds = name, make, want, forms, seconds

    def __repr__(self):
        return self.name


def tars(*layers, **kw):
    return lambda: Crafted(*[layer(*parts) for parts in layers], **kw)


def one(**kw):
    """A layer with x in it, unlike all others: what the store has already would not be looked at again."""
    return lambda: Crafted(layer(X, entry("unique", os.urandom(16))), **kw)


MANIFESTS = ("folder", "tar", "pull")   # a docker-archive has no manifest of this kind


# ------------------------------------------------------------------ how it is made

def packed(pack, tar):
    return Crafted(tar, packed=[pack(tar)])


def sparse(size, parts, data):
    """GNU's format 1.0: a map in front of the data."""
    text = ("%d\n" % len(parts) + "".join("%d\n%d\n" % p for p in parts)).encode()
    return pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x", "GNU.sparse.realsize": str(size)}) + entry("x", padded(text) + data)


def gzip_zeros(before, n):
    """As gzip -9 makes it, without the time: one block of deflate for a MiB of zeros, again and again."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = deflate.compress(before) + deflate.flush(zlib.Z_FULL_FLUSH)
    middle = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + head + middle * (n >> 20) + b"\x03\0" + bytes(8)


def zeros_id(before, n):
    sum = hashlib.sha256(before)
    for _ in range(n >> 20):
        sum.update(bytes(1 << 20))
    sum.update(bytes(n % (1 << 20)))
    return "sha256:" + sum.hexdigest()


def field_(value):
    return b"%011o\0" % value if value < 1 << 33 else base256(value, 12)


def grow(blobs, n, by):
    key = list(blobs)[n]
    blobs[key] = blobs[key] + b"\0" if by > 0 else blobs[key][:-1]


def flip(blobs, n):
    key = list(blobs)[n]
    data = bytearray(blobs[key])
    data[len(data) // 2] ^= 1
    blobs[key] = bytes(data)


def name_it(index, name):
    index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": name}


def zip_of(name, data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(name, data)
    return out.getvalue()


def nested(depth):
    """The image below that many indexes; 0: its manifest is called an index."""
    image = one()()
    if not depth:
        image.manifest["mediaType"] = reg.INDEX
    for _ in range(depth):
        data = json.dumps({"schemaVersion": 2, "mediaType": reg.INDEX, "manifests": [image.manifest]}).encode()
        image.manifest = image.blob(reg.INDEX, data)
    return image


class Whole:
    """A file that is the whole archive."""

    def __init__(self, data):
        self.data = data

    def write(self, form, path, name):
        with open(path, "wb") as f:
            f.write(self.data)


class archive:
    """A good image whose archive is changed: change(files) may add bytes, ("link", to) and ("hard", to) by name."""

    def __init__(self, change, kind="tar", cut=None, pack=lambda t: t):
        self.change, self.cut, self.pack = change, cut, pack

    def write(self, form, path, name):
        image = one()()
        files = image.docker_files(name) if form == "docker" else image.files(name)
        if self.change:
            self.change(files)
        parts = [entry(f, d) if isinstance(d, bytes) else (symlink if d[0] == "link" else hard)(f, d[1]) for f, d in files.items()]
        with open(path, "wb") as f:
            f.write(self.pack(layer(*parts)[:self.cut]))


class in_folder:
    def __init__(self, change):
        self.change = change

    def write(self, form, path, name):
        self.change(one()().write(form, path, name))


def relink(path, name, to, below="/"):
    os.unlink(path + below + name)
    os.symlink(to, path + below + name)


# ------------------------------------------------------------------ what an image must be like

def has(**want):
    """path with __ for /: bytes (a file's content), str (a symlink's target), None (not there), dict() (a folder), an int (st_mode)."""
    def check(layers):
        for path, what in want.items():
            path = os.path.join(layers[0], path.replace("__", "/"))
            if what is None:
                assert not os.path.lexists(path), path
                continue
            st = os.lstat(path)
            if isinstance(what, bytes):
                assert stat.S_ISREG(st.st_mode), path
                with open(path, "rb") as f:
                    assert f.read() == what, path
            elif isinstance(what, str):
                assert os.readlink(path) == what
            elif isinstance(what, dict):
                assert stat.S_ISDIR(st.st_mode), path
            else:
                assert st.st_mode == what, "%s: %o" % (path, st.st_mode)
    return check


def names(*want):
    """Exactly these in the top layer's root, as bytes."""
    def check(layers):
        assert sorted(os.listdir(os.fsencode(layers[0]))) == sorted(want)
    return check



def has_size(path, size):
    """And it takes no room."""
    def check(layers):
        st = os.lstat(os.path.join(layers[0], path))
        assert st.st_size == size and st.st_blocks * 512 < 1 << 20
    return check


def nameless(layers):
    """judge() finds it by its id, since it may have no name."""


X = entry("x", b"x")

ROWS = [
    # ------------------------------------------------------------ paths
    Row("dotdot", tars([entry("../escape", b"x")]), "may not contain '..'"),
    Row("dotdot in the middle", tars([entry("a/../../escape", b"x")]), "may not contain '..'"),
    Row("dotdot as a folder", tars([folder("a/..")]), "may not contain '..'|'\\.\\.'"),
    Row("absolute", tars([entry("/escape", b"x")]), has(escape=b"x")),
    Row("absolute symlink, and through it", tars([symlink("l", "/"), entry("l/escape", b"x")]), has(l="/", escape=b"x")),
    Row("symlink up, and through it", tars([folder("a"), symlink("a/l", "../../../../../.."), entry("a/l/escape", b"x")]), has(escape=b"x")),
    Row("chained symlinks", tars([symlink("a", "b"), symlink("b", "/c"), symlink("c", "../.."), entry("a/escape", b"x")]), has(escape=b"x")),
    Row("symlinks in a ring", tars([symlink("a", "b"), symlink("b", "a"), entry("a/x", b"x")]), "[Tt]oo many levels"),
    Row("a chain of 50 symlinks", tars([*(symlink("l%d" % i, "l%d" % (i + 1)) for i in range(50)), folder("l50"), entry("l0/x", b"x")]),
        "[Tt]oo many levels"),
    Row("symlink to a process's root", tars([symlink("l", "/proc/self/root"), entry("l/escape", b"x")]), has(proc__self__root__escape=b"x")),
    Row("hard link out", tars([hard("h", "../../../../etc/passwd")]), "may not contain '..'"),
    Row("hard link to an absolute name", tars([hard("h", "/etc/passwd")]), "not there|No such file"),
    Row("hard link through a symlink", tars([symlink("l", "/etc"), hard("h", "l/passwd")]), "not there|No such file"),
    Row("hard link to a symlink that leads out, then written", tars([symlink("l", "/etc/passwd"), hard("h", "l"), entry("h", b"x")]), has(h=b"x", l="/etc/passwd")),
    Row("hard link to itself", tars([hard("h", "h")]), "not there|no file"),
    Row("hard link to a folder", tars([folder("d"), hard("h", "d")]), "no file"),

    # ------------------------------------------------------------ across layers
    Row("a folder becomes a symlink, and the next layer writes through it",
        tars([folder("d"), entry("d/old", b"x")], [symlink("d", "/etc"), folder("etc")], [entry("d/passwd", b"x")]), has(etc__passwd=b"x", d=None)),
    Row("a symlink below, written through above", tars([symlink("l", "/")], [entry("l/l/l/escape", b"x")]), has(escape=b"x", l=None)),
    Row("a file below, a folder of it above", tars([X], [entry("x/y", b"y")]), "[Nn]ot a directory"),
    Row("a symlink to a file, used as a folder", tars([X, symlink("l", "x")], [entry("l/y", b"y")]), "[Nn]ot a directory"),
    Row("hard link to what a lower layer's symlink names", tars([symlink("l", "/etc/passwd")], [hard("h", "l")]), "no regular file"),
    Row("hard link to a lower layer's device", tars([entry("null", type=b"3", major=1, minor=3)], [hard("h", "null")]), "no regular file"),
    Row("hard link through a lower layer's symlink", tars([symlink("l", "/"), X], [hard("h", "l/x")]), has(h=b"x")),
    Row("hard link to what was removed", tars([X], [entry(".wh.x"), hard("h", "x")]), "no file|not there"),

    # ------------------------------------------------------------ whiteouts
    Row("whiteout of ..", tars([entry(".wh...")]), "whiteout of nothing"),
    Row("whiteout of .", tars([entry(".wh..")]), "whiteout of nothing"),
    Row("whiteout of nothing", tars([entry(".wh.")]), "whiteout of nothing"),
    Row("whiteout of what is not there", tars([entry(".wh.none"), X]), names(b"x")),
    Row("whiteout through a symlink", tars([symlink("l", "/"), X], [entry("l/.wh.x")]), has(x=stat.S_IFCHR)),
    Row("whiteout with something in it", tars([folder(".wh.d"), entry(".wh.d/x", b"x")]), "holds no files"),
    Row("opaque mark that is a symlink", tars([folder("d"), entry("d/x", b"x")], [symlink("d/.wh..wh..opq", "/etc"), entry("d/y", b"y")]),
        has(d__y=b"y", d__x=None)),
    Row("opaque mark that is a hard link", tars([folder("d"), hard("d/.wh..wh..opq", "/etc/passwd")]), has(d={})),
    Row("opaque root", tars([X], [entry(".wh..wh..opq"), entry("y", b"y")]), has(x=stat.S_IFCHR, y=b"y")),
    Row("hard link to a whiteout", tars([X], [entry(".wh.x"), hard("h", ".wh.x")]), "not there"),
    Row("a device as overlayfs writes a whiteout", tars([X], [entry("x", type=b"3")]), has(x=stat.S_IFCHR)),
    Row("such a device that hides nothing", tars([entry("x", type=b"3")]), has(x=None)),
    Row("hard link to such a device", tars([X], [entry("x", type=b"3"), hard("h", "x")]), "no file"),
    Row("whiteout of a name that is too long", tars([entry(".wh." + "a" * 254)]), "too long"),
    Row("a whiteout's mark of aufs", tars([folder(".wh..wh.plnk"), X]), names(b"x")),

    # ------------------------------------------------------------ the root itself
    Row("the root is a file", tars([entry(".", b"x")]), "root is not a folder"),
    Row("the root is a symlink", tars([symlink(".", "/etc")]), "root is not a folder"),
    Row("the root is a hard link", tars([hard("/", "/etc/passwd")]), "root is not a folder"),
    Row("the root is made writable by all", tars([folder("./", mode=0o7777), X]), has(x=b"x")),

    # ------------------------------------------------------------ names
    Row("the same file twice", tars([entry("x", b"1"), entry("x", b"22")]), has(x=b"22")),
    Row("a file, then a folder of that name", tars([X, folder("x"), entry("x/y", b"y")]), has(x__y=b"y")),
    Row("a folder with a file in it, then a file of that name", tars([folder("d"), entry("d/y", b"y"), entry("d", b"x")]), has(d=b"x")),
    Row("a folder, then a symlink of that name, then a file in it", tars([folder("d"), symlink("d", "/"), entry("d/x", b"x")]), has(d="/", x=b"x")),
    Row("names that differ by case", tars([entry("name", b"1"), entry("NAME", b"2"), entry("Name", b"3")]), has(name=b"1", NAME=b"2", Name=b"3")),
    Row("bad UTF-8", tars([entry(b"\xff\xfe\x80", b"x"), folder(b"\xc0\xaf"), entry(b"\xc0\xaf/\xe2\x28", b"y")]), names(b"\xff\xfe\x80", b"\xc0\xaf")),
    Row("bad UTF-8 in a PAX path", tars([pax({"path": b"\xff\xfe"}), X]), names(b"\xff\xfe")),
    Row("bad UTF-8 in an error", tars([entry(b"\xff\xfe/../x", b"x")]), "may not contain"),
    Row("names with control characters", tars([entry("a\n\x1b[2Jb", b"x"), entry("\x07", b"y")]), names(b"a\n\x1b[2Jb", b"\x07")),
    Row("control characters in an error", tars([entry("\x1b[2J\x1b]0;owned\x07\r/../x", b"x")]), "may not contain"),
    Row("a name of 255 bytes", tars([entry("a" * 255, b"x")]), has(**{"a" * 255: b"x"})),
    Row("a name of 256 bytes", tars([entry("a" * 256, b"x")]), "too long"),
    Row("a path of 5,000 bytes", tars([entry("a/" * 2500 + "x", b"x")]), "too long|nested"),
    Row("folders 300 deep", tars([entry("d/" * 300 + "x", b"x")]), "nested deeper"),
    Row("folders 250 deep", tars([entry("d/" * 250 + "x", b"x")]), has(d={})),
    Row("an empty name", tars([raw(b"")]), "without a name|root is not a folder|bad archive"),
    Row("a symlink to nothing", tars([symlink("l", "")]), "symlink to nothing"),
    Row("a symlink of 5,000 bytes", tars([pax({"linkpath": "a" * 5000}), symlink("l", "x")]), "too long"),
    Row("a NUL in a PAX path", tars([pax({"path": b"good\0/../../escape"}), X]), names(b"good")),

    # ------------------------------------------------------------ kinds
    Row("device nodes", tars([entry("mem", type=b"3", major=1, minor=1, mode=0o666), entry("sda", type=b"4", major=8, minor=0, mode=0o666)]),
        has(mem=stat.S_IFCHR | 0o666, sda=stat.S_IFBLK | 0o666)),
    Row("a device of absurd numbers", tars([pax({"SCHILY.devmajor": "99999999999", "SCHILY.devminor": "-1"}), entry("d", type=b"4")]), "device|number"),
    Row("a file in a device", tars([entry("d", type=b"3", major=1, minor=3), entry("d/x", b"x")]), "[Nn]ot a directory"),
    Row("a fifo", tars([entry("f", type=b"6"), X]), has(f=stat.S_IFIFO | 0o644)),
    Row("setuid and setgid programs", tars([entry("su", b"x", mode=0o4755), entry("sg", b"x", mode=0o2755, gid=42)]),
        has(su=stat.S_IFREG | 0o4755, sg=stat.S_IFREG | 0o2755)),
    Row("an unknown type", tars([entry("z", b"x", type=b"Z")]), has(z=b"x")),
    Row("a volume's label", tars([entry("label", type=b"V"), X]), names(b"x")),
    Row("the rest of a file from another volume", tars([entry("m", b"x", type=b"M"), X]), "unknown type|bad archive|volume"),
    Row("a symlink with data", tars([symlink("l", "x", size=3), padded(b"abc"), X]), "bad archive"),
    Row("a folder with data", tars([folder("d", size=3), padded(b"abc"), X]), "bad archive"),

    # ------------------------------------------------------------ numbers
    Row("a negative size", tars([raw("x", size=base256(-1, 12)), padded(b"x")]), "bad archive|negative|size"),
    Row("a size of 8 EiB", tars([raw("x", size=base256((1 << 63) - 1, 12)), padded(b"x")]), "more are needed|bad archive|size"),
    Row("a size of 80 bits", tars([raw("x", size=b"\x80\x00\xff" + b"\xff" * 9), padded(b"x")]), "more are needed|bad archive|size"),
    Row("a size that is no number", tars([raw("x", size=b"zzzz"), padded(b"x")]), "."),
    Row("a PAX size that is larger than what follows", tars([pax({"size": "1048576"}), X]), "truncated|cut|bad archive"),
    Row("a negative PAX size", tars([pax({"size": "-5"}), X]), "bad archive|negative|size"),
    Row("an owner beyond 32 bits", tars([pax({"uid": "4294967296"}), X]), "owner .* out of range"),
    Row("an owner of -1", tars([pax({"gid": "4294967295"}), X]), "owner .* out of range"),
    Row("a negative owner", tars([entry("x", b"x", uid=base256(-5, 8))]), "owner .* out of range|bad archive"),
    Row("a time beyond any clock", tars([pax({"mtime": "9223372036854775807.999999999"}), X]), has(x=b"x")),
    Row("a time before any clock", tars([pax({"mtime": "-9223372036854775808"}), X]), has(x=b"x")),
    Row("a time that is no number", tars([pax({"mtime": "nan", "atime": "1e400"}), X]), has(x=b"x")),
    Row("a wrong checksum", tars([raw("x", checksum=1), X]), "bad archive"),

    # ------------------------------------------------------------ xattrs
    Row("overlayfs's own xattr", tars([pax({"SCHILY.xattr.trusted.overlay.redirect": "/etc"}), folder("d")]), "trusted.overlay.redirect may not be"),
    Row("overlayfs's own xattr, in libarchive's spelling", tars([pax({"LIBARCHIVE.xattr.trusted.overlay.metacopy": ""}), X]), "trusted.overlay.metacopy may not be"),
    Row("overlayfs's own xattr, with its letters encoded", tars([pax({"LIBARCHIVE.xattr.trusted%2eoverlay.opaque": "eQ"}), folder("d")]), "trusted.overlay.opaque may not be"),
    Row("a label of another machine", tars([pax({"SCHILY.xattr.security.selinux": "system_u:object_r:shadow_t:s0", "SCHILY.xattr.security.ima": b"\x01"}), X]), has(x=b"x")),
    Row("capabilities that are none", tars([pax({"SCHILY.xattr.security.capability": b"\xff" * 20}), X]), "xattr security.capability"),
    Row("an xattr without a namespace", tars([pax({"SCHILY.xattr.nothing": "x", "SCHILY.xattr.": "y"}), X]), has(x=b"x")),
    Row("an xattr of 100 KB", tars([pax({"SCHILY.xattr.user.big": b"x" * 100000}), X]), "xattr user.big"),
    Row("a hundred xattrs", tars([pax({"SCHILY.xattr.user.n%d" % i: "x" for i in range(100)}), X]), "more than 64 xattrs"),
    Row("user xattr of a symlink", tars([pax({"SCHILY.xattr.user.x": "x"}), symlink("l", "x")]), "xattr user.x"),

    # ------------------------------------------------------------ headers that are bombs
    Row("a PAX header of 64 MiB", lambda: packed(zstd, layer(pax({"comment": b"x" * (64 << 20)}), X)), "bad archive|too large", forms=("folder",)),
    Row("a PAX header that says 8 EiB", tars([raw("p", b"x", base256(1 << 62, 12)), padded(b"9 path=x\n"), X]), "bad archive"),
    Row("a GNU long name of 64 MiB", lambda: packed(zstd, layer(raw("././@LongLink", b"L", 64 << 20, magic=b"ustar  \0"), padded(b"a" * (64 << 20)), X)),
        "bad archive|too long", forms=("folder",)),
    Row("a thousand PAX headers in a row", tars([pax({"path": "y"}) * 1000, X]), "bad archive", forms=("folder", "pull")),
    Row("global PAX headers that name the files", tars([pax({"path": "../../escape"}, b"g"), X]), has(x=b"x")),
    Row("a PAX record with a wrong length", tars([pax(b"999 path=x\n"), X]), "bad archive"),
    Row("a PAX record of negative length", tars([pax(b"-9 path=x\n"), X]), "bad archive"),
    Row("a PAX header and no file", tars([pax({"path": "x"})]), "bad archive"),
    Row("a hundred thousand records in a PAX header", tars([pax({"comment.%d" % i: "x" for i in range(40000)}), X]), has(x=b"x"), forms=("folder", "pull")),

    # ------------------------------------------------------------ holes that are lies
    Row("a sparse file of 8 EiB", tars([sparse(1 << 62, [(0, 1)], b"x")]), "size|[Ff]ile too large|bad archive"),
    Row("a sparse file of 1 TiB", tars([sparse(1 << 40, [(0, 1)], b"x")]), has_size("x", 1 << 40)),
    Row("a sparse map beyond the file's size", tars([sparse(10, [(1 << 40, 1)], b"x")]), "bad archive|beyond|size"),
    Row("a sparse map with more data than there is", tars([sparse(1 << 20, [(0, 1 << 19)], b"x")]), "bad archive|truncated"),
    Row("a sparse map that overlaps", tars([sparse(100, [(50, 1), (0, 1)], b"xy")]), "bad archive|order|overlap"),
    Row("a sparse map of negative numbers", tars([sparse(100, [(-5, 1)], b"x")]), "bad archive|order|overlap"),
    Row("an old GNU sparse header with lies", tars([raw("x", b"S", 1, magic=b"ustar  \0", tail=b"\0" * 41 + field_(1 << 40) + field_(1) + b"\0" * 72 + b"\0" + field_(5)), padded(b"x")]),
        "bad archive|beyond|size"),

    # ------------------------------------------------------------ bombs
    Row("10 GB of zeros in a few hundred KB of zstd", lambda: Crafted(b"", packed=[zstd_zeros(raw("x", size=10 << 30), 10 << 30)]), "image_max_size", forms=("folder", "pull"), seconds=30),
    Row("10 GB of zeros in 10 MB of gzip", lambda: Crafted(b"", packed=[gzip_zeros(raw("x", size=10 << 30), 10 << 30)]), "image_max_size", forms=("folder",), seconds=30),
    Row("an archive of 10 GB of zeros in 10 MB of gzip", lambda: Whole(gzip_zeros(raw("x", size=10 << 30), 10 << 30)), "image_max_size", forms=("tar",)),
    Row("five layers of 150 MB of zeros", lambda: Crafted(*[b""] * 5, packed=[zstd_zeros(raw("x%d" % i, size=150 << 20), (150 << 20) + 1024) for i in range(5)],
                                                           diff_ids=[zeros_id(raw("x%d" % i, size=150 << 20), (150 << 20) + 1024) for i in range(5)]), "layer 4 of 5.*image_max_size", forms=("folder",)),
    Row("a million entries", lambda: packed(zstd, layer(raw(".wh..wh.plnk") * 1000000)), names(), forms=("folder",), seconds=30),
    Row("ten thousand hard links", tars([X, *(hard("h%d" % i, "x") for i in range(10000))]), has(h9999=b"x"), forms=("folder",)),
    Row("a config of a million objects", tars([X], config=lambda c: json.dumps(c)[:-1].encode() + b', "x": [' + b"{}," * 1000000 + b"0]}"), "more than 200000 values", forms=("folder", "pull")),
    Row("an archive of a hundred thousand long names", lambda: Whole(layer(*(entry("%04000d" % i) for i in range(20000)))), "bytes of names", forms=("tar",)),

    # ------------------------------------------------------------ streams
    Row("cut in a header", lambda: Crafted(X[:300]), "bad archive"),
    Row("cut in a file", lambda: Crafted(entry("x", b"x" * 5000)[:2000]), "bad archive"),
    Row("without an end", lambda: Crafted(X), has(x=b"x")),
    Row("no bytes at all", lambda: Crafted(b""), names()),
    Row("cut gzip", lambda: packed(lambda t: gzip.compress(t)[:-20], layer(entry("x", os.urandom(5000)))), "gzip data is cut short"),
    Row("cut zstd", lambda: packed(lambda t: zstd(t)[:-20], layer(entry("x", os.urandom(5000)))), "zstd data is cut short"),
    Row("gzip with a wrong checksum", lambda: packed(lambda t: gzip.compress(t)[:-8] + b"\0" * 8, layer(X)), "damaged gzip data"),
    Row("gzip and then something else", lambda: packed(lambda t: gzip.compress(t) + b"junk", layer(X)), "not gzip follows"),
    Row("gzip within gzip", lambda: packed(lambda t: gzip.compress(gzip.compress(t)), layer(X)), "bad archive"),
    Row("zstd with a window of 2 GiB", lambda: packed(lambda t: b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + zstd_zeros(t, 0)[6:], layer(X)), "zstd data"),
    Row("xz", lambda: packed(lambda t: lzma.compress(t), layer(X)), "xz"),
    Row("a zip file as a layer", lambda: Crafted(zip_of("x", b"x")), "bad archive"),
    Row("a cpio archive as a layer", lambda: Crafted(b"07070100000000" + b"0" * 96), "bad archive"),
    Row("a program as a layer", lambda: Crafted(open("/bin/busybox", "rb").read(100000)), "bad archive"),
    Row("junk behind the end", lambda: Crafted(layer(X) + os.urandom(5000)), has(x=b"x")),
    Row("a second archive behind the end", lambda: Crafted(layer(X) + layer(entry("y", b"y"))), has(x=b"x", y=None)),

    # ------------------------------------------------------------ sizes and digests
    Row("a layer that is one byte longer than it should be", one(blobs=lambda b: grow(b, 0, 1)), "bytes", forms=("folder", "tar", "pull")),
    Row("a layer that is one byte shorter", one(blobs=lambda b: grow(b, 0, -1)), "bytes", forms=("folder", "tar", "pull")),
    Row("a layer with a changed byte", one(blobs=lambda b: flip(b, 0)), "damaged or forged", forms=("folder", "tar", "pull")),
    Row("a config with a changed byte", one(blobs=lambda b: flip(b, 1)), "damaged or forged", forms=("folder", "tar", "pull")),
    Row("a manifest with a changed byte", one(blobs=lambda b: flip(b, 2)), "damaged or forged", forms=("folder", "tar")),
    Row("a layer that is not there", one(blobs=lambda b: b.pop(list(b)[0])), "lacks a blob|not got", forms=("folder", "tar", "pull")),
    Row("a wrong diff id", one(diff_ids=["sha256:" + "0" * 64]), "and not sha256:0000"),
    Row("a diff id of another kind", one(diff_ids=["sha512:" + "0" * 128]), "not a sha256 digest"),
    Row("a digest with a path in it", one(manifest=lambda m: m["layers"][0].update(digest="sha256:../../../../etc/passwd")), "not a sha256 digest", forms=MANIFESTS),
    Row("a digest in upper case", one(manifest=lambda m: m["layers"][0].update(digest=m["layers"][0]["digest"].upper().replace("SHA", "sha"))), "not a sha256 digest", forms=MANIFESTS),
    Row("a negative layer", one(manifest=lambda m: m["layers"][0].update(size=-1)), "missing or negative", forms=MANIFESTS),
    Row("a layer of 2^64 bytes", one(manifest=lambda m: json.dumps(m).replace('"size": %d' % m["layers"][0]["size"], '"size": 18446744073709551616').encode()), "too big|integer|real", forms=MANIFESTS),
    Row("a layer of 1.5 bytes", one(manifest=lambda m: m["layers"][0].update(size=1.5)), "wrong type", forms=MANIFESTS),

    # ------------------------------------------------------------ documents
    Row("a manifest with a key twice", one(manifest=lambda m: json.dumps(m)[:-1].encode() + b', "layers": []}'), "duplicate", forms=MANIFESTS),
    Row("a config with a key twice", one(config=lambda c: json.dumps(c)[:-1].encode() + b', "rootfs": {}}'), "duplicate"),
    Row("bad UTF-8 in a config", one(config=lambda c: json.dumps(c).encode().replace(b'"sh"', b'"\xff"')), "unable to decode byte 0xff"),
    Row("a NUL in a config", one(config=lambda c: json.dumps(c).encode().replace(b'"sh"', b'"a\\u0000b"')), "u0000"),
    Row("a config nested 100,000 deep", one(config=lambda c: json.dumps(c)[:-1].encode() + b', "x": ' + b"[" * 100000 + b"]" * 100000 + b"}"), "nested deeper"),
    Row("a config of more than 4 MiB", one(config=lambda c: c.update(x="x" * (4 << 20))), "at most 4194304 are taken|larger than 4194304|too large"),
    Row("a config of nearly 4 MiB", one(config=lambda c: c.update(x="x" * ((4 << 20) - 1000))), has(x=b"x"), forms=("folder", "pull")),
    Row("labels of nearly 4 MiB", one(config=lambda c: c["config"].update(Labels={"l": "x" * ((4 << 20) - 1000)})), "Labels|larger|too large", forms=("folder", "docker")),
    Row("ten thousand labels", one(config=lambda c: c["config"].update(Labels={"l%d" % i: "" for i in range(10000)})), "at most 8192"),
    Row("an Env that is no NAME=VALUE", one(config=lambda c: c["config"].update(Env=["=x"])), "is not NAME=VALUE"),
    Row("a Cmd that is no list", one(config=lambda c: c["config"].update(Cmd="sh -c x")), "'Cmd' has the wrong type"),
    Row("a config that is a layer", one(manifest=lambda m: m.update(config=dict(m["config"], **{k: m["layers"][0][k] for k in ("digest", "size")}))), "config: line", forms=MANIFESTS),
    Row("a layer that is the config", one(manifest=lambda m: m.update(layers=[dict(m["layers"][0], **{k: m["config"][k] for k in ("digest", "size")})])), "bad archive", forms=MANIFESTS),
    Row("more layers than diff ids", one(manifest=lambda m: m.update(layers=m["layers"] * 2)), "2 layers, the config 1", forms=MANIFESTS),
    Row("fewer layers than diff ids", one(config=lambda c: c["rootfs"].update(diff_ids=c["rootfs"]["diff_ids"] * 2)), "1 layers, the config 2"),
    Row("ten thousand layers", one(manifest=lambda m: m.update(layers=m["layers"] * 10000), config=lambda c: c["rootfs"].update(diff_ids=c["rootfs"]["diff_ids"] * 10000)),
        "at most 127", forms=MANIFESTS),
    Row("the same layer 127 times", one(manifest=lambda m: m.update(layers=m["layers"] * 127), config=lambda c: c["rootfs"].update(diff_ids=c["rootfs"]["diff_ids"] * 127)),
        has(x=b"x"), forms=("folder",)),
    Row("no layers", one(manifest=lambda m: m.update(layers=[]), config=lambda c: c["rootfs"].update(diff_ids=[])), "nothing to run|no image", forms=MANIFESTS),
    Row("a layer of a type that nobody knows", one(type="application/vnd.example.layer"), "no kind of layer", forms=MANIFESTS),
    Row("an encrypted layer", one(type="application/vnd.oci.image.layer.v1.tar+encrypted"), "no kind of layer", forms=MANIFESTS),
    Row("a layer that lies elsewhere", one(type="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", blobs=lambda b: b.pop(list(b)[0])), "lacks a blob|foreign", forms=MANIFESTS),
    Row("a manifest that is an index too", one(manifest=lambda m: m.update(manifests=[dict(m["config"], mediaType=reg.MANIFEST)])), "both", forms=MANIFESTS),
    Row("the same without a type", one(manifest=lambda m: (m.pop("mediaType"), m.update(manifests=[dict(m["config"], mediaType=reg.MANIFEST)]))[1]), "both", forms=MANIFESTS),
    Row("a manifest that says it is an index", one(manifest=lambda m: m.update(mediaType=reg.INDEX)), "not the manifest|calls it|both", forms=MANIFESTS),
    Row("a manifest that is named as an index", lambda: nested(0), "index|manifest", forms=("folder", "tar")),
    Row("schema 1", one(manifest=lambda m: m.update(schemaVersion=1)), "schema", forms=MANIFESTS),
    Row("an image for another machine, by its config", one(config=lambda c: c.update(architecture="s390x")), "for s390x"),
    Row("an image for another system, by its config", one(config=lambda c: c.update(os="windows")), "for windows"),
    Row("an image whose index lies about the machine", one(config=lambda c: c.update(architecture="s390x"),
        index=lambda i: i["manifests"][0].update(platform={"os": "linux", "architecture": "amd64"})), "for s390x", forms=("folder", "tar")),
    Row("an index in an index", lambda: nested(2), has(x=b"x"), forms=MANIFESTS),
    Row("indexes ten deep", lambda: nested(10), "indexes within indexes", forms=MANIFESTS),
    Row("an index of 2,000", one(index=lambda i: i.update(manifests=i["manifests"] * 2000)), "at most 1024", forms=("folder", "tar")),
    Row("an index of nothing", one(index=lambda i: i.update(manifests=[])), "names no manifest", forms=("folder", "tar")),
    Row("an index that is a list", one(index=lambda i: b"[]"), "not an object", forms=("folder", "tar")),
    Row("a name with ../ in it", one(index=lambda i: name_it(i, "../../../etc/passwd")), nameless, forms=("folder", "tar")),
    Row("a name with control characters", one(index=lambda i: name_it(i, "\x1b[2Jx:\n1")), nameless, forms=("folder", "tar")),
    Row("a name of 100 KB", one(index=lambda i: name_it(i, "a" * 100000)), "longer than", forms=("folder", "tar")),
    Row("a name that is a number", one(index=lambda i: name_it(i, 5)), "wrong type", forms=("folder", "tar")),
    Row("names with ../ in a docker-archive", one(docker=lambda d: d[0].update(RepoTags=["../../x:1", "-rf", "\n"])), nameless, forms=("docker",)),
    Row("a thousand names in a docker-archive", one(docker=lambda d: d[0].update(RepoTags=["x:%d" % i for i in range(1000)])), "at most 256", forms=("docker",)),
    Row("a docker-archive's layer elsewhere", one(docker=lambda d: d[0].update(Layers=["../../../etc/passwd"])), "lacks a file", forms=("docker",)),
    Row("a docker-archive's config elsewhere", one(docker=lambda d: d[0].update(Config="/etc/passwd")), "lacks a file", forms=("docker",)),
    Row("a docker-archive's config is its layer", one(docker=lambda d: d[0].update(Config="layer0.tar")), "config: line", forms=("docker",)),
    Row("a docker-archive without a config", one(docker=lambda d: d[0].pop("Config") and None), "'Config' is missing", forms=("docker",)),
    Row("a docker-archive of 2,000 images", one(docker=lambda d: d * 2000 and json.dumps(d * 2000).encode()), "too many images", forms=("docker",)),
    Row("a docker-archive of no list", one(docker=lambda d: b"{}"), "not a list", forms=("docker",)),
    Row("a docker-archive with a key twice", one(docker=lambda d: json.dumps(d)[:-2].encode() + b', "Layers": []}]'), "duplicate", forms=("docker",)),
    Row("a docker-archive with another digest in a name", lambda: archive(lambda f: (f.update({"0" * 64 + ".json": f["config.json"]}),
        f.update({"manifest.json": f["manifest.json"].replace(b"config.json", b"0" * 64 + b".json")})), "docker"), "damaged or forged", forms=("docker",)),

    # ------------------------------------------------------------ the archive around it
    Row("an archive whose files are named ../", lambda: archive(lambda f: f.update({"../../escape": b"x", "/etc/escape": b"x"})), has(x=b"x"), forms=("tar", "docker")),
    Row("an archive whose index is a symlink out", lambda: archive(lambda f: f.update({"index.json": ("link", "/etc/passwd")})), "neither an OCI image layout|No such file", forms=("tar",)),
    Row("an archive whose index is a hard link out", lambda: archive(lambda f: f.update({"index.json": ("hard", "/etc/passwd")})), "neither an OCI image layout|No such file", forms=("tar",)),
    Row("an archive with links in a ring", lambda: archive(lambda f: f.update({"index.json": ("link", "a"), "a": ("link", "b"), "b": ("link", "a")})), "neither an OCI image layout|No such file", forms=("tar",)),
    Row("an archive whose layer is a ring of links", lambda: archive(lambda f: f.update({"layer0.tar": ("hard", "layer0.tar")}), "docker"), "lacks a file", forms=("docker",)),
    Row("a folder whose index is a symlink out", lambda: in_folder(lambda p: relink(p, "index.json", "/etc/passwd")), "neither an OCI image layout|symbolic", forms=("folder",)),
    Row("a folder whose blob is a symlink", lambda: in_folder(lambda p: relink(p, sorted(os.listdir(p + "/blobs/sha256"))[0], "/etc/passwd", "/blobs/sha256/")), "symbolic|lacks", forms=("folder",)),
    Row("a folder whose blobs are a symlink", lambda: in_folder(lambda p: (os.rename(p + "/blobs", p + "/b"), os.symlink("b", p + "/blobs"))), "symbolic|lacks", forms=("folder",)),
    Row("a folder whose index is a fifo", lambda: in_folder(lambda p: (os.unlink(p + "/index.json"), os.mkfifo(p + "/index.json"))), "not a regular file|neither", forms=("folder",)),
    Row("a folder whose index is a device", lambda: in_folder(lambda p: (os.unlink(p + "/index.json"), os.mknod(p + "/index.json", 0o666 | stat.S_IFCHR, os.makedev(1, 5)))), "regular file|neither", forms=("folder",)),
    Row("a layout of version 2", lambda: archive(lambda f: f.update({"oci-layout": b'{"imageLayoutVersion": "2.0.0"}'})), "version '2.0.0'", forms=("tar",)),
    Row("an archive that ends early", lambda: archive(None, cut=2500), ".", forms=("tar", "docker")),
    Row("an archive of 100,001 files", lambda: archive(lambda f: f.update(("f%d" % i, b"") for i in range(100001))), "more than 100000 files", forms=("tar",)),
    Row("an archive with holes", lambda: Whole(layer(sparse(10, [(0, 1)], b"x"))), "holes", forms=("tar",)),
    Row("an archive within gzip within gzip", lambda: archive(None, pack=lambda t: gzip.compress(gzip.compress(t))), "tar", forms=("tar",)),
    Row("an archive that is a zip file", lambda: Whole(zip_of("index.json", b"{}")), "neither a folder nor a readable tar", forms=("tar",)),
    Row("an archive of nothing but zeros", lambda: Whole(bytes(1 << 20)), "neither", forms=("tar",)),
    Row("an archive with a cut index", lambda: archive(lambda f: f.update({"index.json": f["index.json"][:-5]})), "index: line", forms=("tar",)),
]


# ------------------------------------------------------------------ how each is tried

@pytest.fixture(scope="module")
def place():
    reg.loopback_up()
    path = os.path.join(DIR, "hostile")
    os.makedirs(path)
    with open(path + "/canary", "wb") as f:
        f.write(b"untouched")
    yield path


@pytest.fixture(scope="module")
def victim(place):
    with open(place + "/berthd.conf", "w") as f:
        f.write("plain_http = localhost:%d\nimage_max_size = 600m\n" % PORT)
    with private_host(options=["--config", place + "/berthd.conf"]) as h:
        yield h


@pytest.fixture(scope="module")
def registry(victim):
    r = reg.Registry(PORT)
    yield r
    r.stop()


@pytest.fixture(scope="module")
def good(place):
    return busybox_image("good:1").write_layout(place + "/good")


def outside(host, place):
    """Whatever an archive could have reached: names, types and times around the store and of what stands for the host."""
    seen = {}
    for path in ("/", "/etc", "/usr/bin", DIR, place, host.state, host.state + "/images"):
        for name in os.listdir(path):
            full = os.path.join(path, name)
            st = os.lstat(full)
            busy = full.startswith(DIR) and not full.startswith(place + "/canary")
            seen[full] = (st.st_mode, st.st_uid) if busy or stat.S_ISDIR(st.st_mode) else (st.st_mode, st.st_uid, st.st_nlink, st.st_size, st.st_mtime_ns)
    return seen


def differences(before, after):
    return sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k) and not k.endswith(("-wal", "-shm", ".log")))


def images_of(host):
    return sorted((i["image_id"], tuple(i.get("names", []))) for i in host.ask("image_list").get("images", []))


def half_made(host):
    return [f for f in os.listdir(host.state + "/images/tmp") if not f.endswith(".lock")]


def measured_import(images, source):
    """berth-job alone: whether it succeeded, its peak memory and CPU seconds."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fd = os.open(source, os.O_RDONLY)

    def descriptors():
        high = [os.dup(theirs.fileno()), os.dup(fd)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)
    # A small program between us: the memory of who forks counts for the child too.
    job = subprocess.Popen(["busybox", "time", "-v", os.path.join(BIN, "berth-job"), "import", images, "unpack_max=%d" % SIZE_MAX],
                           preexec_fn=descriptors, close_fds=True, pass_fds=(3, 4), stderr=subprocess.PIPE, text=True)
    theirs.close()
    os.close(fd)
    while ours.recv(65536):
        pass
    ours.close()
    said = job.communicate()[1]
    figure = dict(re.findall(r"\t(Maximum resident|User time|System time)[^:]*: ([0-9.]+)", said))
    return job.returncode, int(figure["Maximum resident"]) << 10, float(figure["User time"]) + float(figure["System time"])


def attempt(host, registry, row, form, image, path):
    """The tool's answer and the name that the image would have."""
    if form == "pull":
        repo, tag = "h/" + "".join(c if c.isalnum() else "-" for c in row.name.lower()).strip("-"), "1"
        while "--" in repo:
            repo = repo.replace("--", "-")
        name = image.serve(registry, repo, tag)
        return host.berth("pull", name, code=None, timeout=row.seconds), name
    image.write(form, path, "hostile:1")
    return host.berth("image", "import", path, code=None, timeout=row.seconds), "hostile:1"


def judge(host, row, form, r, name, before):
    if isinstance(row.want, str):
        assert r.code == 1, "%s (%s) was taken: %r" % (row.name, form, r)
        assert re.search(row.want, r.err), "%s (%s) says nothing like %r: %r" % (row.name, form, row.want, r)
        assert not [c for c in r.err if ord(c) < 32 and c not in "\n\r"], "control characters: %r" % r.err
        assert images_of(host) == before
        return
    assert r.code == 0, "%s (%s): %r" % (row.name, form, r)
    if row.want is nameless:
        new = set(images_of(host)) - set(before)
        assert len(new) == 1 and not next(iter(new))[1], new
        name = next(iter(new))[0]
    image = host.ask("image_inspect", {"ref": name})["images"][0]
    row.want(["%s/images/layers/%s" % (host.state, c[7:]) for c in reversed(image["layers"])])
    host.berth("image", "rm", name)


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_hostile_image(victim, registry, good, place, tmp_path, row):
    host, before, seen = victim, images_of(victim), outside(victim, place)
    for form in row.forms:
        image = row.make()
        r, name = attempt(host, registry, row, form, image, str(tmp_path / form))
        judge(host, row, form, r, name, before)
    form = next((f for f in row.forms if f != "pull"), None)
    if form:
        code, peak, cpu = measured_import(str(tmp_path / "images"), str(tmp_path / form))
        assert peak <= MEMORY_MAX and cpu <= row.seconds, (peak, cpu)
        assert code in (0, 1), "the job died: %d" % code
    host.berth("image", "import", good)
    assert host.berth("image", "rm", "good:1").code == 0
    eventually(lambda: not half_made(host), lambda: half_made(host), 2)
    for f in os.listdir(host.state + "/images/partial"):     # whole blobs of images that were refused: a pull goes on with them
        os.unlink("%s/images/partial/%s" % (host.state, f))
    assert differences(seen, outside(host, place)) == []
