#!/usr/bin/env python3
"""hesper beside the other tools of the field, in one session on one machine: medians, ratios, one table.

The other tools are driven by a benchmark of their own (bench_hvp_torch.py, bench_hvp_jax.py, bench_jobs_*.py in --peers), each
measurement in a process of its own; hesper is `hesper bench` and `hesper density` on the same network and data. Rounds are interleaved:
every tool once, then again, so that a machine that changes its speed changes it for all. The figure of a tool is the median over rounds.

  python benches/peers/compare.py --hesper target/release/hesper --peers DIR --fixtures DIR --torch-python P --jax-python P [--cases a c]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

NETWORKS = {
    "a": ("mnist_relu_512x512", "data_f32.npz", 2048, "784-512-512-10 relu"),
    "b": ("mnist_gelu_1024x3", "data_f32.npz", 2048, "784-1024-1024-1024-10 gelu"),
    "c": ("digits_tanh_64x64", "data.npz", None, "64-64-64-10 tanh"),
}
# The fastest modes of each tool; --all runs every one.
TORCH = ["torch_retained_graph", "pyhessian_single", "torch_linearize"]
TORCH_ALL = ["pyhessian_dataset", "curvlinops", "hessian_eigenthings", *TORCH]
JAX = ["jax_linearize", "jax_linearize_vmap_x8"]
COLUMNS = (1, 8)


def last_json(command, folder):
    """The last line of JSON that the command prints, or None with the reason on stderr."""
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode != 0 or not lines:
        print(f"{' '.join(command)}: exit {run.returncode}: {run.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    return json.loads(lines[-1])


def hesper(args, case, precision):
    """Seconds for one product, by the number of columns, and the share of the measured peak."""
    folder, data, samples, _ = NETWORKS[case]
    folder = os.path.join(args.fixtures, folder)
    data = os.path.join(folder, data if os.path.exists(os.path.join(folder, data)) else "data.npz")
    command = [args.hesper, "bench", "--backend", "cpu", "--threads", "2", "--precision", precision, "--runs", "15", "--json", "-"]
    command += ["--columns", ",".join(map(str, COLUMNS)), "--model", os.path.join(folder, "model.safetensors"), "--data", data]
    if data.endswith("/data.npz") and case != "c":
        command += ["--x-scale", "0.00392156862745098"]
    if samples:
        command += ["--samples", str(samples)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}: {run.stderr.strip()}")
    return {row["columns"]: row for row in json.loads(run.stdout)["results"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--hesper", "--peers", "--fixtures", "--torch-python", "--jax-python"):
        parser.add_argument(flag, required=True, type=os.path.abspath)
    parser.add_argument("--cases", nargs="*", default=["a", "c"], choices=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="every tool, not the fastest modes only")
    args = parser.parse_args()
    print("| case | tool | columns | ms a product | hesper is faster by |\n| --- | --- | --- | --- | --- |")
    for case in args.cases:
        ours = {columns: [] for columns in COLUMNS}
        shares = {columns: [] for columns in COLUMNS}
        theirs = {}
        for _ in range(args.rounds):
            for columns, row in hesper(args, case, "f32").items():
                ours[columns].append(1e3 * row["median_seconds_per_hvp"])
                shares[columns].append(row["share_of_peak"])
            torch = TORCH_ALL if args.all else TORCH
            runs = [(args.torch_python, "bench_hvp_torch.py", peer) for peer in torch] + [(args.jax_python, "bench_hvp_jax.py", peer) for peer in JAX]
            for python, script, peer in runs:
                result = last_json([python, script, "--peer", peer, "--case", case, "--fixtures", args.fixtures], args.peers)
                if result is not None:
                    columns = result.get("columns", result.get("cols", 1))
                    theirs.setdefault(peer, (columns, []))[1].append(1e3 * result["median_s"] / columns)
        best = min(statistics.median(times) for times in ours.values())
        for columns, times in ours.items():
            share = 100 * statistics.median(shares[columns])
            print(f"| {case}: {NETWORKS[case][3]} | **hesper** | {columns} | {statistics.median(times):.2f} | {share:.0f} % of peak |")
        for peer, (columns, times) in sorted(theirs.items(), key=lambda item: statistics.median(item[1][1])):
            median = statistics.median(times)
            print(f"| | {peer} | {columns} | {median:.2f} | {median / best:.2f} |", flush=True)


if __name__ == "__main__":
    main()
