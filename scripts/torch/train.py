"""The PyTorch side of `npm run bench -- train`: the same models, weights, batch and optimiser, eager.

argv[1]: a folder with task.json (model, sizes, trainable names, threads, AdamW) and task.safetensors
(weights as `w:NAME`, batch as `b:NAME`). Commands come on standard input, one a line; each is answered
by one line of JSON. `step N` takes N optimiser steps, `matmul` measures a product, end of input ends it.
"""

import json
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

FOLDER = Path(sys.argv[1])
TASK = json.loads((FOLDER / "task.json").read_text())
SIZES = TASK["sizes"]
SCALE = SIZES["alpha"] / SIZES["rank"]
torch.set_num_threads(TASK["threads"])


def read_tensors(path):
    """A safetensors file: the header's length, a JSON header, the numbers."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        body = bytearray(file.read())
    kinds = {"F32": torch.float32, "I64": torch.int64}
    out = {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        flat = torch.frombuffer(body[begin:end], dtype=kinds[t["dtype"]])
        out[name] = flat.reshape(t["shape"])
    return out


class Weights:
    """Makes parameters of the tensors under a name, as nn.Module's own layers lay them out."""

    def __init__(self, tensors, trainable):
        self.tensors = tensors
        self.trainable = set(trainable)
        self.made = set()

    def has(self, name):
        return name in self.tensors

    def take(self, name, turn=False):
        self.made.add(name)
        t = self.tensors[name]
        t = t.t().contiguous() if turn else t.clone()
        return nn.Parameter(t, requires_grad=name in self.trainable)


class Linear(nn.Module):
    """x W + b, with a low-rank pair beside it where there is one. W is [in, out] in the file."""

    def __init__(self, w, name):
        super().__init__()
        self.weight = w.take(f"{name}.w", turn=True)
        self.bias = w.take(f"{name}.b")
        self.pair = w.has(f"{name}.w.lora_A")
        if self.pair:
            self.lora_a = w.take(f"{name}.w.lora_A", turn=True)
            self.lora_b = w.take(f"{name}.w.lora_B", turn=True)

    def forward(self, x):
        y = F.linear(x, self.weight, self.bias)
        if self.pair:
            y = y + F.linear(F.linear(x, self.lora_a) * SCALE, self.lora_b)
        return y


class Norm(nn.Module):
    def __init__(self, w, name):
        super().__init__()
        self.weight = w.take(f"{name}.g")
        self.bias = w.take(f"{name}.b")

    def forward(self, x):
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, 1e-5)


class Attention(nn.Module):
    """Residual; `mask` [B, T, 1] is 1 where a row counts."""

    def __init__(self, w, name, heads):
        super().__init__()
        self.norm = Norm(w, f"{name}.norm")
        self.q, self.k, self.v, self.out = (Linear(w, f"{name}.{p}") for p in ("q", "k", "v", "out"))
        self.heads = heads

    def forward(self, x, mask=None):
        batch, rows, width = x.shape
        h = self.norm(x)
        q, k, v = (p(h).view(batch, rows, self.heads, -1).transpose(1, 2) for p in (self.q, self.k, self.v))
        bias = None if mask is None else (mask * 1e4 - 1e4).view(batch, 1, 1, rows)
        if hasattr(F, "scaled_dot_product_attention"):
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        else:
            scores = (q @ k.transpose(-1, -2)) * (1 / math.sqrt(q.shape[-1]))
            mixed = (scores if bias is None else scores + bias).softmax(-1) @ v
        return x + self.out(mixed.transpose(1, 2).reshape(batch, rows, width))


class Transformer(nn.Module):
    def __init__(self, w, s):
        super().__init__()
        layers = [f"layers.{i}" for i in range(s["layers"])]
        self.attention = nn.ModuleList(Attention(w, f"{n}.attention", s["heads"]) for n in layers)
        self.norms = nn.ModuleList(Norm(w, f"{n}.norm") for n in layers)
        self.ups = nn.ModuleList(Linear(w, f"{n}.up") for n in layers)
        self.downs = nn.ModuleList(Linear(w, f"{n}.down") for n in layers)
        self.norm = Norm(w, "norm")
        self.head = Linear(w, "head")

    def forward(self, x, target):
        for attention, norm, up, down in zip(self.attention, self.norms, self.ups, self.downs):
            x = attention(x)
            x = x + down(F.gelu(up(norm(x))))
        return F.mse_loss(self.head(self.norm(x)), target)


