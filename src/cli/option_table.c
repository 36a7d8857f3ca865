// SPDX-License-Identifier: Apache-2.0
#include <helicoid/tokenizer.h>

#include "cli/options.h"
#include "cli/verbs.h"

enum {
    DEVICES = 1u << 0,
    COMPRESS = 1u << 1,
    INFO = 1u << 2,
    GENERATE = 1u << 3,
    PERPLEXITY = 1u << 4,
    LOGITS = 1u << 5,
    TOKENIZE = 1u << 6,
    VERIFY = 1u << 7,
    EXPORT = 1u << 8,
    KMEANS = 1u << 9,
    BENCH = 1u << 10,
    FFTCONV = 1u << 11,
    HYENA = 1u << 12,
    ALL = (1u << 13) - 1,
    MODELS = GENERATE | PERPLEXITY | LOGITS, // verbs that run a model
    WRITERS = COMPRESS | LOGITS | EXPORT | KMEANS | BENCH | FFTCONV | HYENA,
};

const verb_row verb_table[] = {
    {"devices", "", "List devices and why others cannot be used",
     "Lists every device of every backend with its type, driver, memory, subgroup size, the number of uses of matrix "
     "products that are tuned for it, and its features, and for each backend or device that cannot be used the reason.",
     "helicoid devices", run_devices},
    {"compress", "MODEL", "Compress a model",
     "Replaces each matrix by a codebook, one index a value and a short list of exact values. OUT is a Hugging Face "
     "folder, or one self-contained file where its name ends in .safetensors. Embeddings, norms and the output head stay "
     "exact unless --include names them. An interrupted run leaves OUT.part, which --resume continues.",
     "helicoid compress model/ -o model-hxq/", run_compress},
    {"info", "FILE", "Show what is in a model file",
     "Prints format, architecture, totals and a table of the tensors.",
     "helicoid info model-hxq/", run_info},
    {"generate", "MODEL", "Generate text",
     "Continues a prompt and writes the text to standard output as it comes. The prompt is TEXT, standard input with "
     "-p -, or token ids.",
     "helicoid generate model-hxq/ -p \"Once upon a time\" -n 100", run_generate},
    {"perplexity", "MODEL", "Measure perplexity on a text",
     "Scores every position after the first of each window of the text. With --against the distributions are also "
     "compared with those of a second model of the same vocabulary.",
     "helicoid perplexity model-hxq/ -f text.txt --against model/", run_perplexity},
    {"logits", "MODEL", "Write the logits of given tokens",
     "Evaluates tokens and writes their logits as an NPY array of f32 [tokens, vocabulary].",
     "helicoid logits model-hxq/ --tokens 1,2,3 -o logits.npy", run_logits},
    {"tokenize", "MODEL", "Show the token ids of a text",
     "Prints the ids that the model's tokenizer gives a text, in the form that --tokens takes.",
     "helicoid tokenize model/ -p \"Hello\"", run_tokenize},
    {"verify", "FILE", "Check a model file",
     "Recomputes the digests that compress and export write, so that any changed byte is found; of other files the "
     "structure is checked. Exit code 3 for a damaged file.",
     "helicoid verify model-hxq/", run_verify},
    {"export", "MODEL", "Write a model out dense",
     "Decodes compressed matrices and writes safetensors: a Hugging Face folder, or one file where OUT ends in "
     ".safetensors.",
     "helicoid export model-hxq/ -o dense/", run_export},
    {"kmeans", "DATA", "Fit a codebook to points",
     "Reads points from an NPY array of floats, [points, values] or flat, fits k centroids to them and writes these as "
     "an NPY array of f32 [k, values]. With --exact, points of one value get the best codebook there is, from a few passes "
     "over a file that may be larger than memory.",
     "helicoid kmeans points.npy -k 256 -o codebook.npy --labels labels.npy", run_kmeans},
    {"bench", "[WORK...]", "Measure speed, beside other programs too",
     "Times pieces of work in rounds that take turns, so that all meet the same state of the machine, and prints "
     "medians, rates and ratios: to the speed of reading memory, and with --against to other programs that do the same "
     "work in the same rounds. Without WORK all of --list run, which takes a quarter of an hour and 4 GB of memory. "
     "OUT gets everything as JSON, with the machine, the versions and the command. docs/benchmarks.md says how peers "
     "are set up.",
     "helicoid bench matvec decode --against llama_cpp -o bench.json", run_bench},
    {"fftconv", "U H", "Convolve long sequences with long filters",
     "Reads sequences U, [steps], [channels, steps] or [batch, channels, steps], and a filter for each channel or one for "
     "all, H, [channels, taps] or [taps], from NPY arrays of floats, and writes the causal convolutions, an array in "
     "U's shape: one value a step, made of that step and those before it. Any number of steps up to 4,194,304.",
     "helicoid fftconv u.npy h.npy -o y.npy", run_fftconv},
    {"hyena", "X OPERATOR", "Run a Hyena operator on long sequences",
     "Reads sequences X, [steps, width] or [batch, steps, width], from an NPY array of floats and the operator from a "
     "checkpoint, whose tensors are named as HyenaDNA's below --prefix, dense or compressed, and writes what it makes of them, "
     "an array in X's shape: projections, short filters, gates, long filters that a network of sines makes, a last product. "
     "Numbers about the filters come from the checkpoint's config.json where it has one. Some steps, and some channels, are "
     "worked on at a time, so that a million steps take little more memory than X a few times over. docs/hyena.md has the "
     "formulas.",
     "helicoid hyena x.npy model/ --prefix backbone.layers.3.mixer. -o y.npy", run_hyena},
};

