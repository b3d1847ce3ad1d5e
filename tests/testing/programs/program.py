"""A program that the trainer `command` runs: it counts up, by numbers that its seed gives, and saves where it is asked to end."""

import argparse
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
parser = argparse.ArgumentParser()
parser.add_argument("--seed", required=True)
parser.add_argument("--scale", type=float, required=True)
given = parser.parse_args()
state, records = Path("state.json"), Path(os.environ["ABLATE_RECORDS"])
total, done = json.loads(state.read_text()) if state.exists() else (0.0, 0)
for epoch in range(done + 1, 4):
    time.sleep(0.1)  # so that it can be interrupted
    if asked:
        state.write_text(json.dumps([total, epoch - 1]))
        sys.exit(75)
    total += given.scale * random.Random(f"{given.seed}/{epoch}").random()
    with records.open("a") as file:
        file.write(json.dumps({"epoch": epoch, "score": total}) + "\n")
