"""Small models of many kinds for references.py. A case returns the module, its inputs by name, and
further arguments of torch.onnx.export."""
import math

import torch
import torch.nn.functional as F
from torch import nn

CASES = {}


def case(*opsets, kept=None):
    """Registers a model for these opsets; `kept` is the opset of the fixture that tests read."""
    def register(f):
        CASES[f.__name__] = (f, opsets or (13, 17), kept)
        return f
    return register


def batch(*names, axes=(0,)):
    """dynamic_axes: the first axis of each name is a symbol."""
    return {"dynamic_axes": {n: {a: f"{n}_{a}" for a in axes} for n in names}}


class Run(nn.Module):
    """A module whose forward is a function of itself and the inputs."""
    def __init__(self, forward, **parts):
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, torch.Tensor) and part.is_floating_point() else part)

    def forward(self, *inputs):
        return self.run(self, *inputs)


def weighted(y):
    """Not all elements alike: the plain sum of a softmax or a normalised row has no gradient."""
    return y * torch.cos(torch.arange(y.numel(), dtype=y.dtype).reshape(y.shape))


def randn(*shape):
    return torch.randn(*shape)


# Images.

@case(13, 15, 17, kept=17)
def resnet():
    class Block(nn.Module):
        def __init__(self, i, o, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
            self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
            self.down = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

        def forward(self, x):
            y = F.relu(self.bn1(self.conv1(x)))
            return F.relu(self.bn2(self.conv2(y)) + self.down(x))
    m = nn.Sequential(nn.Conv2d(3, 6, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Block(6, 8, 1), Block(8, 10, 2),
                      nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, 5), nn.LogSoftmax(-1))
    return Run(lambda s, x: weighted(s.m(x)), m=m), {"image": randn(2, 3, 24, 24)}, {}


@case(13, 14, 17, kept=14)
def resnet_training():
    m = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU6(), nn.Conv2d(6, 6, 3, groups=3),
                      nn.BatchNorm2d(6), nn.Hardswish(), nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))
    return Run(lambda s, x: weighted(s.m(x)), m=m), {"image": randn(3, 3, 10, 11)}, {"training": True}


@case(13, 17, kept=13)
def mobilenet():
    class Squeeze(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.fc1, self.fc2 = nn.Conv2d(c, c // 2, 1), nn.Conv2d(c // 2, c, 1)

        def forward(self, x):
            s = F.adaptive_avg_pool2d(x, 1)
            return x * F.hardsigmoid(self.fc2(F.silu(self.fc1(s))))
    m = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish(),
                      nn.Conv2d(8, 8, 5, 2, 2, groups=8), nn.BatchNorm2d(8), Squeeze(8), nn.Conv2d(8, 12, 1), nn.Mish(),
                      nn.Conv2d(12, 12, 3, padding=2, dilation=2, groups=4), nn.PReLU(12), nn.Dropout(0.3),
                      nn.Flatten(), nn.Linear(12 * 16, 4))
    return m, {"x": randn(2, 3, 16, 16)}, batch("x", "y")


@case(13, 16, kept=16)
def unet():
    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(10, 4, 3, padding=1)
            self.na, self.nb = nn.GroupNorm(2, 4), nn.InstanceNorm2d(6, affine=True)
            self.up, self.out = nn.ConvTranspose2d(4, 3, 4, 2, 1, output_padding=0), nn.Conv2d(9, 2, 1)

        def forward(self, x):
            a = F.gelu(self.na(self.a(x)))
            b = F.leaky_relu(self.nb(self.b(F.max_pool2d(a, 2))), 0.2)
            u = F.interpolate(b, scale_factor=2.0, mode="nearest")
            c = F.elu(self.c(torch.cat([a, u], 1)))
            v = F.interpolate(c, size=(9, 11), mode="bilinear", align_corners=False)
            w = F.interpolate(c, size=(9, 11), mode="bilinear", align_corners=True)
            z = F.interpolate(F.avg_pool2d(self.up(c), 2), size=(9, 11), mode="bicubic", align_corners=False)
            z = F.pad(F.pad(z, (1, 1, 1, 1), mode="reflect")[:, :, 1:-1, 3:], (0, 1, 0, 0), mode="replicate")
            return weighted(self.out(torch.cat([v, w[:, :2], z], 1)))
    return UNet(), {"x": randn(1, 2, 8, 10)}, {}


@case(13, 17)
def unet_dynamic():
    class Up(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, 2, 1)
            self.out = nn.Conv2d(8, 1, 1)

        def forward(self, x):
            a = F.softplus(self.a(x))
            b = torch.tanh(self.b(a))
            u = F.interpolate(b, size=a.shape[2:], mode="bilinear", align_corners=False)
            return weighted_dynamic(self.out(torch.cat([a, u], 1)))
    return Up(), {"x": randn(2, 2, 9, 7)}, batch("x", axes=(0, 2, 3))


def weighted_dynamic(y):
    """weighted, for sizes that are known when the graph runs."""
    return y * torch.cos(0.3 * y.detach() * 0 + torch.arange(y.shape[-1], dtype=torch.float32).to(y.dtype))


@case(13, 17, kept=17)
def convolutions():
    m = nn.ModuleList([nn.Conv1d(4, 6, 5, stride=3, padding=4, dilation=2, groups=2), nn.ConvTranspose1d(6, 4, 4, stride=3, padding=1, output_padding=2, groups=2, dilation=2),
                       nn.Conv1d(4, 4, 3, padding=3, dilation=3), nn.ConvTranspose1d(4, 4, 1, stride=2, output_padding=1),
                       nn.Conv1d(4, 3, 2, padding=1), nn.Conv1d(3, 3, 3, padding=1, padding_mode="reflect")])

    def run(s, x):
        for layer in s.m:
            x = torch.sin(layer(x))
        return weighted(x)
    return Run(run, m=m), {"x": randn(2, 4, 20)}, {}


@case(13, 17)
def convolutions_3d():
    m = nn.Sequential(nn.Conv3d(2, 4, (3, 2, 3), stride=(1, 2, 1), padding=1), nn.BatchNorm3d(4), nn.ReLU(),
                      nn.MaxPool3d(2), nn.ConvTranspose3d(4, 2, 3, stride=2, groups=2), nn.AvgPool3d(2, padding=1))
    return Run(lambda s, x: weighted(s.m(x)), m=m), {"x": randn(2, 2, 6, 7, 5)}, {}


@case(13, 17)
def pools():
    def run(s, x):
        a = F.max_pool2d(x * s.w, (3, 2), (2, 1), (1, 0), dilation=(1, 2), ceil_mode=True)
        b = F.avg_pool2d(x, 3, 2, 1, ceil_mode=False, count_include_pad=True)
        c = F.adaptive_max_pool2d(x, 1)
        d = F.lp_pool2d(x.abs() + 0.1, 2, 2)
        e, i = F.max_pool2d(x, 2, return_indices=True)
        return torch.cat([weighted(t).flatten() for t in (a, b, c, d, e)])
    return Run(run, w=randn(3, 1, 1)), {"x": randn(2, 3, 9, 8)}, {}


@case(13, 17)
def pixel_shuffle():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 8, 3), nn.Conv2d(8, 2, 3)

        def forward(self, x):
            x = F.pixel_shuffle(self.a(x), 2)
            x = F.pixel_unshuffle(x, 2)
            n, c, h, w = x.shape
            x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)  # channel shuffle
            return weighted(self.b(x.flip(-1).roll(2, 2)))
    return M(), {"x": randn(2, 2, 8, 8)}, {}


