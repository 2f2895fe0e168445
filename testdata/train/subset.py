"""Cuts the small data sets under testdata/data out of the full ones: the first samples of each file, unchanged.

Usage: subset.py DATA_DIR OUT_DIR     (DATA_DIR as fetch_data.sh lays it out)
"""
import gzip
import os
import struct
import sys

src, dst = sys.argv[1:]


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "wb") as f:
        f.write(data)
    os.rename(path + ".part", path)


for name, n in (("test_batch.bin", 200), ("data_batch_1.bin", 100)):
    with open(os.path.join(src, "cifar10", name), "rb") as f:
        write(os.path.join(dst, "cifar10", name), f.read(3073 * n))
for split, n in (("t10k", 500), ("train", 300)):
    for kind, head, size in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
        name = f"{split}-{kind}-ubyte"
        with open(os.path.join(src, "mnist", name), "rb") as f:
            h = bytearray(f.read(head))
            h[4:8] = struct.pack(">I", n)
            write(os.path.join(dst, "mnist", name + ".gz"), gzip.compress(bytes(h) + f.read(size * n), 9, mtime=0))
