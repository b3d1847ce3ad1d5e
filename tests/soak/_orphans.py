"""Processes that outlive the one that starts them; installed as `orphans` beside `_misfits.py`."""

import os
import subprocess
import sys
import time

SLEEP = [sys.executable, "-c", "import time; time.sleep(1000)"]


def spawn() -> None:
    """Three processes that outlive their parent, one of which has left the session, and one whose parent is gone."""
    subprocess.Popen(SLEEP)
    subprocess.Popen(SLEEP, start_new_session=True)
    subprocess.run([sys.executable, "-c", f"import subprocess; subprocess.Popen({SLEEP!r}, start_new_session=True)"], check=True)
    if os.fork() == 0:
        time.sleep(1000)
        os._exit(0)
