#!/usr/bin/env python3
"""hesper beside the other tools of the field, in one session on one machine: medians, ratios, one table.

The other tools are driven by a benchmark of their own (bench_hvp_torch.py, bench_hvp_jax.py, bench_jobs_*.py in --peers), each
measurement in a process of its own; hesper is `hesper bench`, `hesper density` and `hesper eigs` on the same network and data. Rounds are
interleaved: every tool once, then again, so that a machine that changes its speed changes it for all. The figure of a tool is the median
over rounds. Memory is the largest resident set of the whole process.

Jobs: `slq` is 100 Lanczos steps for 10 probes, `top5` the five eigenvalues of largest magnitude to a relative 1e-5. Solver time is hesper's
own total from linearization to result, and a peer's repeated call, which leaves out its compilation and linearization; `process` is
from the start of the program to its result, everything counted once.

  python benches/peers/compare.py --hesper target/release/hesper --peers DIR --fixtures DIR --torch-python P --jax-python P
      [--cases a c] [--precision f64] [--jobs slq top5] [--rounds 3]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

NETWORKS = {
    "a": ("mnist_relu_512x512", "data_f32.npz", 2048, "784-512-512-10 relu"),
    # The same images as a's: its own data set holds fewer.
    "b": ("mnist_gelu_1024x3", "../mnist_relu_512x512/data_f32.npz", 2048, "784-1024-1024-1024-10 gelu"),
    "c": ("digits_tanh_64x64", "data.npz", None, "64-64-64-10 tanh"),
}
# The fastest modes of each tool; --all runs every one.
TORCH = ["torch_retained_graph", "pyhessian_single", "torch_linearize"]
TORCH_ALL = ["pyhessian_dataset", "curvlinops", "hessian_eigenthings", *TORCH]
JAX = ["jax_linearize", "jax_linearize_vmap_x8"]
COLUMNS = (1, 8)


# Whole jobs: the case, what hesper runs, and the peers' fastest settings.
JOBS = {
    "slq": ("c", ["density", "--steps", "100", "--probes", "10", "--deflate", "0"],
            {"matfree": ["bench_jobs_jax.py", "--linearize"], "matfree, no reorthogonalization": ["bench_jobs_jax.py", "--linearize", "--reortho", "none"],
             "matfree, vmap": ["bench_jobs_jax.py", "--linearize", "--vmap"], "pyhessian": ["bench_jobs_torch.py", "--peer", "pyhessian"]}),
    # Of the values alone and unconfirmed, as the others do it.
    "top5": ("a", ["eigs", "--top", "5", "--bottom", "0", "--tol", "1e-5", "--tol-of", "value", "--no-confirmation"],
             {"matfree": ["bench_jobs_jax.py", "--linearize", "--target", "3e-5"], "curvlinops + eigsh": ["bench_jobs_torch.py", "--peer", "curvlinops_eigsh"],
              "hessian-eigenthings": ["bench_jobs_torch.py", "--peer", "hessian_eigenthings_lanczos", "--target", "3e-5"]}),
}


def measured(command, folder=None):
    """What the command prints on standard output, its seconds and the MiB of its largest resident set; ends the program if it fails."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {process.returncode}: {err.strip()[-300:]}")
    return out, time.perf_counter() - begin, usage.ru_maxrss / 1024


def last_json(out):
    """The last line of JSON: the last setting that a peer tried, which is the one that reached the accuracy."""
    return json.loads([line for line in out.splitlines() if line.startswith("{")][-1])


