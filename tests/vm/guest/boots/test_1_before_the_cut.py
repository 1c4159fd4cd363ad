"""First boot: containers of all kinds. After this the plug is pulled (check, at the end of its first stage)."""

from common import COUNT, POLICIES

from conftest import eventually


def test_containers_are_there_for_the_plug_to_end(machine):
    for name, policy in POLICIES.items():
        machine("run", "-d", "--name", name, "--restart", policy, "busybox", "sleep", "100000")
        machine("run", "-d", "--name", name + "-stopped", "--restart", policy, "busybox", "sleep", "100000")
        machine("stop", "-t", "0", name + "-stopped")
    machine("pod", "create", "--name", "pod")
    machine("run", "-d", "--name", "member", "--pod", "pod", "--restart", "always", "busybox", "sleep", "100000")
    machine("run", "-d", "--name", "counter", "--restart", "always", "-m", "32m", "busybox", "sh", "-c", COUNT)
    machine("run", "-d", "--name", "gone", "--rm", "busybox", "sleep", "100000")
    machine("run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "echo kept >/data/file; sync /data/file /data")
    eventually(lambda: "20" in machine.log("counter").split(), "it counts")