# Text and attention.

@case(13, 14, 17, kept=17)
def gpt2():
    class Block(nn.Module):
        def __init__(self, d, h):
            super().__init__()
            self.h, self.ln_1, self.ln_2 = h, nn.LayerNorm(d), nn.LayerNorm(d)
            self.c_attn, self.c_proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.fc, self.out = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
            self.register_buffer("bias", torch.tril(torch.ones(16, 16, dtype=torch.bool))[None, None])

        def forward(self, x):
            b, t, d = x.size()
            q, k, v = self.c_attn(self.ln_1(x)).split(d, dim=2)
            q, k, v = (z.view(b, t, self.h, d // self.h).transpose(1, 2) for z in (q, k, v))
            s = q @ k.transpose(-1, -2) / math.sqrt(k.size(-1))
            s = torch.where(self.bias[:, :, :t, :t], s, torch.tensor(torch.finfo(torch.float32).min, dtype=s.dtype))
            y = (s.softmax(-1) @ v).transpose(1, 2).contiguous().view(b, t, d)
            x = x + self.c_proj(y)
            h = self.fc(self.ln_2(x))
            h = 0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h ** 3)))
            return x + self.out(h)

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte, self.wpe = nn.Embedding(20, 12), nn.Embedding(16, 12)
            self.blocks, self.ln_f = nn.ModuleList([Block(12, 3), Block(12, 3)]), nn.LayerNorm(12)

        def forward(self, ids, labels):
            x = self.wte(ids) + self.wpe(torch.arange(ids.size(1)))
            for b in self.blocks:
                x = b(x)
            logits = self.ln_f(x) @ self.wte.weight.t()
            return F.cross_entropy(logits[:, :-1].reshape(-1, 20), labels[:, 1:].reshape(-1))
    ids = torch.randint(0, 20, (2, 7))
    return GPT(), {"ids": ids, "labels": ids.clone()}, {"do_constant_folding": False, **batch("ids", "labels", axes=(0, 1))}


@case(13, 14, 17, kept=13)
def encoder():
    layer = nn.TransformerEncoderLayer(12, 3, 20, dropout=0.0, batch_first=True, activation="gelu")
    m = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(12), enable_nested_tensor=False)

    def run(s, x, mask):
        with torch.enable_grad():
            return weighted_dynamic(s.m(x, src_key_padding_mask=mask))
    mask = torch.zeros(2, 5, dtype=torch.bool)
    mask[1, 3:] = True
    return Run(run, m=m), {"x": randn(2, 5, 12), "mask": mask}, {"training": True}


