"""Limits through Zun's API, where the host's cgroup v2 can keep them."""


def limits(caller, uuid):
    out = caller.post("/%s/execute" % uuid, {"command": "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max"}, 200).json()["output"]
    memory, quota, period = out.split()
    return int(memory), int(quota) / int(period)


def test_trap_12_memory_is_text_and_cpu_a_float(gateway, needs):
    needs("memory", "cpu")
    caller = gateway.caller()
    c = caller.create(memory=128, cpu="0.5")
    assert c["memory"] == "128" and c["cpu"] == 0.5
    c = caller.create(run=True)
    assert c["memory"] == "512" and c["cpu"] == 1.0, "Zun's defaults"
    caller.wait(c["uuid"], "Running")
    assert limits(caller, c["uuid"]) == (512 << 20, 1.0), "processors are a limit, not only a weight"


def test_patch_changes_limits_of_a_running_container(gateway, needs):
    needs("memory", "cpu")
    caller = gateway.caller()
    uuid = caller.running()
    c = caller.patch(uuid, {"memory": "256", "cpu": 0.3, "name": "three"}).json()
    assert (c["memory"], c["cpu"], c["name"]) == ("256", 0.3, "three")
    assert limits(caller, uuid) == (256 << 20, 0.3)
