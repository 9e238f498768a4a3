"""Writes a BERT-family sentence model as an ONNX graph: the opponent of `compare`.

    bert_onnx.py MODEL_DIR model.onnx                                  # 32-bit floats
    bert_onnx.py MODEL_DIR model.onnx --quantize model.int8.onnx       # and its dynamic int8 form
    bert_onnx.py MODEL_DIR model.onnx --form plain                     # without the fused operators

Input: `input_ids` and `attention_mask`, int64, (texts, tokens). Output: `last_hidden_state`, (texts, tokens, width).

onnxruntime is to be met at its best. So the graph is written with the operators that its own optimiser for
transformers would put in (attention, skip + layer norm, bias + GELU each as one); `--form plain` writes the same
network in standard operators, to see what that is worth. Either form is checked against a forward pass in numpy.
"""

import argparse
import json
import logging
import math
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

FUSED = "com.microsoft"
# Ids for the check: several lengths, a padded row among them.
CHECK_LENGTHS = (3, 8, 16, 40)
CHECK_COSINE = 0.9999


class Model:
    """A model folder: its configuration, and its tensors without the optional `bert.` before their names."""

    def __init__(self, folder):
        config = json.loads((folder / "config.json").read_text())
        self.layers = config["num_hidden_layers"]
        self.width = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.epsilon = config.get("layer_norm_eps", 1e-12)
        self.vocabulary = config["vocab_size"]
        if config.get("hidden_act", "gelu") != "gelu":
            raise SystemExit(f"hidden_act is {config['hidden_act']}; only gelu can be written")
        tensors = load_file(folder / "model.safetensors")
        self.tensors = {name.removeprefix("bert."): value.astype(np.float32) for name, value in tensors.items()}

    def __getitem__(self, name):
        return self.tensors[name]

    def linear(self, name):
        """Weights as (from, to), and the bias."""
        return np.ascontiguousarray(self[f"{name}.weight"].T), self[f"{name}.bias"]

    def norm(self, name):
        return self[f"{name}.weight"], self[f"{name}.bias"]


class Graph:
    """Nodes and initialisers in the making. Every method returns the name of its result."""

    def __init__(self):
        self.nodes, self.initialisers, self.count = [], [], 0

    def constant(self, value, name=None):
        name = name or f"c{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(self, kind, *inputs, outputs=1, domain="", **attributes):
        names = [f"v{self.count + i}" for i in range(outputs)]
        self.count += outputs
        node = helper.make_node(kind, list(inputs), names, name=f"{kind}_{names[0]}", domain=domain, **attributes)
        self.nodes.append(node)
        return names[0]

    def linear(self, x, weight, bias):
        return self.op("Add", self.op("MatMul", x, self.constant(weight)), self.constant(bias))


def embeddings(graph, model):
    word = graph.op("Gather", graph.constant(model["embeddings.word_embeddings.weight"]), "input_ids")
    # Every token is of kind 0: a constant, added to the positions once and for all.
    table = model["embeddings.position_embeddings.weight"] + model["embeddings.token_type_embeddings.weight"][0]
    tokens = graph.op("Gather", graph.op("Shape", "input_ids"), graph.constant(np.array([1], np.int64)))
    position = graph.op(
        "Slice", graph.constant(table), graph.constant(np.array([0], np.int64)), tokens, graph.constant(np.array([0], np.int64))
    )
    scale, shift = model.norm("embeddings.LayerNorm")
    return graph.op(
        "LayerNormalization",
        graph.op("Add", word, position),
        graph.constant(scale),
        graph.constant(shift),
        epsilon=model.epsilon,
    )


def self_attention(model, layer):
    return [model.linear(f"encoder.layer.{layer}.attention.self.{part}") for part in ("query", "key", "value")]


def fused_layer(graph, model, x, mask, layer):
    """One encoder layer in onnxruntime's own operators."""
    base = f"encoder.layer.{layer}"
    qkv = self_attention(model, layer)
    weight = graph.constant(np.concatenate([weight for weight, _ in qkv], axis=1))
    bias = graph.constant(np.concatenate([bias for _, bias in qkv]))
    context = graph.op("Attention", x, weight, bias, mask, domain=FUSED, num_heads=model.heads)

    def skip_norm(y, bias, skip, name):
        scale, shift = (graph.constant(value) for value in model.norm(name))
        return graph.op(
            "SkipLayerNormalization", y, skip, scale, shift, graph.constant(bias), domain=FUSED, epsilon=model.epsilon
        )

    weight, bias = model.linear(f"{base}.attention.output.dense")
    y = skip_norm(graph.op("MatMul", context, graph.constant(weight)), bias, x, f"{base}.attention.output.LayerNorm")
    weight, bias = model.linear(f"{base}.intermediate.dense")
    inner = graph.op("BiasGelu", graph.op("MatMul", y, graph.constant(weight)), graph.constant(bias), domain=FUSED)
    weight, bias = model.linear(f"{base}.output.dense")
    return skip_norm(graph.op("MatMul", inner, graph.constant(weight)), bias, y, f"{base}.output.LayerNorm")


