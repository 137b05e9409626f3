"""Starts a Ray cluster of two nodes, asks rows of Daft dataframes on it, and writes the results.

python ray_job.py ROWS KEY_FILE RESULTS

A second dataframe, of PARTITIONS rows, is asked with the key of the file. The nodes write below the
folder RAY_TMPDIR. Exits with NO_CLUSTER if they do not start.
"""

import json
import os
import sys
import time
from typing import Any

import daft
import ray
from ray.cluster_utils import Cluster

from llm_evolink.daft import ask

NO_CLUSTER = 75
NODES = 2
PARTITIONS = 20
START_TIMEOUT = 120.0
"""Seconds for the nodes to find each other."""


def start() -> Cluster:
    """Start the nodes and connect to them."""
    folder = os.environ["RAY_TMPDIR"]
    os.makedirs(f"{folder}/ray", exist_ok=True)
    # A container's /dev/shm can be too small.
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "plasma_directory": folder}
    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **node})
    for _ in range(NODES - 1):
        cluster.add_node(**node)
    cluster.wait_for_nodes(START_TIMEOUT)
    ray.init(address=cluster.address, log_to_driver=False)
    return cluster


def answers(rows: range, **options: Any) -> list[Any]:
    """Ask these rows; return their numbers and results."""
    table = daft.from_pydict({"id": list(rows), "text": [f"row {row}" for row in rows]})
    result = ask(daft.col("text"), concurrency=16, workers=NODES, **options)
    asked = table.into_partitions(PARTITIONS).select("id", result.alias("result"))
    columns = asked.to_pydict()
    return list(zip(columns["id"], columns["result"], strict=True))


def main() -> None:
    rows, key_file, results = int(sys.argv[1]), *sys.argv[2:]
    started = time.monotonic()
    try:
        cluster = start()
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(NO_CLUSTER)
    start_seconds = time.monotonic() - started
    try:
        daft.set_runner_ray()
        started = time.monotonic()
        first = answers(range(rows))
        seconds = time.monotonic() - started
        second = answers(range(rows, rows + PARTITIONS), key_file=key_file)
        # Not printed: Ray prints too.
        with open(results, "w") as file:
            json.dump([first, second, start_seconds, seconds], file)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
