"""Train a small network in PyTorch, let hesper find the spectrum of its Hessian, and check the result with PyTorch's own products.

    pip install torch safetensors numpy
    python examples/python/pytorch.py
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

torch.manual_seed(0)
x = torch.randn(512, 20)
y = (x[:, :4] @ torch.randn(4, 3)).argmax(dim=1)

model = torch.nn.Sequential(torch.nn.Linear(20, 32), torch.nn.Tanh(), torch.nn.Linear(32, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
loss_of = torch.nn.CrossEntropyLoss()
for _ in range(200):
    optimizer.zero_grad()
    loss_of(model(x), y).backward()
    optimizer.step()

with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    # The metadata saves the flags --activation and --loss.
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"activation": "tanh", "loss": "cross-entropy"})
    np.savez(folder / "data.npz", x=x.numpy(), y=y.numpy())
    command = ["hesper", "eigs", "--model", folder / "model.safetensors", "--data", folder / "data.npz"]
    command += ["--top", "3", "--bottom", "1", "--vectors", folder / "pairs.npz", "--json", "-"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    vectors = np.load(folder / "pairs.npz")["vectors"]

print("loss", report["loss"]["value"])
parameters = list(model.parameters())
gradient = torch.autograd.grad(loss_of(model(x), y), parameters, create_graph=True)
pairs = report["eigenvalues"]["largest"] + report["eigenvalues"]["smallest"]
for pair, vector in zip(pairs, vectors):
    # Vectors are in the order of torch.nn.utils.parameters_to_vector.
    v = torch.from_numpy(vector)
    product = torch.autograd.grad(torch.nn.utils.parameters_to_vector(gradient) @ v, parameters, retain_graph=True)
    residual = (torch.nn.utils.parameters_to_vector(product) - pair["value"] * v).norm().item()
    print(f"eigenvalue {pair['value']:+.6f} ± {pair['residual']:.1e}, |Hv - λv| in PyTorch {residual:.1e}")
    assert residual < 1e-4 * abs(pairs[0]["value"])
