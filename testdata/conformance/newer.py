#!/usr/bin/env python3
"""Writes newer/: cases of opsets 18 to 24, which Debian's data lack, with the outputs of onnxruntime-node.

usage: newer.py FOLDER_WITH_NODE_MODULES    (python3-onnx, node and onnxruntime-node are needed; made with onnxruntime 1.30)
"""
import json, pathlib, shutil, subprocess, sys
import numpy as np
from onnx import TensorProto, helper, mapping, numpy_helper

here = pathlib.Path(__file__).parent
RUN = """
const ort = require(process.argv[1] + '/node_modules/onnxruntime-node'), fs = require('fs');
(async () => {
  const job = JSON.parse(fs.readFileSync(0));
  const s = await ort.InferenceSession.create(job.model);
  const feeds = {};
  for (const [name, type, dims, data] of job.inputs) {
    const big = type === 'int64';
    const arr = big ? BigInt64Array.from(data.map(BigInt)) : type === 'bool' ? Uint8Array.from(data) :
      type === 'float32' ? Float32Array.from(data) : {int32: Int32Array, int16: Int16Array, uint16: Uint16Array, int8: Int8Array, uint8: Uint8Array}[type].from(data);
    feeds[name] = new ort.Tensor(type, arr, dims);
  }
  const r = await s.run(feeds);
  console.log(JSON.stringify(s.outputNames.map(n => [r[n].type, r[n].dims, Array.from(r[n].data, v => type(v))])));
  function type(v) { return typeof v === 'bigint' ? Number(v) : Number.isFinite(v) ? v : String(v); }
})();
"""
rng = np.random.default_rng(1)
f32 = lambda *shape: rng.standard_normal(shape).astype(np.float32)
i64 = lambda *v: np.array(v, np.int64)
u8 = lambda *shape: rng.integers(0, 256, shape).astype(np.uint8)
f = lambda *v: np.array(v, np.float32)
NUL = None  # an omitted input

# name, opset, operator, inputs, which of them are initializers, number of outputs, attributes
CASES = [
    ("reduce_mean_axes", 18, "ReduceMean", [f32(2, 3, 4), i64(0, -1)], [1], 1, dict(keepdims=0)),
    ("reduce_max_axes", 18, "ReduceMax", [f32(2, 3, 4), i64(1)], [1], 1, {}),
    ("reduce_min_all", 18, "ReduceMin", [f32(2, 3, 4)], [], 1, {}),
    ("reduce_l2_noop", 18, "ReduceL2", [f32(2, 3), i64()], [1], 1, dict(noop_with_empty_axes=0)),
    ("reduce_sum_noop", 18, "ReduceSum", [f32(2, 3)], [], 1, dict(noop_with_empty_axes=1)),
    ("split_uneven", 18, "Split", [f32(2, 7)], [], 3, dict(axis=1, num_outputs=3)),
    ("pad_axes", 18, "Pad", [f32(2, 3, 4), i64(1, 2, 0, -1), f(0.5), i64(2, 0)], [1, 2, 3], 1, {}),
    ("pad_reflect_axes", 18, "Pad", [f32(2, 3, 4), i64(2, 1), NUL, i64(-1)], [1, 3], 1, dict(mode="reflect")),
    ("pad_wrap", 19, "Pad", [f32(2, 4), i64(0, 3, 1, 2)], [1], 1, dict(mode="wrap")),
    ("bitwise_and", 18, "BitwiseAnd", [u8(3, 4), u8(4)], [], 1, {}),
    ("bitwise_xor", 18, "BitwiseXor", [u8(3, 4), u8(3, 1)], [], 1, {}),
    ("bitwise_not", 18, "BitwiseNot", [u8(3, 4)], [], 1, {}),
    ("mish", 18, "Mish", [f32(3, 4)], [], 1, {}),
    ("scatter_elements_max", 18, "ScatterElements", [f32(3, 4), np.array([[0, 1], [2, 0]], np.int64), f32(2, 2)], [], 1, dict(axis=0, reduction="max")),
    ("resize_axes", 18, "Resize", [f32(1, 2, 3, 3), NUL, f(2, 2)], [2], 1, dict(axes=[2, 3], mode="linear")),
    ("average_pool_dilations", 19, "AveragePool", [f32(1, 2, 7, 7)], [], 1, dict(kernel_shape=[2, 2], dilations=[2, 3], strides=[2, 1])),
    ("average_pool_ceil", 19, "AveragePool", [f32(1, 1, 6, 6)], [], 1, dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, pads=[1, 1, 1, 1])),
    ("reshape_19", 19, "Reshape", [f32(2, 3, 4), i64(0, -1)], [1], 1, {}),
    ("cast_to_u8", 19, "Cast", [f(-0.0, 1.7, 254.9, 3.2)], [], 1, dict(to=TensorProto.UINT8)),
    ("equal_19", 19, "Equal", [i64(1, 2, 3), i64(1, 3, 3)], [], 1, {}),
    ("gelu", 20, "Gelu", [f32(3, 4)], [], 1, {}),
    ("gelu_tanh", 20, "Gelu", [f32(3, 4)], [], 1, dict(approximate="tanh")),
    ("is_inf_negative", 20, "IsInf", [f(1, np.inf, -np.inf, np.nan)], [], 1, dict(detect_positive=0)),
    ("quantize_int16", 21, "QuantizeLinear", [f32(2, 3), f(0.001), np.array(-7, np.int16)], [1, 2], 1, {}),
    ("quantize_per_axis", 21, "QuantizeLinear", [f32(2, 3), f(0.01, 0.02, 0.03), np.array([1, 2, 3], np.uint8)], [1, 2], 1, dict(axis=-1)),
    ("dequantize_uint16", 21, "DequantizeLinear", [np.array([0, 1, 65535], np.uint16), f(0.25), np.array(32768, np.uint16)], [1, 2], 1, {}),
    ("squeeze_21", 21, "Squeeze", [f32(1, 3, 1), i64(-1)], [1], 1, {}),
    ("transpose_21", 21, "Transpose", [u8(2, 3, 4)], [], 1, dict(perm=[2, 0, 1])),
    ("conv_22", 22, "Conv", [f32(1, 4, 5, 5), f32(6, 2, 3, 3), f32(6)], [], 1, dict(group=2, auto_pad="SAME_LOWER", strides=[2, 2])),
    ("conv_transpose_22", 22, "ConvTranspose", [f32(1, 2, 3, 3), f32(2, 3, 3, 3)], [], 1, dict(strides=[2, 2], output_padding=[1, 1])),
    ("max_pool_22", 22, "MaxPool", [f32(1, 2, 6, 5)], [], 2, dict(kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1, pads=[1, 0, 1, 1])),
    ("hard_swish_22", 22, "HardSwish", [3 * f32(3, 4)], [], 1, {}),
    ("elu_22", 22, "Elu", [f32(3, 4)], [], 1, dict(alpha=0.7)),
    ("round_22", 22, "Round", [f(-2.5, -1.5, 0.5, 1.5, 2.4)], [], 1, {}),
    ("flatten_23", 23, "Flatten", [f32(2, 3, 4)], [], 1, dict(axis=-1)),
    ("unsqueeze_24", 24, "Unsqueeze", [f32(2, 3), i64(-1, 0)], [1], 1, {}),
    ("topk_24", 24, "TopK", [f32(3, 5), i64(2)], [1], 2, dict(axis=1, largest=0)),
]


