"""Layers at random, imported by berth-job and stacked by overlayfs, against a model of some 60 lines of what the OCI image spec
says. A failure prints the seed and the layers; BERTH_MODEL_SEED=n BERTH_MODEL_CASES=1 runs that one again."""

import copy
import ctypes
import io
import os
import random
import shutil
import socket
import subprocess
import tarfile

import pytest

from oci import Image

pytestmark = pytest.mark.native

BIN = os.environ["BERTH_BIN"]
SEED = int(os.environ.get("BERTH_MODEL_SEED", "1"))
CASES = int(os.environ.get("BERTH_MODEL_CASES", "60"))
NAMES = ["a", "b", "c", "bin"]
TARGETS = ["a", "b", "../a", "/bin", "/a/b", "..", ".", "c", "../../b"]


class Refused(Exception):
    pass


class Node:
    """kind f, d or l; layer = the last layer that brought it (or something in it)."""

    def __init__(self, kind, text=None):
        self.kind, self.text, self.layer = kind, text, 0
        self.children = {} if kind == "d" else None


def resolve(root, path, layer, make=True):
    """The folders down to the one that holds path's last part, through symlinks below root."""
    parts = [p for p in path.split("/") if p not in ("", ".")]
    name, todo, stack, links = parts.pop(), parts, [root], 0
    while todo:
        part = todo.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            del stack[max(1, len(stack) - 1):]
            continue
        node = stack[-1].children.get(part)
        if node is None:
            if not make:
                raise Refused("not there")
            node = stack[-1].children[part] = Node("d")
        if node.kind == "l":
            links += 1
            if links > 40:
                raise Refused("loop")
            stack = [root] if node.text.startswith("/") else stack
            todo = node.text.split("/") + todo
        elif node.kind == "d":
            stack.append(node)
        else:
            raise Refused("not a folder")
        if make:
            for n in stack:
                n.layer = layer
    return stack, name


def prune(node, layer):
    for name, child in list(node.children.items()):
        if child.layer != layer:
            del node.children[name]
        elif child.kind == "d":
            prune(child, layer)


def put(parent, name, node, layer):
    node.layer = layer
    parent.children[name] = node


def apply(root, entry, layer):
    kind, path, text = entry
    stack, name = resolve(root, path, layer)
    for n in stack:
        n.layer = layer
    here = stack[-1].children
    if name == ".wh..wh..opq":
        prune(stack[-1], layer)
    elif name.startswith(".wh."):
        old = here.get(name[4:])
        if old and old.layer != layer:
            del here[name[4:]]
        elif old and old.kind == "d":
            prune(old, layer)
    elif kind == "h":
        folders, target_name = resolve(root, text, layer, make=False)
        target = folders[-1].children.get(target_name)
        if not target or target.kind == "d" or (target.kind == "l" and target.layer != layer):
            raise Refused("hard link")
        if here.get(name) in folders:
            raise Refused("hard link in the place of its target's folder")
        for n in folders + [target]:
            n.layer = layer
        put(stack[-1], name, Node(target.kind, target.text), layer)
    elif kind == "d" and name in here and here[name].kind == "d":
        here[name].layer = layer
    else:
        put(stack[-1], name, Node(kind, text), layer)


def listing(node, prefix=""):
    out = {}
    for name, child in node.children.items():
        out[prefix + name] = (child.kind, child.text)
        if child.kind == "d":
            out.update(listing(child, prefix + name + "/"))
    return out


def random_entry(r, content):
    path = "/".join(r.choice(NAMES) for _ in range(r.randint(1, 3)))
    folder, _, name = path.rpartition("/")
    x = r.random()
    if x < .35:
        return "f", path, content
    if x < .55:
        return "d", path, None
    if x < .68:
        return "l", path, r.choice(TARGETS)
    if x < .76:
        return "h", path, "/".join(r.choice(NAMES) for _ in range(r.randint(1, 3)))
    if x < .93:
        return "f", (folder + "/" if folder else "") + ".wh." + name, ""
    return "f", (path if r.random() < .8 else ".") + "/.wh..wh..opq", ""


def random_layers(r):
    """Layers and what they make; None: the last entry of the last layer must be refused. Else what the model refuses is left out."""
    root, layers, strict = Node("d"), [], r.random() < .2
    for number in range(1, r.randint(2, 4) + 1):
        layers.append([])
        for i in range(r.randint(1, 8)):
            entry, before = random_entry(r, "%d.%d" % (number, i)), copy.deepcopy(root)
            try:
                apply(root, entry, number)
            except Refused:
                root = before
                if strict:
                    layers[-1].append(entry)
                    return layers, None
            else:
                layers[-1].append(entry)
    return layers, listing(root)


def archive(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for kind, path, text in entries:
            info = tarfile.TarInfo(path)
            info.mode = 0o644 if kind == "f" else 0o755
            info.type = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}[kind]
            if kind in "lh":
                info.linkname = text
            data = text.encode() if kind == "f" else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def import_(images, layout):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    source = os.open(layout, os.O_RDONLY | os.O_DIRECTORY)

    def descriptors():
        high = [os.dup(theirs.fileno()), os.dup(source)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    job = subprocess.Popen([os.path.join(BIN, "berth-job"), "import", images], preexec_fn=descriptors, close_fds=True, pass_fds=(3, 4))
    theirs.close()
    os.close(source)
    records = list(iter(lambda: ours.recv(65536), b""))
    ours.close()
    return job.wait(60) == 0, records[-1]


def found(root):
    out = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, root)
            if os.path.islink(path):
                out[key] = ("l", os.readlink(path))
            elif os.path.isdir(path):
                out[key] = ("d", None)
            else:
                with open(path) as f:
                    out[key] = ("f", f.read())
    return out


def chain_ids(tars):
    from oci import digest
    chain = []
    for tar in tars:
        chain.append(digest(tar) if not chain else digest((chain[-1] + " " + digest(tar)).encode()))
    return chain


def test_random_layers_look_as_the_image_spec_says(tmp_path):
    libc = ctypes.CDLL(None, use_errno=True)
    images, layout, merged, empty = (str(tmp_path / n) for n in ("images", "layout", "merged", "empty"))
    os.mkdir(merged)
    os.mkdir(empty)
    for seed in range(SEED, SEED + CASES):
        layers, want = random_layers(random.Random(seed))
        tars = [archive(entries) for entries in layers]
        story = "seed %d\n%s\n" % (seed, "\n".join(map(str, layers)))
        for old in (images, layout):
            shutil.rmtree(old, ignore_errors=True)
        good, record = import_(images, Image("model:1", tars, {}).write_layout(layout))
        assert good == (want is not None), "%s%r" % (story, record)
        if not good:
            continue
        lower = ":".join([images + "/layers/" + c[7:] for c in reversed(chain_ids(tars))] + [empty])
        assert libc.mount(b"overlay", merged.encode(), b"overlay", 1, b"lowerdir=" + lower.encode()) == 0, os.strerror(ctypes.get_errno())
        try:
            assert found(merged) == want, story
        finally:
            libc.umount2(merged.encode(), 2)
