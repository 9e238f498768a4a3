"""Times onnxruntime, one command a line, so that `compare` can take turns with it.

    ort_worker.py CORE                     CORE: the core to stay on, or - for any

    load NAME FILE                         -> ok MILLISECONDS
    time NAME TEXTS TOKENS SECONDS         -> MEDIAN BEST of `session.run` for the whole batch, in microseconds
    version                                -> onnxruntime's version

Whatever goes wrong is answered `error WORDS`. One thread; the inputs are made once for each command and not timed; pooling is
not in the graph, so onnxruntime is spared it.
"""

import os
import sys
import time

import numpy as np
import onnxruntime

# As in askonce_models::bench::Bencher.
WARM_UPS, FEWEST = 2, 5


def load(sessions, name, path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    begin = time.perf_counter()
    sessions[name] = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return f"ok {(time.perf_counter() - begin) * 1e3:.1f}"


def times_us(session, texts, tokens, seconds):
    ids = np.tile(np.arange(1, tokens + 1, dtype=np.int64), (texts, 1))
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    for _ in range(WARM_UPS):
        session.run(None, inputs)
    times, begin = [], time.perf_counter_ns()
    while len(times) < FEWEST or time.perf_counter_ns() - begin < seconds * 1e9:
        one = time.perf_counter_ns()
        session.run(None, inputs)
        times.append(time.perf_counter_ns() - one)
    return f"{np.median(times) / 1e3:.1f} {min(times) / 1e3:.1f}"


def answer(sessions, words):
    match words:
        case ["load", name, path]:
            return load(sessions, name, path)
        case ["time", name, texts, tokens, seconds]:
            return times_us(sessions[name], int(texts), int(tokens), float(seconds))
        case ["version"]:
            return onnxruntime.__version__
    return f"error no such command: {' '.join(words)}"


def main():
    if sys.argv[1] != "-":
        os.sched_setaffinity(0, {int(sys.argv[1])})
    sessions = {}
    for line in sys.stdin:
        try:
            # A path may hold spaces.
            words = answer(sessions, line.strip().split(maxsplit=2 if line.startswith("load") else -1))
        except Exception as error:  # Whatever it is, the other side has to hear of it.
            words = f"error {error}"
        print(" ".join(words.splitlines()), flush=True)


if __name__ == "__main__":
    main()
