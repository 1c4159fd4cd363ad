"""Small images for the tests, written as an OCI layout or a docker-archive without any tool."""

import gzip
import hashlib
import io
import json
import os
import tarfile

PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n"
GROUP = "root:x:0:\nalice:x:1000:\nbob:x:1001:\nboat:x:2000:alice\n"
APPLETS = """[ ash awk basename cat chgrp chmod chown cp cut date dd df dirname dmesg du echo env expr false find free grep head
hostname id ifconfig ip kill ln ls mkdir mkfifo mknod mount mv nc nproc od ping printf ps pwd readlink rm rmdir route sed seq sh sleep sort
stat stty sync tail tee test timeout top touch tr true tty umount uname vi wc which yes""".split()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(entries):
    """entries: path -> bytes (file), None (folder), ("link", target), ("hard", target), ("file", bytes, mode, uid), ("dir", mode, uid)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, what in entries.items():
            info = tarfile.TarInfo(path)
            info.mode, data = 0o755, None
            if what is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(what, tuple) and what[0] == "dir":
                info.type, info.mode, info.uid = tarfile.DIRTYPE, what[1], what[2]
                info.gid = info.uid
            elif isinstance(what, tuple) and what[0] == "link":
                info.type, info.linkname = tarfile.SYMTYPE, what[1]
            elif isinstance(what, tuple) and what[0] == "hard":
                info.type, info.linkname = tarfile.LNKTYPE, what[1]
            else:
                data = what
                if isinstance(what, tuple):
                    data, info.mode, info.uid = what[1], what[2], what[3]
                    info.gid = info.uid
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


def busybox_entries(busybox, guest):
    entries = {d: None for d in ("bin", "dev", "etc", "home", "home/alice", "proc", "root", "sys", "tmp", "usr", "usr/bin", "var", "run")}
    entries["tmp"] = None
    entries["bin/busybox"] = open(busybox, "rb").read()
    entries["bin/guest"] = open(guest, "rb").read()
    for name in APPLETS:
        entries["bin/" + name] = ("link", "busybox")
    entries["etc/passwd"] = PASSWD.encode()
    entries["etc/group"] = GROUP.encode()
    entries["home/alice/owned"] = ("file", b"alice's\n", 0o600, 1000)
    entries["bin/not-executable"] = ("file", b"#!/bin/sh\nexit 0\n", 0o644, 0)
    entries["bin/bad-format"] = ("file", b"\x00\x01\x02\x03 not a program", 0o755, 0)
    entries["bin/bad-interpreter"] = ("file", b"#!/no/such/interpreter\n", 0o755, 0)
    return entries


class Image:
    """config: keys of the image spec's config object ("Cmd", "Entrypoint", "Env" …)."""

    def __init__(self, name, layers, config=None):
        self.name, self.layers = name, layers
        self.blobs = {}
        descriptors = []
        for data in layers:
            packed = gzip.compress(data, 1, mtime=0)
            descriptors.append(self.blob("application/vnd.oci.image.layer.v1.tar+gzip", packed))
        self.config = json.dumps({
            "architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z", "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [digest(d) for d in layers]},
        }).encode()
        self.id = digest(self.config)
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.blob("application/vnd.oci.image.config.v1+json", self.config), "layers": descriptors,
        }).encode()
        self.manifest = self.blob("application/vnd.oci.image.manifest.v1+json", manifest)

    def blob(self, media_type, data):
        self.blobs[digest(data)] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def write_layout(self, folder):
        os.makedirs(folder + "/blobs/sha256")
        for name, data in self.blobs.items():
            with open(folder + "/blobs/sha256/" + name[7:], "wb") as f:
                f.write(data)
        with open(folder + "/oci-layout", "w") as f:
            f.write('{"imageLayoutVersion": "1.0.0"}')
        manifest = dict(self.manifest, annotations={"org.opencontainers.image.ref.name": self.name})
        with open(folder + "/index.json", "w") as f:
            json.dump({"schemaVersion": 2, "manifests": [manifest]}, f)
        return folder

    def write_docker_archive(self, path):
        with tarfile.open(path, "w") as tar:
            def add(name, data):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            names = []
            for i, data in enumerate(self.layers):
                names.append("layer%d/layer.tar" % i)
                add(names[-1], data)
            add(self.id[7:] + ".json", self.config)
            add("manifest.json", json.dumps([{"Config": self.id[7:] + ".json", "RepoTags": [self.name], "Layers": names}]).encode())
        return path