const size_t verb_count = sizeof verb_table / sizeof verb_table[0];

#define AT(field) offsetof(cli_options, field)

const option_row option_table[] = {
    {"output", 'o', OPTION_FILE, AT(output), WRITERS & ~LOGITS, "OUT", .help = "where to write"},
    {"output", 'o', OPTION_TEXT, AT(output), LOGITS, "OUT", .help = "where to write; - is standard output"},
    {"force", 'f', OPTION_SWITCH, AT(force), WRITERS, .set = 1, .help = "overwrite OUT"},

    {"format", 0, OPTION_CHOICE, AT(format), COMPRESS, "NAME", "hxq", "hxq", .help = "format of the output"},
    {"k", 'k', OPTION_CHOICE, AT(k), COMPRESS, "N", "256", "256|64|32|16", .help = "codebook entries"},
    {"k", 'k', OPTION_WHOLE, AT(k), KMEANS, "N", "256", .least = 1, .most = 4294967295.0, .help = "centroids"},
    {"dimensions", 'D', OPTION_WHOLE, AT(dimensions), KMEANS, "D", "0", .most = 4294967295.0, .number_letter = 'd',
     .help = "values of a point in a flat array; 0: as the array says, or 1; before a number -d is -D"},
    {"gate-in", 0, OPTION_TEXT, AT(gate_in), FFTCONV, "NPY", .help = "an array of U's shape that U is multiplied by first"},
    {"gate-out", 0, OPTION_TEXT, AT(gate_out), FFTCONV, "NPY", .help = "an array of U's shape that the result is multiplied by"},
    {"bias", 0, OPTION_TEXT, AT(bias), FFTCONV, "NPY",
     .help = "a number for each channel, by which U is added to its convolution, before --gate-out"},
    {"prefix", 0, OPTION_TEXT, AT(prefix), HYENA, "NAME",
     .help = "what the names of the operator's tensors begin with; otherwise those of the first layer are taken"},
    {"steps", 0, OPTION_WHOLE, AT(longest), HYENA, "N", "0", .most = 1 << 22,
     .help = "longest sequence, which filters' positions are relative to; 0: as the checkpoint says, or 1024"},
    {"sine-frequency", 0, OPTION_REAL, AT(sine_frequency), HYENA, "F", "0", .most = 1e6,
     .help = "of the filters' sines; 0: as the checkpoint says, or 1"},
    {"fast-decay", 0, OPTION_REAL, AT(fast_decay), HYENA, "P", "0", .most = 1e6,
     .help = "part of the steps within which the fastest channel fades; 0: as the checkpoint says, or 0.3"},
    {"slow-decay", 0, OPTION_REAL, AT(slow_decay), HYENA, "P", "0", .most = 1e6,
     .help = "the same of the slowest; 0: as the checkpoint says, or 1.5"},
    {"decay-target", 0, OPTION_REAL, AT(decay_target), HYENA, "X", "0", .most = 1,
     .help = "what they fade to; 0: as the checkpoint says, or 0.01"},
    {"shift", 0, OPTION_REAL, AT(shift), HYENA, "X", "0", .least = -1, .most = 1e6,
     .help = "what is left of a filter that has faded; 0: as the checkpoint says, or 0.05; negative: nothing"},
    {"labels", 0, OPTION_FILE, AT(labels), KMEANS, "LABELS", .help = "also write the nearest centroid of each point, as u32"},
    {"iterations", 0, OPTION_WHOLE, AT(iterations), KMEANS, "N", "25", .most = 4294967294.0, .help = "at most"},
    {"tolerance", 0, OPTION_REAL, AT(tolerance), KMEANS, "T", "1e-4", .most = 1e6,
     .help = "end once no centroid moves farther than this times the points' spread; 0: once no label changes"},
    {"init", 0, OPTION_CHOICE, AT(start), KMEANS, "HOW", "plusplus", "plusplus|sample",
     .help = "starting centroids: k-means++, or points at random"},
    {"empty", 0, OPTION_CHOICE, AT(empty), KMEANS, "HOW", "split", "split|farthest|keep|error",
     .help = "a centroid without points moves to a far point of the largest cluster or of all, stays, or ends the run"},
    {"exact", 0, OPTION_SWITCH, AT(exact), KMEANS, .set = 1,
     .help = "the same centroids on every device; the optimum where points are single values"},
    {"no-sidecar", 0, OPTION_SWITCH, AT(no_sidecar), COMPRESS, .set = 1, .help = "do not keep the largest values exactly"},
    {"packed", 0, OPTION_SWITCH, AT(packed), COMPRESS, .set = 1,
     .help = "store indices below 8 bits packed (helix-substrate cannot load such a file)"},
    {"fit", 0, OPTION_CHOICE, AT(fit), COMPRESS, "HOW", "optimal", "optimal|reference",
     .help = "least squared error, or value for value what helix-substrate finds"},
    {"include", 0, OPTION_LIST, AT(include), COMPRESS, "GLOB",
     .help = "compress these tensors although their class is kept exact; may be repeated"},
    {"exclude", 0, OPTION_LIST, AT(exclude), COMPRESS, "GLOB", .help = "keep these tensors exact; may be repeated"},
    {"resume", 0, OPTION_SWITCH, AT(resume), COMPRESS, .set = 1, .help = "continue an interrupted run"},
    {"dry-run", 0, OPTION_SWITCH, AT(dry_run), COMPRESS, .set = 1, .help = "fit and report, write nothing"},
    {"dtype", 0, OPTION_CHOICE, AT(dtype), EXPORT, "TYPE", "f32", "f32|f16|bf16|native",
     .help = "of float tensors; native: compressed ones f32, others as stored"},
    {"dtype", 0, OPTION_CHOICE, AT(dtype), FFTCONV, "TYPE", "f32", "f32|bf16",
     .help = "in which U and its gates are kept, and the result is written (bf16 as ml_dtypes has it)"},

    {"prompt", 'p', OPTION_TEXT, AT(prompt), GENERATE | LOGITS | TOKENIZE, "TEXT",
     .help = "text to work on; - reads standard input"},
    {"tokens", 0, OPTION_TEXT, AT(tokens), GENERATE | LOGITS, "IDS", .help = "token ids, as in 1,2,3, in place of a text"},
    {"count", 'n', OPTION_WHOLE, AT(count), GENERATE, "N", "256", .most = 4294967295.0,
     .help = "new tokens at most; 0: until the text or the context ends"},
    {"chat", 0, OPTION_SWITCH, AT(chat), GENERATE, .set = 1, .help = "the prompt is a user's message to a chat model"},
    {"system", 0, OPTION_TEXT, AT(system), GENERATE, "TEXT", .help = "system message, with --chat"},
    {"stop", 0, OPTION_LIST, AT(stop), GENERATE, "TEXT", .help = "end before this text; may be repeated"},
    {"ignore-eos", 0, OPTION_SWITCH, AT(ignore_eos), GENERATE, .set = 1, .help = "go on after an end-of-text token"},
    {"temperature", 't', OPTION_REAL, AT(temperature), GENERATE, "T", "0", .most = 1e6, .help = "0: the likeliest token"},
    {"top-k", 0, OPTION_WHOLE, AT(top_k), GENERATE, "N", "0", .most = 4294967295.0, .help = "0: off"},
    {"top-p", 0, OPTION_REAL, AT(top_p), GENERATE, "P", "1", .most = 1, .help = "nucleus sampling; 1: off"},
    {"min-p", 0, OPTION_REAL, AT(min_p), GENERATE, "P", "0", .most = 1,
     .help = "least share of the best token's probability; 0: off"},
    {"repetition-penalty", 0, OPTION_REAL, AT(repetition_penalty), GENERATE, "R", "1", .least = 1e-3, .most = 1e3,
     .help = "1: off"},
    {"repetition-window", 0, OPTION_WHOLE, AT(repetition_window), GENERATE, "N", "64", .most = 4294967295.0,
     .help = "last tokens that the penalty looks at"},
    {"seed", 's', OPTION_WHOLE, AT(seed), GENERATE | KMEANS, "N", "0", .most = 9007199254740992.0,
     .help = "same seed, same device, same result"},

    {"file", 'f', OPTION_TEXT, AT(text_file), PERPLEXITY, "TEXT", .help = "file to score; - reads standard input"},
    {"stride", 0, OPTION_WHOLE, AT(stride), PERPLEXITY, "N", "0", .most = 1 << 30,
     .help = "tokens between window starts; 0: the context"},
    {"chunks", 0, OPTION_WHOLE, AT(chunks), PERPLEXITY, "N", "0", .most = 1 << 30, .help = "windows at most; 0: all"},
    {"against", 0, OPTION_TEXT, AT(against), PERPLEXITY, "MODEL", .help = "compare with this model"},

    {"list", 0, OPTION_SWITCH, AT(list), BENCH, .set = 1, .help = "list the works and the settings that each heeds"},
    {"against", 0, OPTION_LIST, AT(peers), BENCH, "PEER",
     .help = "time this program too: a name in the folder of peers, or a path; may be repeated"},
    {"peers", 0, OPTION_TEXT, AT(peers_folder), BENCH, "FOLDER", "bench/peers", .help = "folder of peers"},
    {"rounds", 0, OPTION_WHOLE, AT(rounds), BENCH, "N", "11", .least = 1, .most = 10000,
     .help = "that are counted; one more goes first"},
    {"peer-rounds", 0, OPTION_WHOLE, AT(peer_rounds), BENCH, "N", "0", .most = 10000,
     .help = "of those, rounds with peers; 0: all"},
    {"peer-timeout", 0, OPTION_WHOLE, AT(peer_seconds), BENCH, "SECONDS", "1800", .least = 1, .most = 1e6,
     .help = "longest wait for one answer of a peer"},
    {"data", 0, OPTION_TEXT, AT(data_folder), BENCH, "FOLDER",
     .help = "where random models are kept for the next run; unless given, in the user's cache directory"},
    {"rows", 0, OPTION_WHOLE, AT(rows), BENCH, "N", .most = 1 << 30, .help = "of a matrix; 0: 4096"},
    {"cols", 0, OPTION_WHOLE, AT(cols), BENCH, "N", .most = 1 << 30, .help = "of a matrix; 0: 4096"},
    {"columns", 0, OPTION_WHOLE, AT(columns), BENCH, "N", .most = 1 << 20,
     .help = "tokens of a product or of a prompt; 0: 512"},
    {"channels", 0, OPTION_WHOLE, AT(channels), BENCH, "N", .most = 1 << 16, .help = "of a convolution; 0: 64"},
    {"length", 0, OPTION_WHOLE, AT(length), BENCH, "L", .most = 1 << 22,
     .help = "steps of a convolution; 0: 8192, 16384 and so on to 1048576"},
    {"taps", 0, OPTION_WHOLE, AT(taps), BENCH, "N", .most = 1 << 22,
     .help = "of a convolution's filters, whose methods are compared; 0: as many as steps"},
    {"bytes", 0, OPTION_BYTES, AT(bytes), BENCH, "BYTES", .most = 9007199254740992.0,
     .help = "weights that a round of products walks through, and the buffer to read; K, M, G may follow; "
             "0: 256M for matvec, 64M for matmul, 512M for read"},
    {"count", 0, OPTION_WHOLE, AT(values), BENCH, "N", .most = 4294967294.0,
     .help = "values to fit, 0: 100000000; points to label, 0: 262144"},
    {"dimensions", 'D', OPTION_WHOLE, AT(dimensions), BENCH, "D", .most = 512,
     .help = "values of a point that is labelled; unless given, those that the work compares"},
    {"k", 'k', OPTION_WHOLE, AT(bench_k), BENCH, "N", .most = 65536,
     .help = "codebook entries, 256, 64, 32 or 16 but for assign; unless given, those that the work compares"},
    {"layers", 0, OPTION_WHOLE, AT(layers), BENCH, "N", .most = 1000,
     .help = "of the random model; 0: 22, to compress 2"},
    {"hidden", 0, OPTION_WHOLE, AT(hidden), BENCH, "N", .most = 65536,
     .help = "width of the random model, a multiple of 64; 0: 2048"},
    {"vocabulary", 0, OPTION_WHOLE, AT(vocabulary), BENCH, "N", .most = 1 << 24,
     .help = "of the random model; 0: 32000"},
    {"tokens", 0, OPTION_WHOLE, AT(new_tokens), BENCH, "N", .most = 2032, .help = "generated in a round; 0: 16"},
    {"model", 0, OPTION_TEXT, AT(bench_model), BENCH, "MODEL", .help = "to compress, instead of a random one"},

    {"context", 'c', OPTION_WHOLE, AT(context), GENERATE | PERPLEXITY, "N", "0", .most = 1 << 30,
     .help = "positions; 0: 512 for perplexity, else the model's, at most 2048"},
    {"bos", 0, OPTION_SWITCH, AT(bos), MODELS | TOKENIZE, .set = HEL_BOS_YES, .help = "put the begin token first"},
    {"no-bos", 0, OPTION_SWITCH, AT(bos), MODELS | TOKENIZE, .set = HEL_BOS_NO,
     .help = "no begin token; without either, as the tokenizer's file says"},
    {"special", 0, OPTION_SWITCH, AT(special), GENERATE | LOGITS | TOKENIZE, .set = 1,
     .help = "spellings of control tokens in the text become those tokens"},
    {"tokenizer", 0, OPTION_TEXT, AT(tokenizer), MODELS | TOKENIZE | COMPRESS | EXPORT, "FILE",
     .help = "tokenizer file where the model has none of its own"},
    {"gpu-layers", 0, OPTION_WHOLE, AT(gpu_layers), MODELS, "N", "4294967295", .most = 4294967295.0,
     .help = "layers on the first of several devices; unless given, an even split"},
    {"mem-limit", 0, OPTION_BYTES, AT(memory_limit), MODELS | COMPRESS | KMEANS | FFTCONV | HYENA, "BYTES", "0",
     .most = 9007199254740992.0,
     .help = "buffers of compress (0: 160M), or of each device (0: no limit); K, M, G may follow"},

    {"precision", 0, OPTION_CHOICE, AT(precision), MODELS | BENCH, "TYPE", "f32", "f32|bf16|exact",
     .help = "of matrix products; exact multiplies floats, f32 comes about as close, bf16 is faster where the processor "
             "has it, and rounds"},
    {"tune", 0, OPTION_CHOICE, AT(tune), MODELS | BENCH, "WHEN", "auto", "auto|always|never",
     .help = "try variants of the matrix products where a device has not run their shapes before, and keep the fastest "
             "for later runs; auto: on GPUs"},
    {"device", 'd', OPTION_TEXT, AT(device), ALL, "NAMES",
     .help = "cpu, vulkan:0, or several as in vulkan:0,cpu; unless given, the best one; "
             "verbs that run no model, but for kmeans, fftconv and hyena, work on the CPU"},
    {"threads", 'j', OPTION_WHOLE, AT(threads), ALL, "N", "0", .most = 4096, .help = "0: one per processor"},
    {"json", 0, OPTION_SWITCH, AT(json), ALL, .set = 1, .help = "report as JSON on standard output"},
    {"quiet", 'q', OPTION_SWITCH, AT(quiet), ALL, .set = 1, .help = "only errors and what was asked for"},
    {"verbose", 'v', OPTION_SWITCH, AT(verbose), ALL, .set = 1, .help = "say more"},
    {"progress", 0, OPTION_CHOICE, AT(progress), ALL, "WHEN", "auto", "auto|always|never",
     .help = "progress on standard error"},
    {"color", 0, OPTION_CHOICE, AT(color), ALL, "WHEN", "auto", "auto|always|never",
     .help = "auto: on terminals, unless NO_COLOR is set"},
    {"log-json", 0, OPTION_SWITCH, AT(log_json), ALL, .set = 1, .help = "messages as one line of JSON each"},
    {"help", 'h', OPTION_SWITCH, AT(help), ALL, .set = 1, .help = "show this help"},
};

const size_t option_count = sizeof option_table / sizeof option_table[0];
