"""Hostile by size: what takes a disk, minutes (those have soak in their name) or many images to show; test_hostile_images.py has the rest."""

import os
import re
import time
import zlib

import pytest

from conftest import private_host
from craft import Crafted, entry, layer, raw, zstd, zstd_zeros
from test_hostile_images import gzip_zeros, zeros_id
from test_image_tools import sh

pytestmark = pytest.mark.native


def test_many_images_with_large_labels_can_be_listed(tmp_path):
    """Each is within what one may have; all of them together are more than one answer holds."""
    with private_host() as h:
        for i in range(40):
            image = Crafted(layer(entry("x", b"x")), config=lambda c: c["config"].update(Labels={"l": "x" * 250000, "n": str(i)}))
            h.berth("image", "import", image.write("folder", str(tmp_path / str(i)), "large%d:1" % i))
        assert set(re.findall(r"large\d+", h.berth("images").out)) == {"large%d" % i for i in range(40)}
        assert h.berth("image", "ls", "-q").out and h.berth("run", "--rm", "large7:1", "x", code=None).code == 127
        for i in range(40):
            h.berth("image", "rm", "large%d:1" % i)


def test_an_image_of_more_files_than_the_disk_has_inodes_for(tmp_path):
    state = str(tmp_path / "small")
    os.mkdir(state)
    sh("mount", "-t", "tmpfs", "-o", "size=200m,nr_inodes=4000", "none", state)
    try:
        with private_host(state=state) as h:
            image = Crafted(layer(*(entry("f%d" % i) for i in range(5000))))
            h.refused("image", "import", image.write("folder", str(tmp_path / "i"), "many:1"), text="no more inodes may be used")
            assert h.berth("run", "--rm", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo x > /tmp/$i; done; ls /tmp").out.split() == list("12345")
    finally:
        sh("umount", "-l", state)


def soak(host, tmp_path, image, name, check, seconds):
    path = image.write("folder", str(tmp_path / "i"), name)
    begun = time.monotonic()
    host.berth("image", "import", path, timeout=seconds)
    print("%s: %.1f s, blob %.1f MB" % (name, time.monotonic() - begun, max(map(len, image.blobs.values())) / 1e6))
    chain = host.ask("image_inspect", {"ref": name})["images"][0]["layers"][-1]
    check("%s/images/layers/%s" % (host.state, chain[7:]))
    host.berth("image", "rm", name)


@pytest.mark.parametrize("pack", [zstd_zeros, gzip_zeros])
def test_soak_ten_gigabytes_of_zeros_are_a_hole(host, tmp_path, pack):
    head, size = raw("zeros", size=10 << 30), 10 << 30

    def check(folder):
        st = os.stat(folder + "/zeros")
        assert st.st_size == size and st.st_blocks * 512 < 1 << 20
    soak(host, tmp_path, Crafted(b"", packed=[gzip_end(pack(head, size + 1024), head, size + 1024)], diff_ids=[zeros_id(head, size + 1024)]), "zeros:1", check, 80)


def gzip_end(data, head, n):
    """gzip_zeros() has no checksum; a blob that is taken needs one."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    crc, block = zlib.crc32(head), bytes(1 << 20)
    for _ in range(n >> 20):
        crc = zlib.crc32(block, crc)
    rest = n % (1 << 20)
    tail = zlib.compressobj(9, zlib.DEFLATED, -15)
    crc = zlib.crc32(bytes(rest), crc)
    return data[:-10] + tail.compress(bytes(rest)) + tail.flush() + crc.to_bytes(4, "little") + ((len(head) + n) & 0xffffffff).to_bytes(4, "little")


def test_soak_a_million_files(host, tmp_path):
    tar = layer(b"".join(raw("%d/%d" % (i // 1000, i)) for i in range(1000000)))

    def check(folder):
        assert len(os.listdir(folder)) == 1000 and len(os.listdir(folder + "/999")) == 1000
    soak(host, tmp_path, Crafted(tar, packed=[zstd(tar)]), "million:1", check, 85)


test_soak_ten_gigabytes_of_zeros_are_a_hole.limit_s = test_soak_a_million_files.limit_s = 200