def hesper(args, case, words):
    """hesper's JSON, seconds of the process and MiB."""
    folder, data, samples, _ = NETWORKS[case]
    folder = os.path.join(args.fixtures, folder)
    data = os.path.normpath(os.path.join(folder, data))
    command = [args.hesper, *words, "--backend", "cpu", "--threads", "2", "--json", "-", "--model", os.path.join(folder, "model.safetensors")]
    command += ["--data", data]
    if samples:
        command += ["--samples", str(samples)]
    out, seconds, memory = measured(command)
    return json.loads(out), seconds, memory


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def compare_products(args, case):
    ours, theirs = {}, {}
    for _ in range(args.rounds):
        for columns in COLUMNS:
            report, _, memory = hesper(args, case, ["bench", "--runs", "15", "--columns", str(columns), "--precision", args.precision])
            row = report["results"][0]
            ours.setdefault(columns, []).append({"ms": 1e3 * row["median_seconds_per_hvp"], "mib": memory, "share": row["share_of_peak"]})
        if args.precision == "f64":
            double = [os.path.abspath(os.path.join(os.path.dirname(__file__), "double.py")), "--peers", args.peers]
            runs = [(args.torch_python, double, peer) for peer in TORCH] + [(args.jax_python, double, "jax_linearize")]
        else:
            torch = TORCH_ALL if args.all else TORCH
            runs = [(args.torch_python, ["bench_hvp_torch.py"], peer) for peer in torch]
            runs += [(args.jax_python, ["bench_hvp_jax.py"], peer) for peer in JAX]
        for python, script, peer in runs:
            out, _, memory = measured([python, *script, "--peer", peer, "--case", case, "--fixtures", args.fixtures], args.peers)
            result = last_json(out)
            columns = result.get("columns", result.get("cols", 1))
            theirs.setdefault((peer, columns), []).append({"ms": 1e3 * result["median_s"] / columns, "mib": memory})
    best = min(median(rows, "ms") for rows in ours.values())
    for columns, rows in ours.items():
        share = f"{100 * median(rows, 'share'):.0f} % of peak"
        print(f"| {case}: {NETWORKS[case][3]} | **hesper** | {columns} | {median(rows, 'ms'):.2f} | {share} | {median(rows, 'mib'):.0f} |")
    for (peer, columns), rows in sorted(theirs.items(), key=lambda item: median(item[1], "ms")):
        print(f"| | {peer} | {columns} | {median(rows, 'ms'):.2f} | {median(rows, 'ms') / best:.2f} | {median(rows, 'mib'):.0f} |", flush=True)


def compare_jobs(args, job):
    case, words, peers = JOBS[job]
    ours, theirs = [], {}
    for _ in range(args.rounds):
        report, process, memory = hesper(args, case, words)
        ours.append({"s": report["stats"]["seconds"]["total"], "process": process, "mib": memory})
        for name, command in peers.items():
            python = args.jax_python if command[0] == "bench_jobs_jax.py" else args.torch_python
            out, process, memory = measured([python, *command, "--job", job, "--case", case, "--repeats", "1", "--fixtures", args.fixtures], args.peers)
            rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
            # JAX calls a job once to compile it and once for the clock; settings that were too coarse are not counted either.
            twice = rows[-1]["median_s"] if "first_call_s" in rows[-1] else 0.0
            earlier = sum(row["median_s"] + row.get("first_call_s", 0.0) for row in rows[:-1])
            theirs.setdefault(name, []).append({"s": rows[-1]["median_s"], "process": process - twice - earlier, "mib": memory})
    print(f"| {job} on {case} | **hesper** | {median(ours, 's'):.3f} | | {median(ours, 'process'):.2f} | | {median(ours, 'mib'):.0f} |")
    for name, rows in sorted(theirs.items(), key=lambda item: median(item[1], "s")):
        solver, process = median(rows, "s"), median(rows, "process")
        ratios = solver / median(ours, "s"), process / median(ours, "process")
        print(f"| | {name} | {solver:.3f} | {ratios[0]:.2f} | {process:.2f} | {ratios[1]:.2f} | {median(rows, 'mib'):.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--hesper", "--peers", "--fixtures", "--torch-python", "--jax-python"):
        parser.add_argument(flag, required=True, type=os.path.abspath)
    parser.add_argument("--cases", nargs="*", default=["a", "c"], choices=list(NETWORKS))
    parser.add_argument("--precision", default="f32", choices=["f32", "f64"], help="of the products")
    parser.add_argument("--jobs", nargs="*", default=[], choices=list(JOBS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="every tool, not the fastest modes only")
    args = parser.parse_args()
    if args.cases:
        print("| case | tool | columns | ms a product | hesper is faster by | MiB |\n| --- | --- | --- | --- | --- | --- |")
    for case in args.cases:
        compare_products(args, case)
    if args.jobs:
        print("| job | tool | solver s | ratio | process s | ratio | MiB |\n| --- | --- | --- | --- | --- | --- | --- |")
    for job in args.jobs:
        compare_jobs(args, job)


if __name__ == "__main__":
    main()
