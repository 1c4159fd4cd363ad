"""Images that no honest tool makes: tar headers with any field, blobs that are not what their digest says, documents that lie.
Written as an OCI layout folder, the same as one tar, a docker-archive, or put into a registry of tests/system/registry.py."""

import ctypes
import io
import json
import os
import struct
import tarfile

from oci import digest
from registry import MANIFEST

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
END = bytes(1024)
FORMS = ("folder", "tar", "docker", "pull")


# ------------------------------------------------------------------ tar, field by field

def field(value, size):
    """A number as octal text; bytes go in as they are."""
    if isinstance(value, bytes):
        return value.ljust(size, b"\0")[:size]
    return (b"%0*o" % (size - 1, value)).ljust(size, b"\0")


def base256(value, size):
    return ((1 << (8 * size - 1)) | (value & ((1 << (8 * size - 1)) - 1))).to_bytes(size, "big")


def raw(name, type=b"0", size=0, mode=0o644, uid=0, gid=0, mtime=0, link=b"", magic=b"ustar\x0000", major=0, minor=0, tail=b"", checksum=None):
    name, link = (x.encode() if isinstance(x, str) else x for x in (name, link))
    head = field(name, 100) + field(mode, 8) + field(uid, 8) + field(gid, 8) + field(size, 12) + field(mtime, 12)
    rest = type + field(link, 100) + magic + field(b"", 64) + field(major, 8) + field(minor, 8) + field(tail, 167)
    total = sum(head) + sum(rest) + 8 * 32 if checksum is None else checksum
    return head + b"%06o\0 " % total + rest


def padded(data):
    return data + bytes(-len(data) % 512)


def entry(name, data=b"", **kw):
    """Names of any length: by GNU's long name where the header has no room."""
    name = name.encode() if isinstance(name, str) else name
    before = raw("././@LongLink", b"L", len(name) + 1, magic=b"ustar  \0") + padded(name + b"\0") if len(name) > 100 else b""
    return before + raw(name, size=kw.pop("size", len(data)), **kw) + padded(data)


def folder(name, **kw):
    return entry(name, type=b"5", **{"mode": 0o755, **kw})


def symlink(name, to, **kw):
    return entry(name, type=b"2", link=to, **kw)


def hard(name, to, **kw):
    return entry(name, type=b"1", link=to, **kw)


def record(key, value):
    key, value = (x.encode() if isinstance(x, str) else x for x in (key, value))
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length = len(b"%d" % length) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (length, key, value)


def pax(records, type=b"x"):
    data = records if isinstance(records, bytes) else b"".join(record(k, v) for k, v in records.items())
    return raw("PaxHeaders/x", type, len(data)) + padded(data)


def layer(*parts):
    return b"".join(parts) + END


# ------------------------------------------------------------------ compression

def zstd(data):
    lib = ctypes.CDLL("libzstd.so.1")
    lib.ZSTD_compress.restype = lib.ZSTD_compressBound.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(lib.ZSTD_compressBound(ctypes.c_size_t(len(data))))
    n = lib.ZSTD_compress(out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)), 3)
    return out.raw[:n]


def zstd_zeros(before, n):
    """A frame of `before` (raw blocks), then n zeros in blocks of 128 KiB that take four bytes each."""
    blocks = [struct.pack("<I", len(before) << 3)[:3] + before] if before else []
    blocks += [struct.pack("<I", (128 << 10) << 3 | 2)[:3] + b"\0"] * (n >> 17)
    if n % (128 << 10):
        blocks.append(struct.pack("<I", (n % (128 << 10)) << 3 | 2)[:3] + b"\0")
    last = bytearray(blocks[-1])
    last[0] |= 1
    blocks[-1] = bytes(last)
    return b"\x28\xb5\x2f\xfd" + b"\x00\x58" + b"".join(blocks)


# ------------------------------------------------------------------ an image

class Crafted:
    """tars: what the diff ids are of; packed: the blobs (None: the tars as they are). The edits change a document before it is
    written, and may return bytes in its place; blobs(dict) may change any content after all digests are taken."""

    def __init__(self, *tars, packed=None, diff_ids=None, config=None, manifest=None, index=None, docker=None, blobs=None, run=None, type=LAYER):
        self.tars = tars
        self.packed = packed or tars
        self.edits = {"config": config, "manifest": manifest, "index": index, "docker": docker}
        self.blobs = {}
        self.document = {"architecture": "amd64", "os": "linux", "config": run or {"Cmd": ["sh"]},
                         "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest(t) for t in tars]}}
        self.config = self.edited("config", self.document)
        layers = [self.blob(type, p) for p in self.packed]
        self.manifest = self.blob(MANIFEST, self.edited("manifest", {
            "schemaVersion": 2, "mediaType": MANIFEST, "config": self.blob(CONFIG, self.config), "layers": layers}))
        if blobs:
            blobs(self.blobs)

    def edited(self, which, document):
        out = self.edits[which] and self.edits[which](document)
        return out if isinstance(out, bytes) else json.dumps(document if out is None else out).encode()

    def blob(self, type, data):
        self.blobs[digest(data)] = data
        return {"mediaType": type, "digest": digest(data), "size": len(data)}

    def files(self, name):
        """Of the layout."""
        entry = dict(self.manifest, annotations={"org.opencontainers.image.ref.name": name})
        out = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": self.edited("index", {"schemaVersion": 2, "manifests": [entry]})}
        out.update(("blobs/sha256/" + d[7:], data) for d, data in self.blobs.items())
        return out

    def docker_files(self, name):
        names = ["layer%d.tar" % i for i in range(len(self.packed))]
        out = dict(zip(names, self.packed))
        out["config.json"] = self.config
        out["manifest.json"] = self.edited("docker", [{"Config": "config.json", "RepoTags": [name], "Layers": names}])
        return out

    def write(self, form, path, name):
        """path: what does not exist yet."""
        files = self.docker_files(name) if form == "docker" else self.files(name)
        if form == "folder":
            os.makedirs(path + "/blobs/sha256")
            for f, data in files.items():
                with open(os.path.join(path, f), "wb") as out:
                    out.write(data)
            return path
        with tarfile.open(path, "w") as tar:
            for f, data in files.items():
                info = tarfile.TarInfo(f)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return path

    def serve(self, registry, name, tag):
        """The manifest is what index.json would name first; its reference."""
        with registry.lock:
            registry.blobs.update(self.blobs)
            for d, data in self.blobs.items():
                registry.manifests[name, d] = (json_type(data), data)
        return registry.add_manifest(name, tag, self.blobs[self.manifest["digest"]], self.manifest["mediaType"])


def json_type(data):
    try:
        return json.loads(data)["mediaType"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return MANIFEST
