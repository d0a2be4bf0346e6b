"""Serves a GGUF model with llama.cpp's HTTP server, which PyPI's wheel xllamacpp links in (see install.sh).

usage: llamacpp.py --model M.gguf --port N [--parallel 4] [--ctx-size 2048] [--threads 1] [--batch-size 512]

Flags have the names of llama.cpp's own server (tools/server/README.md); --ctx-size is that of one slot.
"""

import argparse
import signal
import sys

import xllamacpp


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--model", required=True)
    args.add_argument("--port", type=int, required=True)
    args.add_argument("--parallel", type=int, default=4)
    args.add_argument("--ctx-size", type=int, default=2048)
    args.add_argument("--threads", type=int, default=1)
    args.add_argument("--batch-size", type=int, default=512)
    args.add_argument("--alias", default="tiny-random")
    args = args.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = args.model
    params.hostnames = ["127.0.0.1"]
    params.port = args.port
    params.n_parallel = args.parallel
    params.n_ctx = args.parallel * args.ctx_size
    params.n_batch = args.batch_size
    params.n_ubatch = args.batch_size
    params.cpuparams.n_threads = args.threads
    params.n_gpu_layers = 0
    params.model_alias = {args.alias}
    params.endpoint_metrics = True
    params.warmup = False
    server = xllamacpp.Server(params)
    print("listening on", server.listening_address, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        signal.pause()


main()
