#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp as llama-cpp-python brings it: ggml's products of quantised weights, and whole random models.

It must be built for the processor at hand, as bench/setup-peers does; without AVX-512 where the processor has it, every
comparison would flatter us, so that is refused.
"""
import ctypes
import pathlib
import sys

from protocol import Item, Job, Unsupported, error_db, serve, stopwatch

PRODUCT_TYPES = ["Q8_0", "Q6_K", "Q4_K", "Q4_0", "IQ4_NL", "F16", "BF16"]
MODEL_TYPES = ["Q8_0", "Q6_K", "Q4_K"]


def load(job):
    sys.path = [folder for folder in sys.path if folder != str(pathlib.Path(__file__).parent)]  # this file has its name
    import llama_cpp
    job.version = f"llama-cpp-python {llama_cpp.__version__}"
    built = llama_cpp.llama_print_system_info().decode()
    flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    for flag, name in {"avx512f": "AVX512", "avx512vbmi": "AVX512_VBMI", "avx512_vnni": "AVX512_VNNI",
                       "avx512_bf16": "AVX512_BF16", "avx2": "AVX2", "fma": "FMA"}.items():
        if flag in flags and f"{name} = 1" not in built:
            raise Unsupported(f"llama.cpp was built without {name}; build it with bench/setup-peers")
    return llama_cpp


# ---------------------------------------------------------------- products

class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


class Plan(ctypes.Structure):
    """ggml_cplan, with room for members of later versions."""
    _fields_ = [("work_size", ctypes.c_size_t), ("work_data", ctypes.c_void_p), ("n_threads", ctypes.c_int),
                ("rest", ctypes.c_byte * 128)]


class Ggml:
    def __init__(self, llama_cpp):
        folder = pathlib.Path(llama_cpp.__file__).parent / "lib"
        base, cpu = (ctypes.CDLL(str(folder / f"libggml-{name}.so")) for name in ("base", "cpu"))
        pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64

        def declare(library, name, result, *arguments):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name.removeprefix("ggml_"), function)
        declare(base, "ggml_init", pointer, InitParams)
        declare(base, "ggml_new_tensor_2d", pointer, pointer, ctypes.c_int, number, number)
        declare(base, "ggml_mul_mat", pointer, pointer, pointer, pointer)
        declare(base, "ggml_get_data", pointer, pointer)
        declare(base, "ggml_row_size", size, ctypes.c_int, number)
        declare(base, "ggml_quantize_chunk", size, ctypes.c_int, pointer, pointer, number, number, number, pointer)
        declare(base, "ggml_new_graph_custom", pointer, pointer, size, ctypes.c_bool)
        declare(base, "ggml_graph_overhead_custom", size, size, ctypes.c_bool)
        declare(base, "ggml_build_forward_expand", None, pointer, pointer)
        declare(cpu, "ggml_cpu_init", None)
        declare(cpu, "ggml_graph_plan", Plan, pointer, ctypes.c_int, pointer)
        declare(cpu, "ggml_graph_compute", ctypes.c_int, pointer, ctypes.POINTER(Plan))
        self.cpu_init()


def product_item(ggml, job, name, number, w, x, exact):
    """One graph of as many products as there are copies of the weights."""
    rows, cols = w.shape
    row_bytes = ggml.row_size(number, cols)
    copies = job.copies(rows * row_bytes)
    nodes = 2 * copies + 16
    memory = copies * (rows * row_bytes + 4 * rows * len(x) + 4096) + x.nbytes
    memory += ggml.graph_overhead_custom(nodes, False)
    context = ggml.init(InitParams(memory + (1 << 20), None, False))
    inputs = ggml.new_tensor_2d(context, 0, cols, len(x))
    ctypes.memmove(ggml.get_data(inputs), x.ctypes.data, x.nbytes)
    graph, outputs, first = ggml.new_graph_custom(context, nodes, False), [], None
    for _ in range(copies):
        weights = ggml.new_tensor_2d(context, number, cols, rows)
        if first is None:
            first = ggml.get_data(weights)
            ggml.quantize_chunk(number, w.ctypes.data, first, 0, rows, cols, None)
        else:
            ctypes.memmove(ggml.get_data(weights), first, rows * row_bytes)
        outputs.append(ggml.mul_mat(context, weights, inputs))
        ggml.build_forward_expand(graph, outputs[-1])
    plan = ggml.graph_plan(graph, job["threads"], None)
    work = ctypes.create_string_buffer(max(plan.work_size, 1))
    plan.work_data = ctypes.addressof(work)

    def one_round(keep=(work, context)):
        return stopwatch(ggml.graph_compute, graph, ctypes.byref(plan))[0] / copies
    one_round()
    import numpy as np
    result = np.ctypeslib.as_array((ctypes.c_float * (rows * len(x))).from_address(ggml.get_data(outputs[0])))
    values = {"flops": 2 * rows * cols * len(x),
              "signal_to_error_db": error_db(result.reshape(len(x), rows)[:len(exact)], exact)}
    if len(x) == 1:
        values["bytes"] = rows * row_bytes
    return Item(name, one_round, values)


def product(job: Job):
    ggml = Ggml(load(job))
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    w, x, exact, items = job.array("w"), job.array("x"), job.array("y"), []
    for name in PRODUCT_TYPES:
        kind = GGMLQuantizationType[name]
        if w.shape[1] % GGML_QUANT_SIZES[kind][0] == 0:
            items.append(product_item(ggml, job, name, kind.value, w, x, exact))
    return items


# ---------------------------------------------------------------- models

def random_blocks(rng, kind, count):
    """So many blocks of a quantised type, with small scales."""
    import numpy as np
    from gguf import GGML_QUANT_SIZES
    _, size = GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (count, size), np.uint8)
    scale = np.frombuffer(np.float16({"Q8_0": 2e-4, "Q6_K": 1e-5, "Q4_K": 4e-5}[kind.name]).tobytes(), np.uint8)
    for at in {"Q8_0": [0], "Q6_K": [208], "Q4_K": [0, 2]}[kind.name]:
        blocks[:, at:at + 2] = scale
    return blocks


def write_model(path, job, kind):
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGUFWriter
    rng = np.random.default_rng(1)
    pool = random_blocks(rng, kind, 1 << 16)
    block, size = GGML_QUANT_SIZES[kind]
    part = path.with_suffix(f".{kind.name}.part")
    writer = GGUFWriter(part, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(job["hidden"])
    writer.add_block_count(job["layers"])
    writer.add_feed_forward_length(job["ffn"])
    writer.add_head_count(job["heads"])
    writer.add_head_count_kv(job["kv_heads"])
    writer.add_rope_dimension_count(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(job["vocabulary"])
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>"] + [f"t{i}" for i in range(3, job["vocabulary"])])
    writer.add_token_scores([0.0] * job["vocabulary"])
    writer.add_token_types([2, 3, 3] + [1] * (job["vocabulary"] - 3))

    def matrix(name, rows, cols):
        blocks = np.resize(pool, (rows * cols // block, size))
        writer.add_tensor(f"{name}.weight", blocks.reshape(rows, cols // block * size), raw_dtype=kind)

    def norm(name):
        writer.add_tensor(f"{name}.weight", np.ones(job["hidden"], np.float32))
    hidden, ffn, keys = job["hidden"], job["ffn"], 64 * job["kv_heads"]
    matrix("token_embd", job["vocabulary"], hidden)
    matrix("output", job["vocabulary"], hidden)
    norm("output_norm")
    for layer in range(job["layers"]):
        norm(f"blk.{layer}.attn_norm")
        norm(f"blk.{layer}.ffn_norm")
        for name, rows, cols in [("attn_q", hidden, hidden), ("attn_k", keys, hidden), ("attn_v", keys, hidden),
                                 ("attn_output", hidden, hidden), ("ffn_gate", ffn, hidden), ("ffn_up", ffn, hidden),
                                 ("ffn_down", hidden, ffn)]:
            matrix(f"blk.{layer}.{name}", rows, cols)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.rename(path)


def weights_error_db(ggml, job, kind):
    """What a type leaves of normally distributed weights, as those of the models that it is compared with."""
    import numpy as np
    from gguf import quants
    rows, cols = 64, job["hidden"]
    w = np.random.default_rng(1).normal(0, cols ** -0.5, (rows, cols)).astype(np.float32)
    stored = np.empty((rows, ggml.row_size(kind.value, cols)), np.uint8)
    ggml.quantize_chunk(kind.value, w.ctypes.data, stored.ctypes.data, 0, rows, cols, None)
    return error_db(quants.dequantize(stored, kind), w)


class Model:
    def __init__(self, llama_cpp, path, job):
        self.lib, capacity = llama_cpp, job["prompt"] + job["tokens"]
        params = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            raise Unsupported(f"{path} cannot be loaded")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = capacity, job["prompt"], job["prompt"]
        params.n_threads = params.n_threads_batch = job["threads"]
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.vocabulary = job["vocabulary"]

    def evaluate(self, first, count):
        tokens = (self.lib.llama_token * count)(*[3 + (first + i) * 7919 % (self.vocabulary - 3) for i in range(count)])
        if self.lib.llama_decode(self.context, self.lib.llama_batch_get_one(tokens, count)) != 0:
            raise RuntimeError("llama_decode failed")
        self.lib.llama_get_logits_ith(self.context, -1)  # waits

    def forget(self, position):
        self.lib.llama_memory_seq_rm(self.memory, 0, position, -1)


def models(job):
    llama_cpp = load(job)
    ggml = Ggml(llama_cpp)
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    for name in MODEL_TYPES:
        kind = GGMLQuantizationType[name]
        if any(job[side] % GGML_QUANT_SIZES[kind][0] for side in ("hidden", "ffn")):
            continue  # blocks do not fit the rows
        path = job.cache / f"random-{job['hidden']}-{job['layers']}-{job['vocabulary']}-{name}.gguf"
        if not path.exists():
            write_model(path, job, kind)
        values = {"signal_to_error_db": weights_error_db(ggml, job, kind)}
        yield name, path.stat().st_size, Model(llama_cpp, path, job), values


def embedding_bytes(job, name):
    """Of the embedding a token reads one row."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    block, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    return job["vocabulary"] * job["hidden"] // block * size


def decode(job: Job):
    def item(name, size, model, values):
        model.evaluate(0, job["prompt"])

        def one_round():
            model.forget(job["prompt"])

            def generate():
                for i in range(job["tokens"]):
                    model.evaluate(job["prompt"] + i, 1)
            return stopwatch(generate)[0] / job["tokens"]
        return Item(name, one_round, {**values, "tokens": 1, "bytes": size - embedding_bytes(job, name)})
    return [item(*made) for made in models(job)]


def prefill(job: Job):
    def item(name, _, model, values):
        def one_round():
            model.forget(0)
            return stopwatch(model.evaluate, 0, job["prompt"])[0]
        return Item(name, one_round, {**values, "tokens": job["prompt"]})
    return [item(*made) for made in models(job)]


if __name__ == "__main__":
    serve({"matvec": product, "matmul": product, "decode": decode, "prefill": prefill})