@case(14, 17)
def decoder():
    layer = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, norm_first=True)
    m = nn.TransformerDecoder(layer, 2)

    def run(s, x, memory):
        causal = torch.triu(torch.full((x.shape[0], x.shape[0]), float("-inf")), 1).to(x.dtype)
        return weighted(s.m(x, memory, tgt_mask=causal))
    return Run(run, m=m), {"x": randn(5, 2, 8), "memory": randn(4, 2, 8)}, {"training": True}


@case(13, 14, 17, kept=14)
def attention():
    m = nn.MultiheadAttention(12, 4, kdim=6, vdim=5, batch_first=True, add_bias_kv=True, add_zero_attn=True)

    def run(s, q, k, v, keep):
        y, w = s.m(q, k, v, key_padding_mask=~keep, need_weights=True)
        return weighted_dynamic(torch.cat([y.flatten(), w.flatten()]))
    keep = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    return Run(run, m=m), {"q": randn(2, 3, 12), "k": randn(2, 6, 6), "v": randn(2, 6, 5), "keep": keep}, {"training": True}


@case(13, 17)
def cross_attention_masked_fill():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.kv = nn.Linear(8, 8, bias=False), nn.Linear(6, 16, bias=False)
            self.rel = nn.Parameter(randn(2, 7))

        def forward(self, x, c, lengths):
            q = self.q(x).view(2, -1, 2, 4).permute(0, 2, 1, 3)
            k, v = self.kv(c).chunk(2, -1)
            k, v = (z.view(2, -1, 2, 4).permute(0, 2, 1, 3) for z in (k, v))
            s = torch.einsum("bhid,bhjd->bhij", q, k) * 4 ** -0.5
            place = torch.arange(3)[:, None] - torch.arange(5)[None] + 4
            s = s + self.rel[:, place.clamp(0, 6)]
            mask = torch.arange(c.size(1))[None, :] >= lengths[:, None]
            s = s.masked_fill(mask[:, None, None], -1e4)
            o = torch.einsum("bhij,bhjd->bihd", s.softmax(-1), v).flatten(2)
            return weighted(o)
    return M(), {"x": randn(2, 3, 8), "c": randn(2, 5, 6), "lengths": torch.tensor([5, 3])}, {}


@case(13, 17, kept=17)
def llama():
    class RMS(nn.Module):
        def __init__(self, d):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(d) + 0.5)

        def forward(self, x):
            v = x.to(x.dtype).pow(2).mean(-1, keepdim=True)
            return self.weight * (x * torch.rsqrt(v + 1e-6))

    def rotate(x):
        a, b = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2:]
        return torch.cat((-b, a), -1)

    class M(nn.Module):
        def __init__(self):
            super().__init__()
            d = 16
            self.e = nn.Embedding(11, d)
            self.n1, self.n2 = RMS(d), RMS(d)
            self.q, self.k, self.v, self.o = nn.Linear(d, d, bias=False), nn.Linear(d, 8, bias=False), nn.Linear(d, 8, bias=False), nn.Linear(d, d, bias=False)
            self.gate, self.up, self.down = nn.Linear(d, 24, bias=False), nn.Linear(d, 24, bias=False), nn.Linear(24, d, bias=False)
            self.head = nn.Linear(d, 11, bias=False)
            self.register_buffer("inv", 1 / 10000 ** (torch.arange(0, 4, 2).float() / 4))

        def forward(self, ids, attention_mask):
            b, t = ids.shape
            x = self.e(ids)
            h = self.n1(x)
            q = self.q(h).view(b, t, 4, 4).transpose(1, 2)
            k, v = (w(h).view(b, t, 2, 4).transpose(1, 2) for w in (self.k, self.v))
            k, v = (z[:, :, None].expand(b, 2, 2, t, 4).reshape(b, 4, t, 4) for z in (k, v))
            pos = torch.arange(t)
            f = torch.einsum("i,j->ij", pos.to(self.inv.dtype), self.inv)
            f = torch.cat((f, f), -1)
            q, k = (z * f.cos() + rotate(z) * f.sin() for z in (q, k))
            low = torch.finfo(torch.float32).min
            m = torch.full((t, t), low).to(x.dtype)
            c = torch.arange(t)
            m = m.masked_fill(c < (c + 1).view(t, 1), 0)[None, None]
            inv = 1.0 - attention_mask[:, None, None, :].to(x.dtype)
            m = m + inv.masked_fill(inv.to(torch.bool), low)
            m = torch.max(m, torch.tensor(low).to(x.dtype))
            s = (q @ k.transpose(2, 3) / 2 + m).softmax(-1)
            x = x + self.o((s @ v).transpose(1, 2).reshape(b, t, 16))
            h = self.n2(x)
            x = x + self.down(F.silu(self.gate(h)) * self.up(h))
            return F.cross_entropy(self.head(x).transpose(1, 2), ids)
    return M(), {"ids": torch.randint(0, 11, (2, 6)), "attention_mask": torch.tensor([[1] * 6, [1] * 4 + [0] * 2])}, batch("ids", "attention_mask", axes=(0, 1))


