"""Forward pass of a Llama, Qwen2 or Qwen3 model in float64, for the numbers in expected.json.

python3 reference.py DIR...        (needs numpy; DIR as written by the example lab_export)

Prints a JSON object: for each folder's name the logits after PROMPT. Plain and slow on purpose: attention over whole
matrices, no cache, nothing shared with the engine.
"""

import json
import pathlib
import struct
import sys

import numpy as np

PROMPT = [256] + list("The reference computes every position at once, in double precision.".encode())


def tensors(folder):
    raw = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        assert entry["dtype"] == "F32"
        start, end = entry["data_offsets"]
        data = np.frombuffer(raw[8 + length + start : 8 + length + end], dtype="<f4")
        yield name, data.reshape(entry["shape"]).astype(np.float64)


def norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rotate(x, angles):
    half = x.shape[-1] // 2
    low, high = x[..., :half], x[..., half:]
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], -1)


def forward(config, w, tokens):
    d, heads, groups = config["head_dim"], config["num_attention_heads"], config["num_key_value_heads"]
    eps, n = config["rms_norm_eps"], len(tokens)
    frequencies = config["rope_theta"] ** (-2.0 * np.arange(d // 2) / d)
    angles = np.arange(n)[:, None] * frequencies
    x = w["model.embed_tokens.weight"][tokens]
    for layer in range(config["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        h = norm(x, w[p + "input_layernorm.weight"], eps)
        parts = {}
        for part, count in (("q", heads), ("k", groups), ("v", groups)):
            y = h @ w[p + f"self_attn.{part}_proj.weight"].T
            y = y + w.get(p + f"self_attn.{part}_proj.bias", 0.0)
            y = y.reshape(n, count, d)
            if part != "v":
                if p + f"self_attn.{part}_norm.weight" in w:
                    y = norm(y, w[p + f"self_attn.{part}_norm.weight"], eps)
                y = rotate(y, angles)
            parts[part] = np.repeat(y, heads // count, axis=1)
        scores = np.einsum("ihd,jhd->hij", parts["q"], parts["k"]) / np.sqrt(d)
        scores = np.where(np.tril(np.ones((n, n), bool)), scores, -np.inf)
        p_ij = np.exp(scores - scores.max(-1, keepdims=True))
        p_ij /= p_ij.sum(-1, keepdims=True)
        mixed = np.einsum("hij,jhd->ihd", p_ij, parts["v"]).reshape(n, heads * d)
        x = x + mixed @ w[p + "self_attn.o_proj.weight"].T
        h = norm(x, w[p + "post_attention_layernorm.weight"], eps)
        gate, up = h @ w[p + "mlp.gate_proj.weight"].T, h @ w[p + "mlp.up_proj.weight"].T
        x = x + (gate / (1.0 + np.exp(-gate)) * up) @ w[p + "mlp.down_proj.weight"].T
    x = norm(x[-1], w["model.norm.weight"], eps)
    return x @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T


def main():
    result = {"prompt": PROMPT, "logits": {}}
    for folder in map(pathlib.Path, sys.argv[1:]):
        config = json.loads((folder / "config.json").read_text())
        logits = forward(config, dict(tensors(folder)), PROMPT)
        result["logits"][folder.name] = [float(f"{x:.9g}") for x in logits]
    json.dump(result, sys.stdout)
    print()


main()
