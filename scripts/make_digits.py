#!/usr/bin/env python3
"""Writes assets/digits.npz, the data set that is embedded in the binary, from the copy in scikit-learn.

x [1797, 64] is stored as bytes (the images have 17 grey levels, 0 to 16) and y [1797] as bytes (0 to 9); hesper multiplies x by 1/16,
which is exact. The archive is not compressed and np.savez dates its entries 1980-01-01, so that every run writes the same bytes
whatever the version of zlib.

    pip install numpy scikit-learn
    python scripts/make_digits.py
"""

import pathlib

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
x = digits.data.astype(np.uint8)
y = digits.target.astype(np.uint8)
assert x.shape == (1797, 64) and (x == digits.data).all() and x.max() == 16
assert y.shape == (1797,) and (y == digits.target).all() and y.max() == 9

path = pathlib.Path(__file__).resolve().parent.parent / "assets" / "digits.npz"
np.savez(path, x=x, y=y)
print(f"{path.name}: {path.stat().st_size} bytes")