def tensor(name, a):
    return numpy_helper.from_array(np.ascontiguousarray(a), name)


def write(name, opset, op, inputs, consts, outputs, attrs):
    names = ["" if a is NUL else "in%d" % i for i, a in enumerate(inputs)]
    inputs = [f.reshape(()) if f is not NUL and op in ("QuantizeLinear", "DequantizeLinear", "Pad") and f.shape == (1,) and f.dtype == np.float32 else f for f in inputs]
    outs = ["out%d" % i for i in range(outputs)]
    infos = [helper.make_tensor_value_info(n, mapping.NP_TYPE_TO_TENSOR_TYPE[a.dtype], a.shape) for i, (n, a) in enumerate(zip(names, inputs)) if n and i not in consts]
    g = helper.make_graph([helper.make_node(op, names, outs, **attrs)], name, infos, [helper.make_empty_tensor_value_info(o) for o in outs],
                          [tensor(names[i], inputs[i]) for i in consts])
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", opset)], producer_name="newer.py")
    m.ir_version = 11 if opset > 22 else 10 if opset > 20 else 9
    folder = here / "newer" / name
    data = folder / "test_data_set_0"
    shutil.rmtree(folder, ignore_errors=True)
    data.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(m.SerializeToString())
    feeds = [(n, a) for i, (n, a) in enumerate(zip(names, inputs)) if n and i not in consts]
    job = dict(model=str(folder / "model.onnx"), inputs=[[n, str(a.dtype), list(a.shape), [str(v).replace("inf", "Infinity") if not np.isfinite(v) else v for v in a.ravel().tolist()]] for n, a in feeds])
    r = subprocess.run(["node", "-e", RUN, sys.argv[1]], input=json.dumps(job), capture_output=True, text=True)
    if r.returncode != 0:
        shutil.rmtree(folder)
        print(name, "left out:", r.stderr.strip().splitlines()[-1:], r.stderr[:300])
        return
    for i, (n, a) in enumerate(feeds):
        (data / ("input_%d.pb" % i)).write_bytes(tensor(n, a).SerializeToString())
    for i, (dtype, dims, values) in enumerate(json.loads(r.stdout)):
        a = np.array([float(v) if isinstance(v, str) else v for v in values]).astype(dtype).reshape(dims)
        (data / ("output_%d.pb" % i)).write_bytes(tensor(outs[i], a).SerializeToString())


for case in CASES:
    write(*case)