# Sequences.

@case(13, 14, 17, kept=17)
def lstm():
    m = nn.LSTM(5, 4, num_layers=2, bidirectional=True, batch_first=True)

    def run(s, x, h0, c0):
        y, (h, c) = s.m(x, (h0, c0))
        return weighted(torch.cat([y.flatten(), h.flatten(), c.flatten()]))
    return Run(run, m=m), {"x": randn(2, 6, 5), "h0": randn(4, 2, 4), "c0": randn(4, 2, 4)}, {}


@case(13, 17)
def lstm_raw():
    m = nn.LSTM(5, 4, num_layers=2, bidirectional=True, batch_first=True)
    return Run(lambda s, x: s.m(x)[0], m=m), {"x": randn(2, 6, 5)}, {"do_constant_folding": False, **batch("x", axes=(0, 1))}


@case(13, 17, kept=13)
def gru():
    m = nn.GRU(5, 4, num_layers=2, bidirectional=True)

    def run(s, x):
        y, h = s.m(x)
        return weighted(torch.cat([y.flatten(), h.flatten()]))
    return Run(run, m=m), {"x": randn(6, 2, 5)}, {"do_constant_folding": False}


@case(13, 17)
def rnn():
    m = nn.RNN(5, 4, num_layers=2, nonlinearity="relu", batch_first=True)
    return Run(lambda s, x: weighted(s.m(x)[0]), m=m), {"x": randn(2, 6, 5)}, {"do_constant_folding": False}


@case(13, 17)
def gru_cells():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.g, self.l, self.o = nn.GRUCell(4, 5), nn.LSTMCell(5, 3), nn.Linear(3, 4)

        def forward(self, x):
            h = x.new_zeros(x.shape[0], 5)
            a, c, out = x.new_zeros(x.shape[0], 3), x.new_zeros(x.shape[0], 3), []
            for t in range(x.shape[1]):
                h = self.g(x[:, t], h)
                a, c = self.l(h, (a, c))
                out.append(self.o(a))
            return weighted(torch.stack(out, 1))
    return M(), {"x": randn(2, 4, 4)}, {}


@case(13, 17, kept=13)
def packed_tagger():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.e = nn.Embedding(9, 6, padding_idx=0)
            self.l = nn.GRU(6, 5, batch_first=True, bidirectional=True)
            self.o = nn.Linear(10, 4)

        def forward(self, ids, lengths, tags):
            p = nn.utils.rnn.pack_padded_sequence(self.e(ids), lengths, batch_first=True)
            y, _ = nn.utils.rnn.pad_packed_sequence(self.l(p)[0], batch_first=True)
            return F.cross_entropy(self.o(y).flatten(0, 1), tags.flatten(), ignore_index=-1)
    ids = torch.randint(1, 9, (3, 6))
    return M(), {"ids": ids, "lengths": torch.tensor([6, 4, 2]), "tags": torch.randint(0, 4, (3, 6)).masked_fill(ids == 3, -1)}, {}


# Speech.

@case(13, 17, kept=17)
def conformer():
    class M(nn.Module):
        def __init__(self, d=8):
            super().__init__()
            self.sub = nn.Conv2d(1, 3, 3, 2)
            self.lin = nn.Linear(3 * 5, d)
            self.f1, self.f2 = (nn.Sequential(nn.LayerNorm(d), nn.Linear(d, 16), nn.SiLU(), nn.Linear(16, d)) for _ in range(2))
            self.att, self.n = nn.MultiheadAttention(d, 2, batch_first=True), nn.LayerNorm(d)
            self.nc, self.p1, self.dw = nn.LayerNorm(d), nn.Conv1d(d, 2 * d, 1), nn.Conv1d(d, d, 5, padding=2, groups=d)
            self.bn, self.p2, self.no = nn.BatchNorm1d(d), nn.Conv1d(d, d, 1), nn.LayerNorm(d)

        def forward(self, x):
            z = self.sub(x[:, None])
            b, c, t, f = z.shape
            z = self.lin(z.transpose(1, 2).reshape(b, t, c * f))
            z = z + 0.5 * self.f1(z)
            h = self.n(z)
            z = z + self.att(h, h, h)[0]
            h = F.glu(self.p1(self.nc(z).transpose(1, 2)), 1)
            z = z + self.p2(F.silu(self.bn(self.dw(h)))).transpose(1, 2)
            z = self.no(z + 0.5 * self.f2(z))
            return weighted_dynamic(z)
    return M(), {"x": randn(2, 13, 11)}, {"training": True, **batch("x", axes=(0, 1))}


