"""Trains quern's three test networks and exports ONNX checkpoints. Resumable.

  lenet         the founding paper's LeNet on CIFAR-10 (Tatar, Bayar, Cicek, INISTA 2022): conv 6 5x5, ReLU, pool,
                conv 16 5x5, ReLU, pool, FC 120-84-10; 652 k multiply-accumulates
  convnet       3x3 convolutions 32,32,pool,64,64,pool,128,128,pool, FC 10; BatchNorm and ReLU after each convolution,
                BatchNorm kept in the export; 39 M multiply-accumulates
  lenet_mnist   LeNet on MNIST (28x28, first convolution padded by 2)

Input: (pixel/255 - mean)/std, NCHW, batch dimension symbolic ("N"), opset 13. The preprocessing is written into the
ONNX metadata (quern.scale, quern.mean, quern.std), which quern reads.

Writes OUT/<net>_e<epoch>.onnx at the checkpoint epochs and OUT/<net>.json with the accuracy at every epoch:
"test" over all test images, "train" over "train_images" training images without augmentation (all of them at the
checkpoint epochs). State for resuming lies in WORK/<net>.pt; each file is written whole and then renamed.

Usage (Debian's python3-torch 1.13; data from fetch_data.sh):
  /usr/bin/python3 testdata/train/train.py --net convnet --data DIR --work DIR --out testdata/models
"""
import argparse
import json
import os
import time

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

NETS = {
    #               epochs  checkpoints                              batch  lr    weight decay  augmentation
    "lenet":       (400, [1, 2, 5, 10, 20, 40, 100, 200, 400], 128, 0.05, 5e-4, True),
    "convnet":     (40, [1, 2, 5, 10, 20, 40], 128, 0.10, 5e-4, True),
    "lenet_mnist": (10, [10], 64, 0.05, 5e-4, False),
}
CIFAR = dict(mean=[0.4914, 0.4822, 0.4465], std=[0.2470, 0.2435, 0.2616])
MNIST = dict(mean=[0.1307], std=[0.3081])