def plain_layer(graph, model, x, mask, layer):
    """One encoder layer in standard operators, as an exporter writes it."""
    base, size = f"encoder.layer.{layer}", model.width // model.heads
    split = graph.constant(np.array([0, 0, model.heads, size], np.int64))

    def head(number, order):
        weight, bias = self_attention(model, layer)[number]
        return graph.op("Transpose", graph.op("Reshape", graph.linear(x, weight, bias), split), perm=order)

    scores = graph.op("MatMul", head(0, [0, 2, 1, 3]), head(1, [0, 2, 3, 1]))
    scores = graph.op("Div", scores, graph.constant(np.float32(math.sqrt(size))))
    shares = graph.op("Softmax", graph.op("Add", scores, mask), axis=-1)
    context = graph.op("Transpose", graph.op("MatMul", shares, head(2, [0, 2, 1, 3])), perm=[0, 2, 1, 3])
    context = graph.op("Reshape", context, graph.constant(np.array([0, 0, model.width], np.int64)))

    def skip_norm(y, skip, name):
        scale, shift = (graph.constant(value) for value in model.norm(name))
        return graph.op("LayerNormalization", graph.op("Add", y, skip), scale, shift, epsilon=model.epsilon)

    y = graph.linear(context, *model.linear(f"{base}.attention.output.dense"))
    y = skip_norm(y, x, f"{base}.attention.output.LayerNorm")
    inner = graph.op("Gelu", graph.linear(y, *model.linear(f"{base}.intermediate.dense")))
    return skip_norm(graph.linear(inner, *model.linear(f"{base}.output.dense")), y, f"{base}.output.LayerNorm")


def plain_mask(graph):
    """0 for a token, a large negative number for padding, (texts, 1, 1, tokens)."""
    wide = graph.op("Unsqueeze", "attention_mask", graph.constant(np.array([1, 2], np.int64)))
    padding = graph.op("Sub", graph.constant(np.float32(1)), graph.op("Cast", wide, to=TensorProto.FLOAT))
    return graph.op("Mul", padding, graph.constant(np.float32(-1e9)))


def build(model, form):
    graph = Graph()
    x = embeddings(graph, model)
    fused = form == "fused"
    mask = graph.op("Cast", "attention_mask", to=TensorProto.INT32) if fused else plain_mask(graph)
    for layer in range(model.layers):
        x = (fused_layer if fused else plain_layer)(graph, model, x, mask, layer)
    graph.nodes.append(helper.make_node("Identity", [x], ["last_hidden_state"], name="result"))
    shape = ["texts", "tokens"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*shape, model.width])
    built = helper.make_graph(graph.nodes, "bert", inputs, [output], graph.initialisers)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(FUSED, 1)]
    return helper.make_model(built, opset_imports=opsets, ir_version=10)


ERF = np.vectorize(math.erf, otypes=[np.float64])


def forward(model, ids):
    """The hidden state of one text, in 64-bit floats and as plainly as can be."""

    def linear(x, name):
        weight, bias = model.linear(name)
        return x @ weight.astype(np.float64) + bias

    def norm(x, name):
        scale, shift = model.norm(name)
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + model.epsilon) * scale + shift

    def split(x):
        return x.reshape(len(ids), model.heads, -1).transpose(1, 0, 2)

    x = model["embeddings.word_embeddings.weight"][ids].astype(np.float64)
    x = x + model["embeddings.position_embeddings.weight"][: len(ids)] + model["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    for layer in range(model.layers):
        base = f"encoder.layer.{layer}"
        q, k, v = (split(linear(x, f"{base}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        context = (shares @ v).transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(x + linear(context, f"{base}.attention.output.dense"), f"{base}.attention.output.LayerNorm")
        inner = linear(x, f"{base}.intermediate.dense")
        inner = inner * 0.5 * (1 + ERF(inner / math.sqrt(2)))
        x = norm(x + linear(inner, f"{base}.output.dense"), f"{base}.output.LayerNorm")
    return x


def pooled(hidden):
    mean = hidden.mean(0)
    return mean / np.linalg.norm(mean)


def cosines(model, path):
    """Of each check text, alone and padded among the others: the graph's pooled vector against numpy's."""
    random = np.random.default_rng(7)
    texts = [random.integers(999, model.vocabulary, length) for length in CHECK_LENGTHS]
    wanted = [pooled(forward(model, ids)) for ids in texts]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    longest = max(CHECK_LENGTHS)
    ids = np.zeros((len(texts), longest), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)], mask[row, : len(text)] = text, 1
    (together,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
    found = []
    for row, text in enumerate(texts):
        alone = {"input_ids": text[None].astype(np.int64), "attention_mask": np.ones((1, len(text)), np.int64)}
        for hidden in (session.run(None, alone)[0][0], together[row, : len(text)]):
            found.append(float(pooled(hidden.astype(np.float64)) @ wanted[row]))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir", type=Path, help="folder with config.json and model.safetensors")
    parser.add_argument("output", type=Path, help="the graph in 32-bit floats")
    parser.add_argument("--form", choices=("fused", "plain"), default="fused")
    parser.add_argument("--quantize", type=Path, metavar="FILE", help="write the dynamic int8 form too")
    parser.add_argument("--per-channel", action="store_true", help="a scale for each output: nearer to f32, not faster")
    args = parser.parse_args()

    model = Model(args.model_dir)
    onnx.save(build(model, args.form), args.output)
    found = cosines(model, args.output)
    print(f"{args.output.name}: cosine with numpy {min(found):.7f} at least, over {len(found)} vectors")
    if min(found) < CHECK_COSINE:
        sys.exit(f"expected {CHECK_COSINE} at least: the graph is not this model")
    if args.quantize:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        # It advises a preprocessing that does nothing for a graph without shapes to infer.
        logging.getLogger().setLevel(logging.ERROR)
        quantize_dynamic(
            args.output,
            args.quantize,
            weight_type=QuantType.QInt8,
            per_channel=args.per_channel,
            # Of the fused operators it cannot tell the type by itself.
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
        found = cosines(model, args.quantize)
        print(f"{args.quantize.name}: cosine with numpy {min(found):.4f} at least, {np.mean(found):.4f} on average")


if __name__ == "__main__":
    main()
