"""What a long run has to tell: printed, and written where BERTH_CAMPAIGN says (the soak targets: into tests/campaigns/)."""

import os
import platform
import time


def head(title, *facts, load=None):
    """How each begins: when, on what machine, and these facts, of one line or more each. load: it was not always as it is now."""
    return ["# " + title, "",
            "- date: " + time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "- machine: %s, %d processors, kernel %s, load %s" % (platform.machine(), os.cpu_count(), platform.release(), load or "%.1f" % os.getloadavg()[0]),
            *["- " + fact.replace("\n", "\n  ") for fact in facts]]


def write(lines):
    text = "\n".join([*lines, ""])
    print(text)
    path = os.environ.get("BERTH_CAMPAIGN")
    if path:
        with open(path, "w") as f:
            f.write(text)
