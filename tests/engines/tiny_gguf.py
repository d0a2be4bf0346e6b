"""Writes a llama model of 0.2 M random parameters as GGUF, with nothing but the standard library.

usage: tiny_gguf.py OUT.gguf [SEED]

The layout is that of the GGUF specification (ggml, docs/gguf.md, version 3): magic, counts, typed key-value pairs,
tensor descriptions, and the data aligned to 32 bytes. The vocabulary holds every byte, so that every text has tokens,
and pieces of letters beside them.
"""

import random
import struct
import sys

U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
LAYERS, WIDTH, HEADS, INNER, CONTEXT = 2, 64, 4, 128, 8192
SPACE = "\u2581"


def vocabulary():
    """Tokens with score and type; the three special ones and the bytes first."""
    out = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    out += [(f"<0x{b:02X}>", 0.0, BYTE) for b in range(256)]
    syllables = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]
    pieces = [SPACE] + [chr(c) for c in range(33, 127)] + syllables + [SPACE + s for s in syllables]
    out += [(piece, -0.1 * i, NORMAL) for i, piece in enumerate(pieces)]
    return out


def text(s):
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind, v):
    if kind == STRING:
        return text(v)
    return struct.pack({U32: "<I", F32: "<f", BOOL: "<?", I32: "<i"}[kind], v)


def pair(key, kind, v):
    return text(key) + struct.pack("<I", kind) + value(kind, v)


def array(key, kind, values):
    head = text(key) + struct.pack("<IIQ", ARRAY, kind, len(values))
    return head + b"".join(value(kind, v) for v in values)


def main():
    path, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    draw = random.Random(seed)
    tokens = vocabulary()
    pairs = [
        pair("general.architecture", STRING, "llama"),
        pair("general.name", STRING, "tiny-random"),
        pair("general.file_type", U32, 0),
        pair("llama.context_length", U32, CONTEXT),
        pair("llama.embedding_length", U32, WIDTH),
        pair("llama.block_count", U32, LAYERS),
        pair("llama.feed_forward_length", U32, INNER),
        pair("llama.rope.dimension_count", U32, WIDTH // HEADS),
        pair("llama.attention.head_count", U32, HEADS),
        pair("llama.attention.head_count_kv", U32, HEADS),
        pair("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        pair("llama.vocab_size", U32, len(tokens)),
        pair("tokenizer.ggml.model", STRING, "llama"),
        array("tokenizer.ggml.tokens", STRING, [t[0] for t in tokens]),
        array("tokenizer.ggml.scores", F32, [t[1] for t in tokens]),
        array("tokenizer.ggml.token_type", I32, [t[2] for t in tokens]),
        pair("tokenizer.ggml.bos_token_id", U32, 1),
        pair("tokenizer.ggml.eos_token_id", U32, 2),
        pair("tokenizer.ggml.unknown_token_id", U32, 0),
        pair("tokenizer.ggml.add_bos_token", BOOL, True),
        pair("tokenizer.chat_template", STRING, "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"),
    ]
    # Dimensions in the order of the file: the innermost first.
    tensors = [("token_embd.weight", (WIDTH, len(tokens)), 1.0), ("output_norm.weight", (WIDTH,), None)]
    tensors.append(("output.weight", (WIDTH, len(tokens)), WIDTH**-0.5))
    for layer in range(LAYERS):
        name = f"blk.{layer}."
        tensors += [(name + n + ".weight", (WIDTH,), None) for n in ("attn_norm", "ffn_norm")]
        attention = ("attn_q", "attn_k", "attn_v", "attn_output")
        tensors += [(name + n + ".weight", (WIDTH, WIDTH), WIDTH**-0.5) for n in attention]
        tensors += [(name + n + ".weight", (WIDTH, INNER), WIDTH**-0.5) for n in ("ffn_gate", "ffn_up")]
        tensors.append((name + "ffn_down.weight", (INNER, WIDTH), INNER**-0.5))
    infos, data = b"", b""
    for name, dims, scale in tensors:
        count = dims[0] * (dims[1] if len(dims) > 1 else 1)
        values = [1.0] * count if scale is None else [draw.gauss(0, scale) for _ in range(count)]
        if name == "output.weight":
            # Special tokens and bytes are never the likeliest: an answer is text.
            values[: 259 * WIDTH] = [0.0] * (259 * WIDTH)
        infos += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, 0, len(data))
        data += struct.pack(f"<{count}f", *values)
        data += b"\0" * (-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs) + infos
    with open(path, "wb") as out:
        out.write(head + b"\0" * (-len(head) % 32) + data)


main()
