#!/usr/bin/env python3
"""The fastest modes of the other tools in float64: their own benchmarks (bench_hvp_torch.py and bench_hvp_jax.py in --peers) are in float32.

Times one of them on one case; prints one JSON line.

  python benches/peers/double.py --peers DIR --fixtures DIR --peer jax_linearize --case a
"""

import argparse
import json
import statistics
import sys

import numpy as np


def jax_linearize(case):
    import jax

    jax.config.update("jax_enable_x64", True)
    from bench_hvp_jax import make

    case.x, case.layers = case.x.astype(np.float64), [(w.astype(np.float64), b.astype(np.float64)) for w, b in case.layers]
    jax, jnp, parameters, x, y, loss, unflat, flat = make(case)
    _, tangent = jax.linearize(lambda p: jax.grad(loss)(p, x, y), parameters)
    closed, constants = jax.closure_convert(lambda v: flat(tangent(unflat(v))), jnp.zeros(case.P))
    product, v = jax.jit(closed), jnp.asarray(case.vectors(1)[:, 0].astype(np.float64))
    assert product(v, *constants).dtype == np.float64
    return lambda: product(v, *constants).block_until_ready()


def torch_of(name):
    def run(case):
        import torch
        from bench_hvp_torch import PEERS, Ctx

        torch.set_num_threads(2)
        return PEERS[name](Ctx(case, torch.float64))[0]

    return run


PEERS = {"jax_linearize": jax_linearize, **{name: torch_of(name) for name in ("torch_retained_graph", "pyhessian_single", "torch_linearize")}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--fixtures", required=True)
    parser.add_argument("--peer", required=True, choices=list(PEERS))
    parser.add_argument("--case", required=True, choices=["a", "b", "c"])
    args = parser.parse_args()
    sys.path.insert(0, args.peers)
    from common import Case, timeit

    seconds = statistics.median(timeit(PEERS[args.peer](Case(args.case, args.fixtures))))
    print(json.dumps({"peer": args.peer, "case": args.case, "dtype": "float64", "columns": 1, "median_s": seconds}))


if __name__ == "__main__":
    main()
