"""podman, on folders of its own, in mounts of its own: does it run what berth made?

crun refuses a host whose cgroups are half v1, half v2; podman gets to see the v2 half alone, and makes no cgroup in it."""

import os
import shutil
import subprocess

WRAP = "mount -t tmpfs none /run && umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\""


def missing():
    return [p for p in ("podman", "crun", "conmon") if not shutil.which(p)]


class Podman:
    def __init__(self, folder):
        self.folder = folder
        self.argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", WRAP, "sh", "podman", "--root", folder + "/root",
                     "--runroot", "/run/podman", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]

    def __call__(self, *argv, cwd=None):
        env = dict(os.environ, HOME=self.folder, TMPDIR=self.folder + "/tmp")
        os.makedirs(env["TMPDIR"], exist_ok=True)
        r = subprocess.run([*self.argv, *argv], capture_output=True, text=True, timeout=120, env=env, cwd=cwd, stdin=subprocess.DEVNULL)
        assert r.returncode == 0, "podman %s: %d\n%s\n%s" % (" ".join(argv), r.returncode, r.stdout, r.stderr)
        return r.stdout.strip()

    def run(self, image, *command):
        return self("run", "--rm", "--cgroups=disabled", "--network", "none", image, *command)
