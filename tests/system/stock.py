"""Debian's `openstack` and `zun`, as they are. They take a second to start, so one process imports them and forks for each command.

As a program: reads {"client", "argv", "env"} a line, writes {"code", "out", "err"}.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile

PACKAGES = "python3-openstackclient python3-zunclient"


def there():
    return all(importlib.util.find_spec(m) for m in ("openstackclient", "zunclient"))


class Stock:
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, client, argv, env):
        self.process.stdin.write(json.dumps({"client": client, "argv": [str(a) for a in argv], "env": env}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["code"], answer["out"], answer["err"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)


def one(ask, mains):
    out, err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.environ.update(ask["env"])
            sys.argv = [ask["client"], *ask["argv"]]
            code = mains[ask["client"]]() or 0
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    out.seek(0)
    err.seek(0)
    return {"code": code, "out": out.read(), "err": err.read()}


def main():
    import openstackclient.shell
    import zunclient.osc.plugin
    import zunclient.osc.v1.containers
    import zunclient.shell
    import zunclient.v1.client      # noqa: F401
    mains = {"openstack": lambda: openstackclient.shell.main(sys.argv[1:]), "zun": zunclient.shell.main}
    for line in sys.stdin:
        print(json.dumps(one(json.loads(line), mains)), flush=True)


if __name__ == "__main__":
    main()
