"""A study on a cluster of three nodes, one of which is lost in the middle of its training, against the local executor's.

python plugins/ablate-ray/tests/lose_a_node.py specs/q2.json --data-dir DIRECTORY --set base.epochs=2 --set seeds=2

It ends with 1 where a digit of a result is another one. The three nodes are on this machine and have one CPU each.
"""

import argparse
import io
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's switch to the loopback address, read when it is imported
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_raylet_start_wait_time_s"] = "300"  # noqa: SIM112  a machine may be busy
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  or they starve beside anything else

import pandas as pd
import ray  # noqa: F401  brings psutil along
from ray.cluster_utils import Cluster

import psutil  # isort: skip

from ablate.registry.hooks import hookimpl
from ablate.report.content import page
from ablate.report.data import as_csv, frame_csv
from ablate.runner.driver import run_study
from ablate.runner.job import Options
from ablate.testing.misfits import table

NODE = {"node_ip_address": "127.0.0.1", "num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
TIMES = ["seconds", "images_per_second"]
WAYS = {
    "shared": "states in a directory that all nodes share",
    "own": "states lost with their node",
    "url": "states at a file:// URL",
}


@dataclass
class Losing:
    """Loses a node a while after the first epoch of all, and counts what is begun and told before and after.

    Attributes:
        cluster: The nodes.
        lost_with_it: A directory of states that goes with the node.
    """

    cluster: Cluster
    lost_with_it: Path | None
    begun: int = 0
    epochs: list[tuple[str, int]] = field(default_factory=list)
    killed: int = 0

    @hookimpl
    def cell_start(self, cell):
        self.begun += 1

    @hookimpl
    def epoch_end(self, cell, record):
        self.epochs.append((cell.key, record["epoch"]))
        if not self.killed:
            node = self.cluster.worker_nodes.copy().pop()
            raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
            processes = [raylet, *raylet.children(recursive=True)]
            for process in processes:
                process.kill()
            self.killed = len(processes)
            if self.lost_with_it:
                shutil.rmtree(self.lost_with_it, ignore_errors=True)
            self.cluster.remove_node(node, allow_graceful=False)


def on_a_cluster(given, store, way):
    """Runs the study on three nodes, and returns what there was to hear."""
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        for _ in range(2):
            cluster.add_node(**NODE)
        ears = Losing(cluster, store / "checkpoints" if way == "own" else None)
        executor = {"use": "ray", "address": cluster.address}
        if way == "url":
            executor["checkpoints"] = f"file://{store.absolute()}/states"
        study = run(given, store, 3, executor, {"ears": ears})
    finally:
        cluster.shutdown()
    return study, ears


def run(given, store, jobs, executor, listeners=None):
    options = Options(store, given.data_dir, jobs, "cpu", executor, download=False)
    study, _ = run_study(given.spec, given.set, options, listeners or {}, lambda message: print(message, file=sys.stderr))
    assert set(study.cells["status"]) == {"done"}, study.cells["error"].dropna().tolist()
    return study


def report(study):
    """Summary, cells and epochs of the report as CSV, without what took how long."""
    summary = pd.read_csv(io.StringIO(as_csv([page(study)])), dtype=str)
    return [frame_csv(frame.drop(columns=TIMES, errors="ignore")) for frame in (summary, study.cells, study.epochs)]


def main(given):
    same = True
    with tempfile.TemporaryDirectory(prefix="ablate-") as directory:
        began = time.monotonic()
        local = run(given, Path(directory) / "local", 2, "local")
        print(f"local executor: {len(local.cells)} cells in {time.monotonic() - began:.0f} s", flush=True)
        for way in given.ways:
            began, store = time.monotonic(), Path(directory) / way
            study, ears = on_a_cluster(given, store, way)
            again = len(ears.epochs) - len(set(ears.epochs))
            tables = table(store) == table(Path(directory) / "local") and len(table(store)) == len(local.cells)
            reports = report(study) == report(local)
            same = same and tables and reports and ears.killed > 0 and ears.begun > len(study.cells)
            print(
                f"{WAYS[way]}: {len(study.cells)} cells in {time.monotonic() - began:.0f} s; {ears.killed} processes killed, "
                f"{ears.begun - len(study.cells)} cell begun again, {again} epochs told twice; weights and metrics "
                f"{'identical' if tables else 'DIFFERENT'}, report {'identical' if reports else 'DIFFERENT'}",
                flush=True,
            )
        print(report(local)[0])
    return 0 if same else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec")
    parser.add_argument("--data-dir", help="as of `ablate run`")
    parser.add_argument("--set", action="append", default=[], help="as of `ablate run`")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    sys.exit(main(parser.parse_args()))