def lenet(channels, pad, side):
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=pad), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16 * side * side, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def convnet():
    layers, c = [], 3
    for width in (32, 64, 128):
        for _ in range(2):
            layers += [nn.Conv2d(c, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            c = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(c * 4 * 4, 10))


def cifar(path):
    def read(names):
        rec = np.concatenate([np.fromfile(os.path.join(path, "cifar10", n), np.uint8) for n in names]).reshape(-1, 3073)
        return torch.from_numpy(rec[:, 1:].reshape(-1, 3, 32, 32).copy()), torch.from_numpy(rec[:, 0].astype(np.int64))
    return read([f"data_batch_{i}.bin" for i in range(1, 6)]) + read(["test_batch.bin"])


def mnist(path):
    def read(name, offset):
        return np.fromfile(os.path.join(path, "mnist", name), np.uint8)[offset:]
    r = ()
    for s in ("train", "t10k"):
        x = read(f"{s}-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
        r += torch.from_numpy(x.copy()), torch.from_numpy(read(f"{s}-labels-idx1-ubyte", 8).astype(np.int64))
    return r


def accuracy(model, x, y, prep):
    model.eval()
    good = 0
    with torch.no_grad():
        for i in range(0, len(x), 500):
            good += (model(prep(x[i:i + 500])).argmax(1) == y[i:i + 500]).sum().item()
    return round(100 * good / len(x), 2)


def export(model, path, shape, norm):
    model.eval()
    # PRESERVE in eval mode: torch folds BatchNorm into the convolution only under TrainingMode.EVAL.
    torch.onnx.export(model, torch.zeros(1, *shape), path + ".part", opset_version=13, input_names=["input"],
                      output_names=["logits"], dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}},
                      training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    m = onnx.load(path + ".part")
    onnx.helper.set_model_props(m, {"quern.scale": "255", "quern.mean": ",".join(map(str, norm["mean"])),
                                    "quern.std": ",".join(map(str, norm["std"]))})
    onnx.checker.check_model(m)
    onnx.save(m, path + ".part")
    os.rename(path + ".part", path)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--net", choices=NETS, required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)  # LeNet is as fast on one
    a = p.parse_args()
    epochs, checkpoints, batch, lr, decay, augment = NETS[a.net]
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    is_mnist = a.net == "lenet_mnist"
    norm = MNIST if is_mnist else CIFAR
    xtr, ytr, xte, yte = (mnist if is_mnist else cifar)(a.data)
    shape = tuple(xtr.shape[1:])
    model = convnet() if a.net == "convnet" else lenet(shape[0], 2 if is_mnist else 0, 5)
    model = model.to(memory_format=torch.channels_last)
    mean = torch.tensor(norm["mean"]).view(1, -1, 1, 1)
    std = torch.tensor(norm["std"]).view(1, -1, 1, 1)

    def prep(x):
        return ((x.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)

    if augment:  # random crop of 32x32 out of the image padded by 4 with black, as windows of one view
        windows = F.pad(xtr, (4, 4, 4, 4)).unfold(2, 32, 1).unfold(3, 32, 1)
    opt = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=decay)
    steps = epochs * (len(xtr) // batch)
    warm = max(1, steps // 40)
    sched = torch.optim.lr_scheduler.LambdaLR(
        opt, lambda t: min(1, (t + 1) / warm) * 0.5 * (1 + np.cos(np.pi * min(t, steps) / steps)))
    os.makedirs(a.work, exist_ok=True)
    state, log, start = os.path.join(a.work, a.net + ".pt"), [], 0
    if os.path.exists(state):
        s = torch.load(state)
        model.load_state_dict(s["model"])
        opt.load_state_dict(s["opt"])
        sched.load_state_dict(s["sched"])
        torch.set_rng_state(s["rng"])
        log, start = s["log"], s["epoch"]
    for epoch in range(start + 1, epochs + 1):
        t0 = time.time()
        model.train()
        perm = torch.randperm(len(xtr))
        for i in range(0, len(xtr) - batch + 1, batch):
            j = perm[i:i + batch]
            if augment:
                d = torch.randint(0, 9, (2, batch))
                x = windows[j, :, d[0], d[1]]
                x = torch.where((torch.rand(batch) < 0.5).view(-1, 1, 1, 1), x.flip(3), x)
            else:
                x = xtr[j]
            loss = F.cross_entropy(model(prep(x)), ytr[j])
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            sched.step()
        n = len(xtr) if epoch in checkpoints else 5000
        row = dict(epoch=epoch, test=accuracy(model, xte, yte, prep), train=accuracy(model, xtr[:n], ytr[:n], prep),
                   train_images=n, loss=round(loss.item(), 4))
        log.append(row)
        print(row, f"{time.time() - t0:.1f} s", flush=True)
        if epoch in checkpoints:
            export(model, os.path.join(a.out, f"{a.net}_e{epoch}.onnx"), shape, norm)
        doc = dict(net=a.net, seed=a.seed, batch=batch, lr=lr, momentum=0.9, weight_decay=decay, augment=augment,
                   schedule="cosine", torch=torch.__version__, epochs=log)
        with open(os.path.join(a.out, a.net + ".json.part"), "w") as f:
            json.dump({**doc, "epochs": None}, f)
            f.seek(f.tell() - len("null}"))
            f.write("[\n" + ",\n".join(json.dumps(r) for r in log) + "\n]}\n")
        os.replace(f.name, os.path.join(a.out, a.net + ".json"))
        torch.save(dict(model=model.state_dict(), opt=opt.state_dict(), sched=sched.state_dict(),
                        rng=torch.get_rng_state(), log=log, epoch=epoch), state + ".part")
        os.rename(state + ".part", state)


main()