@case(13, 17, kept=13)
def wavenet():
    class M(nn.Module):
        def __init__(self, c=4):
            super().__init__()
            self.pre = nn.Conv1d(1, c, 1)
            norm = nn.utils.weight_norm
            self.dil = nn.ModuleList([norm(nn.Conv1d(c, 2 * c, 3, padding=2 ** i, dilation=2 ** i)) for i in range(3)])
            self.res = nn.ModuleList([norm(nn.Conv1d(c, 2 * c, 1)) for _ in range(3)])
            self.cond = nn.Conv1d(3, 2 * c * 3, 1)
            self.post = nn.Conv1d(c, 2, 1)

        def forward(self, x, g):
            x, g, skip = self.pre(x), self.cond(g), 0
            for i, (d, r) in enumerate(zip(self.dil, self.res)):
                a = d(x) + g[:, i * 8:(i + 1) * 8]
                h = r(torch.tanh(a[:, :4]) * torch.sigmoid(a[:, 4:]))
                x, s = (x + h[:, :4]) * math.sqrt(0.5), h[:, 4:]
                skip = skip + s
            return weighted(self.post(F.relu(skip)))
    return M(), {"x": randn(2, 1, 12), "g": randn(2, 3, 1)}, {"training": True}


@case(13, 17)
def hifigan():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            norm = nn.utils.weight_norm
            self.pre, self.up = norm(nn.Conv1d(5, 8, 7, padding=3)), norm(nn.ConvTranspose1d(8, 4, 8, 4, 2))
            self.c = nn.ModuleList([norm(nn.Conv1d(4, 4, 3, padding=d, dilation=d)) for d in (1, 3, 5)])
            self.post = norm(nn.Conv1d(4, 1, 7, padding=3))

        def forward(self, mel):
            x = self.up(F.leaky_relu(self.pre(mel), 0.1))
            for c in self.c:
                x = x + c(F.leaky_relu(x, 0.1))
            return weighted(torch.tanh(self.post(F.leaky_relu(x))))
    return M(), {"mel": randn(2, 5, 6)}, {"training": True}


@case(13, 17, kept=17)
def vits_parts():
    """VAE reparametrisation, KL, a coupling layer, monotonic alignment by index, STFT by convolution."""
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.enc, self.flow, self.dec = nn.Conv1d(4, 6, 3, padding=1), nn.Conv1d(1, 4, 3, padding=1), nn.ConvTranspose1d(3, 1, 4, 2, 1)
            self.text = nn.Embedding(7, 6)
            n = 8
            k = torch.arange(n)[:, None] * torch.arange(n // 2 + 1)[None] * 2 * math.pi / n
            basis = (torch.cat([k.cos(), -k.sin()], 1) * torch.hann_window(n)[:, None]).T[:, None]
            self.register_buffer("basis", basis)

        def forward(self, spec, noise, ids, at):
            m, logs = self.enc(spec).chunk(2, 1)
            z = m + noise * torch.exp(logs)
            a, b = z[:, :1], z[:, 1:]
            mu, s = self.flow(a).chunk(2, 1)
            zp = torch.flip(torch.cat([a, mu + b * torch.exp(s)], 1), [1])
            pm, pl = torch.gather(self.text(ids).transpose(1, 2), 2, at[:, None].expand(-1, 6, -1)).chunk(2, 1)
            kl = pl - logs - 0.5 + 0.5 * (zp - pm) ** 2 * torch.exp(-2 * pl)
            wave = torch.tanh(self.dec(z))
            f = F.conv1d(F.pad(wave, (4, 4), mode="reflect"), self.basis, stride=2)
            mag = torch.sqrt(f[:, :5] ** 2 + f[:, 5:] ** 2 + 1e-6)
            return kl.sum() / 14 + torch.log(mag.clamp(min=1e-2)).abs().mean() + torch.norm(mag) + s.sum()
    return M(), {"spec": randn(2, 4, 7), "noise": randn(2, 3, 7), "ids": torch.randint(0, 7, (2, 3)),
                 "at": torch.tensor([[0, 0, 1, 1, 1, 2, 2], [0, 1, 1, 2, 2, 2, 2]])}, {}


@case(13, 17)
def ecapa():
    class M(nn.Module):
        def __init__(self, c=8):
            super().__init__()
            self.c1 = nn.Conv1d(5, c, 5, padding=2)
            self.parts = nn.ModuleList([nn.Conv1d(2, 2, 3, padding=2, dilation=2) for _ in range(3)])
            self.att = nn.Sequential(nn.Conv1d(3 * c, 4, 1), nn.Tanh(), nn.Conv1d(4, c, 1))
            self.bn, self.fc = nn.BatchNorm1d(2 * c), nn.Linear(2 * c, 6)
            self.w = nn.Parameter(randn(4, 6))

        def forward(self, x, label):
            x = F.relu(self.c1(x))
            p = list(torch.split(x, 2, 1))
            for i, c in enumerate(self.parts):
                p[i + 1] = torch.relu(c(p[i + 1] + (p[i] if i else 0)))
            x = torch.cat(p, 1)
            t = x.size(2)
            g = torch.cat([x, x.mean(2, keepdim=True).expand(-1, -1, t), x.var(2, keepdim=True).clamp(min=1e-4).sqrt().repeat(1, 1, t)], 1)
            a = torch.softmax(self.att(g), 2)
            mu = (x * a).sum(2)
            sd = torch.sqrt(((x ** 2 * a).sum(2) - mu ** 2).clamp(min=1e-4))
            e = F.normalize(self.fc(self.bn(torch.cat([mu, sd], 1))), dim=1)
            cos = F.linear(e, F.normalize(self.w))
            sine = torch.sqrt((1 - cos ** 2).clamp(0, 1))
            phi = cos * math.cos(0.2) - sine * math.sin(0.2)
            one = torch.zeros_like(cos).scatter(1, label[:, None], 1.0)
            return F.cross_entropy((one * phi + (1 - one) * cos) * 10, label)
    return M(), {"x": randn(3, 5, 9), "label": torch.tensor([1, 3, 0])}, {"do_constant_folding": False, **batch("x", "label")}


@case(13, 17, kept=13)
def pooled_deviation():
    """Statistics pooling behind a Relu: where a channel is silent its deviation is flat."""
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.out = nn.Conv1d(3, 6, 3, dilation=2), nn.Linear(12, 4)

        def forward(self, x, label):
            h = F.relu(self.conv(x))
            h = torch.cat([h[:, :5], F.relu(h[:, 5:] - 100)], 1)
            e = F.normalize(self.out(torch.cat([h.mean(-1), h.std(-1)], -1)), dim=-1)
            angle = torch.acos(e.clamp(-0.99, 0.99))
            return F.cross_entropy(8 * torch.cos(angle + 0.2 * F.one_hot(label, 4).to(x.dtype)), label)
    return M(), {"x": randn(3, 3, 12), "label": torch.tensor([0, 3, 1])}, {}


@case(16, 17, kept=17)
def spatial_transformer():
    """A picture sampled at places that the model computes, with every padding and mode."""
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.theta, self.flow = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(3, 6), nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x, base):
            theta = self.theta(self.conv(x).mean((2, 3))).view(-1, 2, 3)
            grid = torch.einsum("bij,hwj->bhwi", theta, base) + self.flow(x).permute(0, 2, 3, 1)
            y = F.grid_sample(x, grid, align_corners=False) + F.grid_sample(x, grid, padding_mode="border", align_corners=True)
            y = y + F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
            return weighted(y + F.grid_sample(x, grid, mode="nearest", align_corners=True) + F.grid_sample(x, grid, mode="bicubic", align_corners=True))
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 5), torch.linspace(-1, 1, 6), indexing="ij")
    return M(), {"x": randn(2, 2, 5, 6), "base": torch.stack([columns, rows, torch.ones_like(rows)], -1)}, {}