class Block(nn.Module):
    """y = x + down(silu(up(rows beside each other))), the rows normalised, conditioned and masked."""

    def __init__(self, w, name, kernel, dilation=1, cond=False):
        super().__init__()
        self.norm = Norm(w, f"{name}.norm")
        self.film = Linear(w, f"{name}.film") if cond else None
        self.up = Linear(w, f"{name}.up")
        self.down = Linear(w, f"{name}.down")
        self.kernel, self.dilation = kernel, dilation

    def forward(self, x, cond=None, mask=None):
        h = self.norm(x)
        if self.film is not None:
            scale, shift = self.film(cond).unsqueeze(1).chunk(2, -1)
            h = h * (1 + scale) + shift
        if mask is not None:
            h = h * mask
        reach = self.dilation * (self.kernel - 1)
        wide = F.pad(h, (0, 0, reach // 2, reach - reach // 2))
        rows = x.shape[1]
        taps = [wide[:, i * self.dilation : i * self.dilation + rows] for i in range(self.kernel)]
        return x + self.down(F.silu(self.up(torch.cat(taps, -1))))


class Acoustic(nn.Module):
    def __init__(self, w, s):
        super().__init__()
        self.embedding = w.take("text.embedding")
        self.local = Block(w, "text.local", 5)
        trunk = [f"text.trunk.{i}" for i in range(s["trunkLayers"])]
        self.attention = nn.ModuleList(Attention(w, f"{n}.attention", s["heads"]) for n in trunk)
        self.conv = nn.ModuleList(Block(w, f"{n}.conv", 3) for n in trunk)
        self.score = Linear(w, "text.pool.score")
        self.cond, self.prompt = Linear(w, "text.cond"), Linear(w, "text.prompt")
        self.content = nn.ModuleList(Block(w, f"text.content.{i}", 3, 1, True) for i in range(s["contentLayers"]))
        self.norm, self.out = Norm(w, "text.norm"), Linear(w, "text.out")
        self.duration = Block(w, "text.duration.block", 3, 1, True)
        self.duration_norm, self.duration_out = Norm(w, "text.duration.norm"), Linear(w, "text.duration.out")
        self.d_content, self.d_position = Linear(w, "decoder.content"), Linear(w, "decoder.position")
        self.d_cond = Linear(w, "decoder.cond")
        self.prior, self.prior_out = Block(w, "decoder.prior.block", 3, 1, True), Linear(w, "decoder.prior.out")
        self.latent = Linear(w, "decoder.latent")
        dilations = [(1, 2, 4)[i % 3] for i in range(s["decoderLayers"])]
        self.blocks = nn.ModuleList(Block(w, f"decoder.block.{i}", 3, d, True) for i, d in enumerate(dilations))
        self.d_norm, self.d_out = Norm(w, "decoder.norm"), Linear(w, "decoder.out")

    def forward(self, phones, phone_mask, speaker, log_duration, align, position, mel, loss_mask, **_unused):
        h = self.local(F.embedding(phones, self.embedding), mask=phone_mask)
        for attention, conv in zip(self.attention, self.conv):
            h = conv(attention(h, phone_mask), mask=phone_mask)
        share = (self.score(h) + phone_mask * 1e4 - 1e4).softmax(1)
        cond = F.silu(self.cond(speaker * 14)) + self.prompt((h * share).sum(1))
        for block in self.content:
            h = block(h, cond, phone_mask)
        content = self.out(self.norm(h))
        d = self.duration_out(self.duration_norm(self.duration(h, cond, phone_mask))) + 1.8
        h = self.d_content(align @ content) + self.d_position(position)
        cond = F.silu(self.d_cond(speaker * 14))
        z = self.prior_out(self.prior(h, cond))[..., : self.latent.weight.shape[1]]
        h = h + self.latent(z)
        for block in self.blocks:
            h = block(h, cond)
        made = self.d_out(self.d_norm(h)) * 2.5 - 5
        near = ((made - mel).abs() * loss_mask).sum() / (loss_mask.sum() * mel.shape[-1] + 1e-6)
        gap = (d - log_duration.unsqueeze(2)).square() * phone_mask
        return near + gap.sum() / (phone_mask.sum() + 1e-6)


class Conv(nn.Module):
    """A convolution that keeps the length, with a low-rank pair beside it where there is one."""

    def __init__(self, w, name, dilation=1):
        super().__init__()
        self.weight, self.bias = w.take(f"{name}.w"), w.take(f"{name}.b")
        self.dilation = dilation
        self.reach = dilation * (self.weight.shape[2] - 1) // 2
        self.pair = w.has(f"{name}.w.lora_A")
        if self.pair:
            self.lora_a, self.lora_b = w.take(f"{name}.w.lora_A"), w.take(f"{name}.w.lora_B")

    def forward(self, x):
        y = F.conv1d(x, self.weight, self.bias, padding=self.reach, dilation=self.dilation)
        if self.pair:
            low = F.conv1d(x, self.lora_a, padding=self.reach, dilation=self.dilation)
            y = y + F.conv1d(low * SCALE, self.lora_b)
        return y


class Vocoder(nn.Module):
    def __init__(self, w, s):
        super().__init__()
        self.pre, self.post = Conv(w, "pre"), Conv(w, "post")
        self.rates, self.kernels = s["rates"], len(s["kernels"])
        self.ups, self.up_bias = nn.ParameterList(), nn.ParameterList()
        self.first, self.second = nn.ModuleList(), nn.ModuleList()
        for i in range(len(s["rates"])):
            self.ups.append(w.take(f"ups.{i}.w"))
            self.up_bias.append(w.take(f"ups.{i}.b"))
            for j in range(self.kernels):
                name = f"res.{i}.{j}"
                dilations = list(enumerate(s["dilations"]))
                self.first.append(nn.ModuleList(Conv(w, f"{name}.a.{m}", d) for m, d in dilations))
                self.second.append(nn.ModuleList(Conv(w, f"{name}.b.{m}") for m, _ in dilations))

    def forward(self, mel, wave):
        h = self.pre(mel)
        for i, rate in enumerate(self.rates):
            h = F.conv_transpose1d(F.leaky_relu(h, 0.1), self.ups[i], self.up_bias[i], rate, rate // 2)
            parts = []
            for j in range(i * self.kernels, (i + 1) * self.kernels):
                x = h
                for a, b in zip(self.first[j], self.second[j]):
                    x = x + b(F.leaky_relu(a(F.leaky_relu(x, 0.1)), 0.1))
                parts.append(x)
            h = sum(parts[1:], parts[0]) / self.kernels
        return F.l1_loss(torch.tanh(self.post(F.leaky_relu(h, 0.1))), wave)


def matmul(size=1024, rounds=8):
    """Best of some products of square matrices, in GFLOP/s."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = math.inf
    for _ in range(rounds):
        begin = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best / 1e9


def main():
    tensors = read_tensors(FOLDER / "task.safetensors")
    w = Weights({n[2:]: t for n, t in tensors.items() if n[0] == "w"}, TASK["trainable"])
    batch = {n[2:]: t.clone() for n, t in tensors.items() if n[0] == "b"}
    del tensors
    kind = {"acoustic": Acoustic, "transformer": Transformer, "vocoder": Vocoder}[TASK["model"]]
    model = kind(w, SIZES[TASK["model"]])
    missing = w.trainable - w.made
    if missing:
        raise SystemExit(f"no place for {sorted(missing)}")
    w.tensors = {}
    trained = [p for p in model.parameters() if p.requires_grad]
    o = TASK["adamw"]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.dim() > 1], "weight_decay": o["weightDecay"]},
            {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0},
        ],
        lr=TASK["rate"],
        betas=(o["beta1"], o["beta2"]),
        eps=o["epsilon"],
    )

    def step():
        began = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        loss = model(**batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(trained, o["clip"])
        optimiser.step()
        took = 1e3 * (time.perf_counter() - began)
        return {"loss": loss.item(), "norm": norm.item(), "ms": took}

    def answer(value):
        print(json.dumps(value), flush=True)

    answer({"version": f"PyTorch {torch.__version__}", "parameters": sum(p.numel() for p in trained)})
    for line in sys.stdin:
        command = line.split()
        if command[0] == "step":
            answer({"steps": [step() for _ in range(int(command[1]))]})
        else:
            answer({"gflops": matmul()})


main()
