"""The layers of an image are never written: whatever a container's root does, all of them have the same bytes, owners, modes, times
and xattrs afterwards."""

import hashlib
import os
import stat

import pytest

# What root inside may try. Most of it succeeds, above the layers; nothing of it may reach them. Each line is a shell of its own: a failed redirection ends it.
TRIES = r"""
echo evil >> /etc/passwd; echo evil > /bin/guest; truncate -s 0 /bin/busybox 2>/dev/null; dd if=/dev/zero of=/etc/group conv=notrunc bs=1 count=8 2>/dev/null
exec 3</etc/group; echo evil > /proc/self/fd/3; echo evil >> /proc/self/fd/3; exec 3>&-
exec 4<>/home/alice/owned; echo evil >&4; exec 4>&-
ln /etc/group /tmp/name; echo evil >> /tmp/name; ln -s /etc/group /tmp/link; echo evil >> /tmp/link
chmod 4777 /bin/busybox; chown 1000:1000 /bin /etc/passwd; touch -d 2001-01-01 /etc /etc/passwd /home
mv /home/alice /home/mallory; mv /home/mallory /tmp/elsewhere; rm -rf /usr/bin; rm -f /bin/not-executable
mkdir /bin/not-executable; mknod /etc/white c 0 0; mv /etc/white /etc/hosts
echo evil > /proc/self/exe; echo evil > /proc/1/exe; echo evil > /proc/self/root/etc/group
cp /etc/group /tmp/g; cat /tmp/g > /etc/group; sync
mount -o remount,rw /; mount -o bind,remount,rw /; echo evil > /etc/group
mount -t tmpfs none /mnt; mkdir -p /mnt/u /mnt/w /mnt/m /tmp/m; mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w none /mnt/m; echo evil > /mnt/m/etc/group
mount --bind /etc /tmp/m; mount -o remount,rw /tmp/m; echo evil > /tmp/m/group
for fd in 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do echo evil > /proc/self/fd/$fd/etc/group; echo evil > /proc/1/fd/$fd/etc/group; done
umount /; umount -l /; mount -o remount,rw /; echo evil > /etc/group
""".strip().splitlines()


def everything(folder):
    """path -> all of it that a write would change."""
    seen = {}
    for root, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            path = os.path.join(root, name)
            st = os.lstat(path)
            value = [st.st_ino, st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_size, st.st_mtime_ns, st.st_ctime_ns]
            if stat.S_ISREG(st.st_mode):
                fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
                value += [hashlib.file_digest(os.fdopen(fd, "rb"), "sha256").hexdigest(), st.st_atime_ns]
            elif stat.S_ISLNK(st.st_mode):
                value.append(os.readlink(path))
            value += [(k, os.getxattr(path, k, follow_symlinks=False)) for k in os.listxattr(path, follow_symlinks=False)]
            seen[os.path.relpath(path, folder)] = value
    return seen


# The three that differ most for a kernel: all rights, all mounts, other ids.
NATIVE = [(), ("--read-only",), ("--cap-add", "ALL"), ("--privileged", "--read-only")]
EVERYWHERE = [("--privileged",), ("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--read-only"), ("--userns", "auto")]


@pytest.mark.parametrize("flags", [*EVERYWHERE, *(pytest.param(f, marks=pytest.mark.native) for f in NATIVE)], ids=" ".join)
def test_the_layers_of_an_image_are_never_written(host, flags):
    layers = host.state + "/images/layers"
    before = everything(layers)
    assert any(path.endswith("etc/group") for path in before)
    r = host.berth("run", "--rm", *flags, "busybox", "sh", "-c", "\n".join("(%s) 2>/dev/null" % t for t in TRIES) + "\necho done")
    assert r.lines[-1:] == ["done"], r
    assert host.run_("cat", "/etc/group").text.startswith("root:x:0:") and host.run_("test", "-x", "/bin/guest").code == 0
    after = everything(layers)
    assert {k: (before.get(k), after.get(k)) for k in before.keys() | after.keys() if before.get(k) != after.get(k)} == {}
