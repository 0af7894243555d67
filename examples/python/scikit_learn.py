"""Train scikit-learn's MLPClassifier and let hesper look at the curvature of its loss: a report with figures in ./report.

    pip install scikit-learn safetensors numpy
    python examples/python/scikit_learn.py
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

x, y = load_iris(return_X_y=True)
x = StandardScaler().fit_transform(x)
# Its penalty is (alpha / 2)·|weights|² / samples, on weights only; without it both losses are the same.
classifier = MLPClassifier((16, 16), activation="relu", alpha=0.0, max_iter=500, random_state=0).fit(x, y)

tensors = {}
for index, (weight, bias) in enumerate(zip(classifier.coefs_, classifier.intercepts_)):
    # scikit-learn keeps [in, out]; PyTorch's names and hesper take [out, in].
    tensors[f"{2 * index}.weight"] = np.ascontiguousarray(weight.T)
    tensors[f"{2 * index}.bias"] = bias

out = Path("report")
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    save_file(tensors, folder / "model.safetensors", metadata={"activation": classifier.activation})
    np.savez(folder / "data.npz", x=x, y=y)
    command = ["hesper", "spectrum", "--model", folder / "model.safetensors", "--data", folder / "data.npz"]
    subprocess.run(command + ["--loss", "cross-entropy", "--out", out, "--quiet"], check=True)

report = json.loads((out / "spectrum.json").read_text())
probabilities = classifier.predict_proba(x)
loss = -np.log(probabilities[np.arange(len(y)), y]).mean()
print(f"loss {report['loss']['value']:.6f}, in scikit-learn {loss:.6f}")
print(f"largest stable step {report['max_stable_learning_rate']['value']:.4f}; look at {out / 'report.html'}")
assert abs(report["loss"]["value"] - loss) < 1e-5