@case(13, 17, kept=17)
def bags():
    """Embedding bags, which are exported as loops, and a scripted loop."""
    @torch.jit.script
    def steps(x, w):
        h = torch.zeros_like(x[0])
        for i in range(x.size(0)):
            h = torch.tanh(x[i] + h @ w)
        return h

    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.sum, self.mean, self.most = (nn.EmbeddingBag(8, 4, mode=m) for m in ("sum", "mean", "max"))
            self.w = nn.Parameter(randn(4, 4))

        def forward(self, ids, shares):
            bags = self.sum(ids, per_sample_weights=shares) + self.mean(ids) + self.most(ids)
            return weighted(steps(bags, self.w))
    return M(), {"ids": torch.randint(0, 8, (3, 4)), "shares": torch.rand(3, 4)}, {}


# Operations.

def each(name, x, parts, opsets=(13, 17), **params):
    """One case per expression, so that one that cannot be exported does not hide the others."""
    for k, f in parts.items():
        def build(f=f):
            return Run(lambda s, v: weighted(f(s, v)), **{n: p.clone() for n, p in params.items()}), {"x": x.clone()}, {"do_constant_folding": False}
        CASES[f"{name}_{k}"] = (build, opsets, None)


J = torch.tensor([1, 0, 1])
torch.manual_seed(7)
each("index", randn(2, 3, 4), {
    "select": lambda s, x: x.index_select(2, J), "list": lambda s, x: x[:, J], "pairs": lambda s, x: x[J, J + 1], "mixed": lambda s, x: x[J, :, J],
    "negative_step": lambda s, x: x.flip(2)[:, :, ::2], "put": lambda s, x: torch.index_put(x, (J[:2], J[:2]), s.v),
    "scatter": lambda s, x: x.scatter(1, torch.tensor([[[0, 1, 2, 0]], [[2, 1, 0, 1]]]), s.u),
    "scatter_value": lambda s, x: x.scatter(1, torch.tensor([[[0, 1, 2, 0]], [[2, 1, 0, 1]]]), 3.0) ** 2,
    "topk": lambda s, x: x.topk(2, 1)[0], "smallest": lambda s, x: x.topk(2, 2, largest=False)[0], "sort": lambda s, x: x.sort(-1, descending=True)[0],
    "max": lambda s, x: x.max(1)[0], "min": lambda s, x: x.min(2, keepdim=True)[0], "amax": lambda s, x: x.amax((0, 2)), "median": lambda s, x: x.sort(1)[0][:, 1],
    "unfold": lambda s, x: x.unfold(2, 2, 1), "roll": lambda s, x: x.roll((1, 2), (1, 2)), "where": lambda s, x: torch.where(x > 0, x * 2, s.u.sum() * x),
    "tril": lambda s, x: x.tril(), "triu": lambda s, x: x.triu(1), "diagonal": lambda s, x: torch.diagonal(x[0], 0, 0, 1),
    "one_hot": lambda s, x: F.one_hot(J, 2).to(x.dtype) @ x[:, 0], "index_add": lambda s, x: x.index_add(1, J[:2], torch.cat([s.u, s.u], 1)),
    "set_slice": lambda s, x: set_slice(x, s.u), "masked_select_sum": lambda s, x: x.masked_fill(x < 0, 0), "ellipsis": lambda s, x: x[..., None, 1:3],
    "repeat": lambda s, x: x.repeat(2, 1, 3), "repeat_interleave": lambda s, x: x.repeat_interleave(3, 1), 
    "expand": lambda s, x: x[:, :, None].expand(-1, -1, 5, -1), "bucket": lambda s, x: s.v[(x > 0).long()[0, 0]], "masked_scatter": lambda s, x: x.masked_scatter(x > 0, s.big),
    "nonzero": lambda s, x: x.flatten()[torch.nonzero(x.flatten() > 0).squeeze(1)].sum()[None],
    "boolean": lambda s, x: x[x > 0].pow(2).sum()[None], "embedding_bag": lambda s, x: F.embedding_bag(J, x[0], torch.tensor([0, 2]), mode="mean"),
    "gather_nd": lambda s, x: x[torch.tensor([[0, 1], [1, 1]]), torch.tensor([[2, 2], [0, 1]]), torch.tensor([[3, 0], [0, 2]])],
}, v=randn(2, 4), w=randn(3, 4), u=randn(2, 1, 4), big=randn(24))


