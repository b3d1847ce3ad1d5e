"""What scheduling costs a cell: cells of known duration on many workers, which sleep and train nothing.

python plugins/ablate-ray/tests/simulate.py --cells 10000 --workers 32 --seconds 0.1
"""

import argparse
import json
import os
import threading
import time
from pathlib import Path

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's switch to the loopback address, read when it is imported

import ray
from ablate_ray import connected
from ablate_ray.pool import Pool, run

from ablate.contracts import Cell, Environment
from ablate.executors import CellEnded, Settings

RECORD = {"epoch": 1, "train_loss": 1.0, "lr": 0.1, "seconds": 1.0, "images_per_second": 1.0, "accuracy": 0.5}


class Sleeper:
    """Says what an `ablate_ray.worker.Worker` says."""

    def ready(self):
        pass

    @ray.method(concurrency_group="control")
    def stop(self):
        pass

    @ray.method(num_returns="streaming")
    def train(self, order):
        yield json.dumps({"event": "started"})
        time.sleep(json.loads(order)["cell"]["recipe"]["seconds"])
        yield json.dumps({"event": "epoch", "record": RECORD})
        result = {"epochs": [RECORD], "metrics": {}, "weights_sha256": "", "seconds": 0.0, "parameters": 1}
        yield json.dumps({"event": "done", "result": result})

    def forget(self, checkpoint):
        pass


def simulate(cells: int, workers: int, seconds: float) -> float:
    """Seconds that so many cells of this duration take on so many workers, which have started before."""
    cpus = (os.cpu_count() or 1) / workers
    with connected("local", workers, cpus):
        pool = Pool(cpus, kind=Sleeper)
        settings = Settings(workers, 1, "cpu", Environment(Path("data")), Path("checkpoints"))
        pool.fill(settings)
        ray.get([member.news for member in pool.members])
        waiting = iter([Cell(str(number), {"seconds": seconds}, 0, "cpu") for number in range(cells)])
        begun = time.monotonic()
        events = run(pool, settings, lambda: next(waiting, None), threading.Event())
        ended = sum(isinstance(event, CellEnded) for event in events)
        took = time.monotonic() - begun
        assert ended == cells
        pool.close()
    return took


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=0.0)
    given = parser.parse_args()
    took = simulate(given.cells, given.workers, given.seconds)
    ideal = given.cells * given.seconds / given.workers
    print(
        f"{given.cells:,} cells of {given.seconds:g} s on {given.workers} workers took {took:.1f} s, with free scheduling "
        f"{ideal:.1f} s: {1000 * (took - ideal) / given.cells:.2f} ms a cell"
    )
