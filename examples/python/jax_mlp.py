"""Train a small network in JAX, let hesper find the spectrum of its Hessian, and check the trace with JAX's own Hessian.

    pip install jax safetensors numpy
    python examples/python/jax_mlp.py
"""

import json
import subprocess
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from safetensors.numpy import save_file

keys = jax.random.split(jax.random.PRNGKey(0), 4)
x = jax.random.normal(keys[0], (256, 8))
y = jnp.sin(x @ jax.random.normal(keys[1], (8, 2)))
# JAX multiplies from the right, x @ w with w [in, out]; PyTorch's names and hesper take the transpose, [out, in].
params = [
    {"w": jax.random.normal(keys[2], (8, 16)) / 3, "b": jnp.zeros(16)},
    {"w": jax.random.normal(keys[3], (16, 2)) / 4, "b": jnp.zeros(2)},
]


def loss_of(params):
    hidden = jax.nn.silu(x @ params[0]["w"] + params[0]["b"])
    return jnp.mean((hidden @ params[1]["w"] + params[1]["b"] - y) ** 2)


step = jax.jit(lambda params: jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss_of)(params)))
for _ in range(300):
    params = step(params)

tensors = {}
for index, layer in enumerate(params):
    tensors[f"{2 * index}.weight"] = np.ascontiguousarray(np.asarray(layer["w"]).T)
    tensors[f"{2 * index}.bias"] = np.asarray(layer["b"])

with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    save_file(tensors, folder / "model.safetensors")
    np.savez(folder / "data.npz", x=np.asarray(x), y=np.asarray(y))
    command = ["hesper", "spectrum", "--model", folder / "model.safetensors", "--data", folder / "data.npz"]
    command += ["--activation", "silu", "--loss", "mse", "--json", "-"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

flat, unravel = ravel_pytree(params)
exact = jnp.linalg.eigvalsh(jax.hessian(lambda flat: loss_of(unravel(flat)))(flat))
largest, trace = report["eigenvalues"]["largest"][0], report["trace"]
print("loss", report["loss"]["value"], "in JAX", loss_of(params))
print(f"largest eigenvalue {largest['value']:.6f} ± {largest['residual']:.1e}, in JAX {exact[-1]:.6f}")
print(f"trace {trace['mean']:.4f}, 95 % {trace['ci95'][0]:.4f} to {trace['ci95'][1]:.4f}, in JAX {exact.sum():.4f}")
assert abs(largest["value"] - exact[-1]) < 1e-4 * exact[-1]