def set_slice(x, u):
    x = x.clone()
    x[:, 1:2] = u
    x[:, :, 0] = 2 * x[:, :, 1]
    return x


each("unary", torch.rand(3, 4) * 1.2 - 0.6, {
    f.__name__: (lambda s, x, f=f: f(x * s.w)) for f in (
        torch.sin, torch.cos, torch.tan, torch.asin, torch.acos, torch.atan, torch.tanh, 
        torch.exp, torch.erf, torch.sigmoid, torch.abs, torch.neg, torch.square, F.softplus, F.gelu, F.silu, F.mish,
        F.hardswish, F.hardsigmoid, F.hardtanh, F.elu, F.selu, F.celu, F.leaky_relu, F.relu6, F.softsign, F.logsigmoid, F.tanhshrink,
        F.hardshrink, F.softshrink, torch.sign, torch.floor, torch.round, torch.special.expit)
}, w=torch.rand(4) + 0.5)
each("positive", torch.rand(3, 4) + 0.5, {
    "log": lambda s, x: torch.log(x), "log2": lambda s, x: torch.log2(x), "log10": lambda s, x: torch.log10(x), "log1p": lambda s, x: torch.log1p(x),
    "sqrt": lambda s, x: x.sqrt(), "rsqrt": lambda s, x: x.rsqrt(), "reciprocal": lambda s, x: 1 / x, "pow": lambda s, x: x ** s.w, "rpow": lambda s, x: 2 ** x,
    "cube": lambda s, x: x ** 3, "pow_half": lambda s, x: x ** 0.5, "pow_negative": lambda s, x: x ** -1.5, "lgamma_free": lambda s, x: x * torch.log(x),
    "remainder": lambda s, x: torch.remainder(x * 3, 0.7), "fmod": lambda s, x: torch.fmod(x * 3, 0.7), "floor_divide": lambda s, x: x * torch.floor(x * 3),
    "div_mode": lambda s, x: x + torch.div(x * 5, s.w, rounding_mode="floor"), "addcmul": lambda s, x: torch.addcmul(x, x, s.w, value=0.5),
    "lerp": lambda s, x: torch.lerp(x, s.w, 0.3), 
    "maximum": lambda s, x: torch.maximum(x, s.w), "minimum": lambda s, x: torch.minimum(x, s.w), "clamp": lambda s, x: x.clamp(0.7, 1.2),
    "clamp_tensor": lambda s, x: torch.clamp(x, min=s.w), "addmm": lambda s, x: torch.addmm(s.w, x, x.t()[:, :3].matmul(x), beta=0.5, alpha=2), "baddbmm": lambda s, x: torch.baddbmm(x[None], x[None], x.t()[None] @ x[None], beta=0.3, alpha=0.7),
}, w=torch.rand(4) + 0.6)
RM, RV = randn(3), torch.rand(3) + 0.5
each("reduce", randn(2, 3, 4), {
    "mean": lambda s, x: x.mean((0, 2)), "sum": lambda s, x: x.sum(1, keepdim=True), "prod": lambda s, x: x.prod(1), "var": lambda s, x: x.var(2), "std": lambda s, x: x.std((1, 2), unbiased=False), "logsumexp": lambda s, x: x.logsumexp(1),
    "norm": lambda s, x: x.norm(dim=2), "norm1": lambda s, x: x.norm(1, dim=2), "frobenius": lambda s, x: torch.norm(x)[None], "linalg": lambda s, x: torch.linalg.norm(x, dim=1), "cumsum": lambda s, x: x.cumsum(1), "cumsum_reverse": lambda s, x: x.flip(2).cumsum(2).flip(2),
    "softmax": lambda s, x: x.softmax(1), "log_softmax": lambda s, x: x.log_softmax(0), "softmin": lambda s, x: F.softmin(x, 2), "gumbel_free": lambda s, x: F.normalize(x, p=2, dim=1), "normalize1": lambda s, x: F.normalize(x, p=1, dim=2), "cosine": lambda s, x: F.cosine_similarity(x, s.w, 2),
    "cdist": lambda s, x: torch.cdist(x, s.w), "pairwise": lambda s, x: F.pairwise_distance(x, s.w), "var_mean": lambda s, x: sum(torch.var_mean(x, 1)), "einsum3": lambda s, x: torch.einsum("bij,bik,j->bjk", x, s.w, s.g), "einsum_trace": lambda s, x: torch.einsum("bii->b", x[:, :, :3]), "einsum_diagonal": lambda s, x: torch.einsum("bii->bi", x[:, :, :3]), "einsum_outer": lambda s, x: torch.einsum("bij,k->bkj", x, s.g), "einsum_ellipsis": lambda s, x: torch.einsum("...ij,...kj->...ik", x, s.w),
    "layer_norm": lambda s, x: F.layer_norm(x, (4,), s.g, s.h), "layer_norm2": lambda s, x: F.layer_norm(x, (3, 4), s.w[0], s.w[1]), "layer_norm_plain": lambda s, x: F.layer_norm(x, (4,)), "group_norm": lambda s, x: F.group_norm(x, 3), "instance_norm": lambda s, x: F.instance_norm(x), "batch_norm": lambda s, x: F.batch_norm(x, RM.to(x.dtype), RV.to(x.dtype), s.h3, s.g3), "local_response": lambda s, x: F.local_response_norm(x, 3, alpha=0.1), "matrix_power": lambda s, x: x[:, :, :3] @ x[:, :, :3] @ x[:, :, :3], "tensordot": lambda s, x: torch.tensordot(x, s.w, ([0, 2], [0, 2])), "outer": lambda s, x: torch.outer(x[0, 0], s.g), "dot": lambda s, x: torch.dot(x[0, 0], s.g)[None], "mv": lambda s, x: x[0] @ s.g, "vm": lambda s, x: s.g @ x[0].t(), "meshgrid": lambda s, x: sum(torch.meshgrid(x[0, 0], s.g)), "glu": lambda s, x: F.glu(x), "movedim": lambda s, x: x.movedim(0, 2) * s.g3[:, None, None], "nan_to_num": lambda s, x: torch.nan_to_num(x) * 2, "std_mean_pool": lambda s, x: torch.cat([x.mean(2), x.std(2)], 1), "aminmax": lambda s, x: x.amax(2) - x.amin(2), "cross": lambda s, x: torch.cross(x, s.w, 1), "all_dims_max": lambda s, x: x.max()[None], "argmax_free": lambda s, x: x * (x == x.max(2, keepdim=True)[0]).to(x.dtype), "numel": lambda s, x: x.sum() / x.numel() + 0 * x, "new_full": lambda s, x: x + x.new_full((3, 4), 2.0), "im2col": lambda s, x: F.unfold(x[None], 2), "grid_sample": lambda s, x: F.grid_sample(x[None], (s.grid.tanh())[None], align_corners=False), "alpha_blend": lambda s, x: torch.sigmoid(s.g) * x + (1 - torch.sigmoid(s.g)) * s.w,
}, opsets=(13, 16, 17), w=randn(2, 3, 4), g=randn(4), h=randn(4), g3=randn(3), h3=randn(3), grid=randn(3, 3, 2))
WEIGHT = torch.rand(4)
LABEL, SOFT = torch.tensor([1, 0, 2]), torch.rand(3, 4).softmax(-1)
each("loss", randn(3, 4), {
    "cross_entropy": lambda s, x: F.cross_entropy(x, LABEL)[None], "class_weight": lambda s, x: F.cross_entropy(x, LABEL, weight=WEIGHT.to(x.dtype))[None], "none": lambda s, x: F.cross_entropy(x, LABEL, reduction="none"),
    "nll": lambda s, x: F.nll_loss(x.log_softmax(1), LABEL, reduction="sum")[None],     "kl": lambda s, x: F.kl_div(x.log_softmax(1), SOFT.to(x.dtype), reduction="batchmean")[None], "kl_log": lambda s, x: F.kl_div(x.log_softmax(1), SOFT.to(x.dtype).log(), log_target=True)[None], "gaussian": lambda s, x: F.gaussian_nll_loss(x, s.w.expand(3, 4), x ** 2 + 0.1)[None], "hinge": lambda s, x: F.relu(1 - x).mean()[None], }, w=torch.rand(4))
