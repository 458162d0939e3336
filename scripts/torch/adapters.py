#!/usr/bin/env python3
"""Adapters by the PEFT library itself, for the tests of cloud-trainer/src/lora, and ours loaded by it.

    python3 scripts/torch/adapters.py make             into cloud-trainer/fixtures/peft
    python3 scripts/torch/adapters.py check ADAPTER Y  ours on the same model: prints how far PEFT's output
                                                       is from `y` in the safetensors Y

`make` writes model.onnx, inputs.safetensors, and for each case a folder that PEFT's save_pretrained wrote
with y.safetensors beside it: the adapted model's output as PEFT computes it. Needs torch, numpy and peft.
"""
import pathlib
import sys

import numpy as np
import onnx
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from references import write_safetensors

OUT = pathlib.Path(__file__).resolve().parents[2] / "cloud-trainer/fixtures/peft"


class Layer(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.q_proj, self.v_proj = nn.Linear(d, d), nn.Linear(d, d, bias=False)
        self.c_attn = Conv1D(d, d)

    def forward(self, x):
        return x + self.c_attn(torch.tanh(self.q_proj(x)) * self.v_proj(x))


class Model(nn.Module):
    """Every kind of layer that LoRA of PEFT adapts."""
    def __init__(self, d=8):
        super().__init__()
        self.embed = nn.Embedding(11, d)
        self.layers = nn.ModuleList([Layer(d), Layer(d)])
        self.conv, self.grouped = nn.Conv1d(d, 6, 3, stride=2, padding=1), nn.Conv1d(6, 6, 3, padding=1, groups=2)
        self.image, self.head = nn.Conv2d(1, 4, (3, 2), padding=(1, 0)), nn.Linear(4, 3)

    def forward(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        x = torch.tanh(self.grouped(torch.tanh(self.conv(x.transpose(1, 2)))))
        x = torch.tanh(self.image(x[:, None]))
        return self.head(x.mean((2, 3)))


def base():
    torch.manual_seed(3)
    return Model().eval()


ALL = ["embed", "q_proj", "v_proj", "conv", "image", "head"]
CASES = {
    "plain": dict(r=4, lora_alpha=8, target_modules=ALL),
    "rslora": dict(r=4, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "head"],
                   rank_pattern={"layers.1.q_proj": 2}, alpha_pattern={"head": 3}),
    "regex": dict(r=2, lora_alpha=2, target_modules=r".*layers\.\d+\.(q|v)_proj"),
    "transposed": dict(r=2, lora_alpha=4, target_modules=["c_attn"], fan_in_fan_out=True),
    "grouped": dict(r=4, lora_alpha=4, target_modules=["grouped"]),
    "saved": dict(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["head"]),
    "dora": dict(r=2, lora_alpha=4, target_modules=["q_proj"], use_dora=True),
    "biased": dict(r=2, lora_alpha=4, target_modules=["q_proj"], bias="lora_only"),
}


def make():
    OUT.mkdir(parents=True, exist_ok=True)
    ids = torch.randint(0, 11, (2, 9))
    torch.onnx.export(base(), (ids,), str(OUT / "model.onnx"), input_names=["ids"], output_names=["y"],
                      opset_version=17, do_constant_folding=False, dynamic_axes={"ids": {0: "batch", 1: "time"}})
    onnx.checker.check_model(str(OUT / "model.onnx"))
    write_safetensors(OUT / "inputs.safetensors", {"ids": ids.numpy(), "y": base()(ids).detach().numpy()})
    for name, how in CASES.items():
        torch.manual_seed(5)
        model = get_peft_model(base(), LoraConfig(**how))
        with torch.no_grad():
            for key, p in model.named_parameters():
                if p.requires_grad:
                    p.add_(0.2 * torch.randn_like(p))
        model.save_pretrained(str(OUT / name))
        write_safetensors(OUT / name / "y.safetensors", {"y": model.eval()(ids).detach().numpy()})
        (OUT / name / "README.md").unlink(missing_ok=True)
        print(name, sorted(p.name for p in (OUT / name).iterdir()))


def check(adapter, wanted):
    ids = load_file(str(OUT / "inputs.safetensors"))["ids"]
    model = PeftModel.from_pretrained(base(), adapter).eval()
    kept = load_file(str(pathlib.Path(adapter) / "adapter_model.safetensors"))
    y = model(ids).detach().numpy()
    wanted = load_file(wanted)["y"].numpy()
    moved = float(np.abs(base()(ids).detach().numpy() - y).max())
    print(f"{len(kept)} tensors, {len(model.targeted_module_names)} modules; the adapter moves the output by {moved:.3g};"
          f" PEFT and the file differ by {float(np.abs(y - wanted).max()):.2g}")


if __name__ == "__main__":
    if sys.argv[1:] == ["make"]:
        make()
    else:
        check(*sys.argv[2:])
