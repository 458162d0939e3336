#!/usr/bin/env python3
"""Writes ONNX models exported by PyTorch with the gradients that torch.autograd computes for them.

Run by hand; nothing that is built or tested needs Python:

    python3 scripts/torch/references.py OUT [NAME...]        every model of models.py, or those named
    python3 scripts/torch/references.py --fixtures           those that tests read, into
                                                             cloud-trainer/fixtures/torch

For each model and opset OUT gets NAME-OPSET.onnx, NAME-OPSET.feeds.safetensors (a tensor for every
input) and NAME-OPSET.grads.safetensors: the gradients of the sum of the output `y`, computed in double
precision and rounded once, by the names of the exported file's inputs and initialisers. The file's
metadata holds that sum as `value`, and how far single precision in PyTorch itself is from the gradients
as `noise`.

Needs torch 1.13 or later and numpy (Debian: python3-torch).
"""
import json
import pathlib
import struct
import sys
import warnings

import numpy as np
import onnx
import onnx.numpy_helper
import torch

import models

warnings.filterwarnings("ignore")
DTYPES = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64", "int32": "I32",
          "bool": "BOOL", "uint8": "U8"}


def write_safetensors(path, tensors, metadata=None):
    """The format of https://github.com/huggingface/safetensors: a length, a JSON header, the bytes."""
    header, blobs, at = {}, [], 0
    if metadata:
        header["__metadata__"] = metadata
    for name, array in tensors.items():
        array = np.array(array, order="C")
        blob = array.tobytes()
        header[name] = {"dtype": DTYPES[str(array.dtype)], "shape": list(array.shape),
                        "data_offsets": [at, at + len(blob)]}
        at += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def build(case):
    """The case's module with weights and statistics that are all different: exporters merge equal ones."""
    torch.manual_seed(1)
    module, inputs, how = case()
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.1 * torch.randn_like(p))
        for name, b in module.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                b.add_(0.3 * torch.rand_like(b))
    return module.train(how.pop("training", False)), inputs, how


def gradients(case, dtype):
    """The sum of the output and its gradients for all inputs and parameters, in the given precision."""
    module, inputs, _ = build(case)
    module = module.to(dtype)
    feeds = [x.detach().to(dtype).requires_grad_() if x.is_floating_point() else x for x in inputs.values()]
    y = module(*feeds).sum()
    y.backward()
    found = {name: x.grad for name, x in zip(inputs, feeds) if x.requires_grad}
    found.update({name: p.grad for name, p in module.named_parameters()})
    own = dict(zip(inputs, feeds), **dict(module.named_parameters()))
    return float(y), {k: torch.zeros_like(own[k]) if g is None else g for k, g in found.items()}


def matched(model, params, grads):
    """Gradients by the exported names: exporters rename weights, and transpose those of products."""
    out = {k: g for k, g in grads.items() if k not in params}
    for init in model.graph.initializer:
        if init.name in params:
            if list(init.dims) == list(params[init.name].shape):
                out[init.name] = grads[init.name]
            continue
        value = onnx.numpy_helper.to_array(init)
        if value.dtype != np.float32 or value.size < 2:
            continue
        for name, p in params.items():
            p = p.detach().numpy()
            if p.shape == value.shape and np.array_equal(p, value):
                out[init.name] = grads[name]
            elif p.ndim == 2 and p.T.shape == value.shape and np.array_equal(p.T, value):
                out[init.name] = grads[name].T
    return out


def write(out, name, case, opset):
    module, inputs, how = build(case)
    training = module.training
    path = out / f"{name}-{opset}.onnx"
    torch.onnx.export(
        module, tuple(x.clone() for x in inputs.values()), str(path), input_names=list(inputs), output_names=["y"],
        opset_version=opset,
        training=torch.onnx.TrainingMode.TRAINING if training else torch.onnx.TrainingMode.EVAL,
        **{"do_constant_folding": not training, **how})
    params = dict(build(case)[0].named_parameters())
    (value, double), (_, single) = (gradients(case, d) for d in (torch.float64, torch.float32))
    most = max(float(g.norm()) for g in double.values())
    noise = max(float((double[k] - single[k]).norm()) / max(float(double[k].norm()), 1e-3 * most, 1e-30) for k in double)
    model = onnx.load(str(path))
    found = matched(model, params, double)
    used = {i.name for i in model.graph.input}
    feeds = {k: x.numpy() for k, x in inputs.items() if k in used}
    found = {k: g.detach().to(torch.float32).numpy() for k, g in found.items()
             if k in used or any(i.name == k for i in model.graph.initializer)}
    write_safetensors(path.with_suffix(".feeds.safetensors"), feeds)
    write_safetensors(path.with_suffix(".grads.safetensors"), found,
                      {"of": "y", "value": repr(value), "noise": f"{noise:.1e}", "torch": torch.__version__})
    skipped = len(params) - sum(k in found for k in params)
    print(f"{path.name}: {len(found)} gradients, {skipped} parameters under other names, noise {noise:.1e}")


def main(argv):
    root = pathlib.Path(__file__).resolve().parents[2]
    fixtures = argv[:1] == ["--fixtures"]
    out = root / "cloud-trainer/fixtures/torch" if fixtures else pathlib.Path(argv[0])
    out.mkdir(parents=True, exist_ok=True)
    for name, (case, opsets, kept) in models.CASES.items():
        if fixtures and not kept or argv[1:] and name not in argv[1:]:
            continue
        for opset in [kept] if fixtures else opsets:
            try:
                write(out, name, case, opset)
            except Exception as e:  # what torch cannot export is none of ours
                print(f"{name}-{opset}: not exported: {str(e).splitlines()[0][:160]}")


if __name__ == "__main__":
    main(sys.argv[1:])
