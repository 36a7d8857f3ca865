# SPDX-License-Identifier: Apache-2.0
"""Drives the program as a user does. Usage: test_cli.py PROGRAM DATA_FOLDER TEST_CLASS"""
import json
import os
import pathlib
import re
import resource
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, DATA = sys.argv[1], pathlib.Path(sys.argv[2])
MODEL = str(DATA / "stories260K" / "stories260K.bin")
RUNNER = shlex.split(os.environ.get("MESON_EXE_WRAPPER", ""))  # an emulator, for cross builds
BACKENDS = os.environ["HELICOID_BACKENDS"].split()  # of this build
OK, FAILED, USAGE, INTEGRITY, UNSUPPORTED, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
VERBS = ["devices", "compress", "info", "generate", "perplexity", "logits", "tokenize", "verify", "export", "kmeans",
         "bench", "fftconv", "hyena"]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="helicoid_cli_"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_program(self, *arguments, code=OK, stdin=b"", env=None, stdout=subprocess.PIPE, limit=None):
        def set_limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HELICOID_")} | (env or {})
        done = subprocess.run(RUNNER + [PROGRAM, *map(str, arguments)], input=stdin, stdout=stdout,
                              stderr=subprocess.PIPE, env=environment, timeout=240,
                              preexec_fn=set_limit if limit else None)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        self.output = (done.stdout or b"").decode("utf-8", "strict") if stdout == subprocess.PIPE else ""
        self.errors = done.stderr.decode("utf-8", "strict")
        if code not in (OK, INTERRUPTED):
            self.assertNotEqual(self.errors, "")
        return self.output

    def run_json(self, *arguments, **keywords):
        return json.loads(self.run_program(*arguments, "--json", **keywords))

    def assert_nothing_left(self):
        self.assertEqual([p.name for p in self.folder.iterdir()], [])


class Help(Case):
    def test_program(self):
        text = self.run_program("--help")
        self.assertEqual(re.findall(r"^  (\w+) {2,}", text, re.M), VERBS)
        self.assertEqual(text, self.run_program("help"))
        self.run_program("--version")
        self.assertRegex(self.output, r"^helicoid \d+\.\d+\.\d+\n$")

    def test_verbs(self):
        for verb in VERBS:
            text = self.run_program(verb, "--help")
            self.assertEqual(text, self.run_program("help", verb))
            self.assertTrue(text.startswith(f"Usage: helicoid {verb} [OPTIONS]"), text)
            for option in ["--device", "--threads", "--json", "--quiet", "--verbose", "--help"]:
                self.assertIn(option, text)
            self.assertLessEqual(max(map(len, text.splitlines())), 80, text)

    def test_documented_flags(self):
        flags = {
            "compress": "-o -f --format --k --no-sidecar --packed --fit --include --exclude --resume --dry-run "
                        "--mem-limit",
            "generate": "-p -n --tokens --chat --stop --bos --no-bos --ignore-eos --temperature --top-k --top-p --min-p "
                        "--repetition-penalty --seed --gpu-layers --context",
            "perplexity": "-f --context --stride --chunks --against --bos --no-bos",
            "logits": "-o -f --tokens", "tokenize": "-p", "export": "-o -f --dtype",
            "kmeans": "-k -D -o -f --labels --iterations --init --empty --seed --exact --device --json",
            "fftconv": "-o -f --gate-in --gate-out --bias --dtype --mem-limit",
            "hyena": "-o -f --prefix --steps --sine-frequency --fast-decay --slow-decay --decay-target --shift --mem-limit",
            "bench": "--list --against --rounds --rows --cols --columns --bytes --count -k -o",
        }
        for verb, names in flags.items():
            words = re.split(r"[\s,]+", self.run_program(verb, "--help"))
            for name in names.split():
                self.assertIn(name, words, verb)

    def test_completions_and_manual(self):
        manual = self.run_program("--print-man")
        for verb in VERBS:
            self.assertIn(f".SS helicoid {verb} ", manual)
        for shell in ["bash", "zsh", "fish"]:
            text = self.run_program("--print-completion", shell)
            for verb in VERBS:
                self.assertIn(verb, text)
            self.assertIn("ignore-eos", text)
        script = self.folder / "completion.bash"
        script.write_text(self.run_program("--print-completion", "bash"))
        asked = subprocess.run(
            ["bash", "-c", f". {script}; COMP_WORDS=(helicoid generate --ign); COMP_CWORD=2; _helicoid; echo $COMPREPLY"],
            capture_output=True, text=True, check=True)
        self.assertEqual(asked.stdout.strip(), "--ignore-eos")
        self.run_program("--print-completion", "tcsh", code=USAGE)


class Usage(Case):
    def test_wrong(self):
        for arguments, words in [
            (["frobnicate"], "unknown verb"),
            (["--frob"], "unknown verb or option"),
            (["generate"], "MODEL is missing"),
            (["generate", MODEL], "either -p TEXT or --tokens IDS"),
            (["generate", MODEL, "-p", "a", "--tokens", "1"], "either"),
            (["generate", MODEL, "--frob"], "--frob"),
            (["generate", MODEL, "-Z"], "-Z"),
            (["generate", MODEL, "-n"], "needs a value"),
            (["generate", MODEL, "-p", "a", "-n", "-1"], "--count: '-1'"),
            (["generate", MODEL, "-p", "a", "-n", "3x"], "--count"),
            (["generate", MODEL, "-p", "a", "--top-p", "1.5"], "--top-p: '1.5' is not a number from 0 to 1"),
            (["generate", MODEL, "-p", "a", "--temperature", "nan"], "--temperature"),
            (["generate", MODEL, "-p", "a", "extra"], "too many arguments"),
            (["generate", MODEL, "--tokens", "1,,2"], "--tokens"),
            (["generate", MODEL, "--tokens", "1,2x"], "--tokens"),
            (["generate", MODEL, "--tokens", "4294967296"], "--tokens"),
            (["generate", MODEL, "--tokens", "512"], ""),
            (["generate", MODEL, "-p", "a", "--system", "b"], "--chat"),
            (["generate", MODEL, "-p", "a", "--device", "nonsense"], "nonsense"),
            (["compress", MODEL], "-o OUT"),
            (["compress", MODEL, "-o", "-"], "--output: '-' is not a file name"),
            (["compress", MODEL, "-o", "x", "--k", "128"], "128"),
            (["compress", MODEL, "-o", "x", "--k", ""], "--k"),
            (["compress", MODEL, "-o", "x", "--format", "zip"], "zip"),
            (["compress", MODEL, "-o", "x", "--mem-limit", "5Q"], "5Q"),
            (["export", MODEL, "-o", "x", "--dtype", "f64"], "f64"),
            (["perplexity", MODEL], "-f TEXT"),
            (["logits", MODEL, "--tokens", "1"], "-o OUT"),
            (["tokenize", MODEL], "-p TEXT"),
            (["devices", "extra"], "too many"),
            (["kmeans"], "DATA is missing"),
            (["kmeans", "x.npy"], "-o CODEBOOK"),
            (["kmeans", "x.npy", "-o", "-"], "--output: '-' is not a file name"),
            (["kmeans", "x.npy", "-o", "x", "--labels", "-"], "--labels: '-' is not a file name"),
            (["export", MODEL, "-o", "-"], "--output: '-' is not a file name"),
            (["fftconv", "u.npy", "h.npy", "-o", "-"], "--output: '-' is not a file name"),
            (["hyena", "x.npy", MODEL, "-o", "-"], "--output: '-' is not a file name"),
            (["kmeans", "x.npy", "-o", "x", "-k", "0"], "--k: '0'"),
            (["kmeans", "x.npy", "-o", "x", "-k", "4294967296"], "--k"),
            (["kmeans", "x.npy", "-o", "x", "--empty", "drop"], "drop"),
            (["kmeans", "x.npy", "-o", "x", "--tolerance", "-1"], "--tolerance"),
        ]:
            self.run_program(*arguments, code=USAGE)
            self.assertIn(words, self.errors, arguments)
        self.assertFalse(os.path.exists("x"))

    def test_no_arguments(self):
        self.assertEqual(subprocess.run(RUNNER + [PROGRAM], capture_output=True).returncode, USAGE)

    def test_environment(self):
        tokens = ["--tokens", "1", "--device", "cpu"]
        made = self.run_json("generate", MODEL, *tokens, env={"HELICOID_COUNT": "3"})
        self.assertEqual(made["generated_tokens"], 3)
        made = self.run_json("generate", MODEL, *tokens, "-n", "2", env={"HELICOID_COUNT": "3"})
        self.assertEqual(made["generated_tokens"], 2)
        self.run_program("generate", MODEL, *tokens, env={"HELICOID_COUNT": "many"}, code=USAGE)
        self.assertIn("HELICOID_COUNT: 'many'", self.errors)

    def test_messages(self):
        self.run_program("info", "missing", "--color", "always", code=FAILED)
        self.assertIn("\033[31m", self.errors)
        self.run_program("info", "missing", code=FAILED)
        self.assertNotIn("\033", self.errors)
        self.run_program("info", "missing", "--log-json", code=FAILED)
        message = json.loads(self.errors)
        self.assertEqual(message["level"], "error")
        self.assertIn("missing", message["message"])


class Devices(Case):
    def test_list(self):
        devices = self.run_json("devices")["devices"]
        cpu = [d for d in devices if d["backend"] == "cpu"]
        self.assertEqual(len(cpu), 1)
        self.assertTrue(cpu[0]["usable"])
        for device in devices:
            for key in ["index", "usable", "reason", "type", "name", "driver", "memory", "subgroup", "tuned", "features"]:
                self.assertIn(key, device)
            self.assertEqual(device["usable"], device["reason"] == "")
        table = self.run_program("devices").splitlines()
        self.assertEqual(len(table), 1 + len(devices))

    def test_one(self):
        self.assertEqual(len(self.run_json("devices", "--device", "cpu")["devices"]), 1)
        for name in ["cpu:77", "vulkan:77", "nothing"]:
            self.assertEqual(self.run_program("devices", "--device", name, code=UNAVAILABLE), "")

    def test_forced_device_is_missing(self):
        for backend in ["cpu", "vulkan", "opencl", "cuda"]:
            code = UNAVAILABLE if backend in BACKENDS else USAGE
            self.run_program("generate", MODEL, "-p", "a", "--device", f"{backend}:77", code=code)
            self.assertIn(backend, self.errors)


class Generate(Case):
    KEYS = {"text", "token_ids", "device", "prompt_tokens", "prompt_tokens_per_second", "generated_tokens",
            "tokens_per_second", "peak_host_bytes", "peak_device_bytes"}

    def test_json(self):
        made = self.run_json("generate", MODEL, "-p", "Once upon a time", "-n", "24", "--device", "cpu")
        self.assertLessEqual(self.KEYS, set(made))
        self.assertEqual(made["device"], "cpu")
        self.assertEqual(made["generated_tokens"], 24)
        self.assertEqual(len(made["token_ids"]), 24)
        self.assertGreater(made["tokens_per_second"], 0)
        self.assertGreater(made["peak_device_bytes"], 0)
        self.assertGreater(made["peak_host_bytes"], made["peak_device_bytes"])
        text = self.run_program("generate", MODEL, "-p", "-", "-n", "24", "--device", "cpu", stdin=b"Once upon a time")
        self.assertEqual(text, made["text"] + "\n")
        ids = self.run_program("tokenize", MODEL, "-p", "Once upon a time").strip()
        self.assertEqual(self.run_json("generate", MODEL, "--tokens", ids, "-n", "24", "-d", "cpu")["token_ids"],
                         made["token_ids"])

    def test_stop_and_sampling(self):
        whole = self.run_json("generate", MODEL, "-p", "Once", "-n", "30", "-d", "cpu")["text"]
        stop = whole[10:14]
        part = self.run_json("generate", MODEL, "-p", "Once", "-n", "30", "-d", "cpu", "--stop", stop)
        self.assertEqual(part["text"], whole[:whole.index(stop)])
        self.assertEqual(part["finish"], "stop")
        drawn = [self.run_json("generate", MODEL, "-p", "Once", "-n", "30", "-d", "cpu", "-t", "1", "--seed", seed)["text"]
                 for seed in ("1", "1", "2")]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])

    def test_full_context(self):
        made = self.run_json("generate", MODEL, "-p", "Once", "-n", "100", "-c", "10", "-d", "cpu", "--ignore-eos")
        self.assertEqual(made["finish"], "context")
        self.assertLess(made["generated_tokens"], 11)
        self.run_program("generate", MODEL, "--tokens", "1", "-n", "1", "-c", "1000", "-d", "cpu", "--log-json")
        messages = [json.loads(line) for line in self.errors.splitlines()]
        self.assertEqual([m["level"] for m in messages], ["warning", "info"])
        self.assertIn("512 positions", messages[0]["message"])
        self.assertIn("generated 1 tokens, 0.0 tokens/s", messages[1]["message"])  # it came out of the prompt's evaluation

    def test_quiet(self):
        self.run_program("generate", MODEL, "-p", "Once", "-n", "4", "-d", "cpu", "-q")
        self.assertEqual(self.errors, "")
        self.run_program("generate", MODEL, "-p", "Once", "-n", "4", "-d", "cpu", "--progress", "never")
        self.assertNotIn("\033", self.errors)

    def test_broken_models(self):
        source = pathlib.Path(MODEL).read_bytes()
        broken = self.folder / "broken.bin"
        for content in [b"", b"x", source[:27], source[:-4], b"\xff" * 4096]:
            broken.write_bytes(content)
            self.run_program("generate", broken, "--tokens", "1", code=FAILED)
            self.assertIn("broken.bin", self.errors)
        self.run_program("generate", self.folder / "missing.bin", "--tokens", "1", code=FAILED)
        self.assertIn("missing.bin", self.errors)

    def test_interrupt(self):
        process = subprocess.Popen(RUNNER + [PROGRAM, "generate", MODEL, "--tokens", "1", "-n", "0", "--ignore-eos",
                                             "-c", "100000", "-d", "cpu"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(8)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            self.run_program("generate", MODEL, "-p", "Once", "-n", "4", "-d", "cpu", stdout=full, code=FAILED)
            self.assertIn("standard output", self.errors)
            self.run_program("devices", "--json", stdout=full, code=FAILED)


class Tokenize(Case):
    def test_forms(self):
        made = self.run_json("tokenize", MODEL, "-p", "Hello é")
        self.assertEqual(made["count"], len(made["token_ids"]))
        self.assertEqual(len(made["pieces"]), made["count"])
        self.assertEqual(self.run_program("tokenize", MODEL, "-p", "Hello é").strip(),
                         ",".join(map(str, made["token_ids"])))
        piped = self.run_json("tokenize", MODEL, "-p", "-", stdin="Hello é".encode())
        self.assertEqual(piped, made)

    def test_begin_token(self):
        with_bos = self.run_json("tokenize", MODEL, "-p", "Hi", "--bos")["token_ids"]
        without = self.run_json("tokenize", MODEL, "-p", "Hi", "--no-bos")["token_ids"]
        self.assertEqual(with_bos, [1] + without)

    def test_parts_of_characters(self):
        made = self.run_json("tokenize", MODEL, "-p", "\U0001F600", "--no-bos")
        self.assertIn("\ufffd", made["pieces"])

    def test_no_tokenizer(self):
        lonely = self.folder / "lonely.bin"
        shutil.copy(MODEL, lonely)
        self.run_program("tokenize", lonely, "-p", "a", code=FAILED)
        self.run_program("tokenize", lonely, "-p", "a", "--tokenizer", DATA / "stories260K" / "tok512.bin")


class Logits(Case):
    def read_npy(self, content):
        self.assertEqual(content[:8], b"\x93NUMPY\x01\x00")
        header = content[10:10 + struct.unpack("<H", content[8:10])[0]].decode()
        rows, columns = map(int, re.search(r"'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\)", header).groups())
        self.assertEqual((10 + len(header)) % 64, 0)
        self.assertEqual(len(content), 10 + len(header) + 4 * rows * columns)
        return rows, columns

    def test_file_and_stream(self):
        out = self.folder / "logits.npy"
        self.run_program("logits", MODEL, "--tokens", "1,2,3", "-o", out, "-d", "cpu")
        self.assertEqual(self.read_npy(out.read_bytes()), (3, 512))
        before = out.read_bytes()
        self.run_program("logits", MODEL, "--tokens", "1", "-o", out, "-d", "cpu", code=FAILED)
        self.assertIn("-f", self.errors)
        self.assertEqual(out.read_bytes(), before)
        self.run_program("logits", MODEL, "--tokens", "1,2", "-o", out, "-f", "-d", "cpu")
        self.assertEqual(self.read_npy(out.read_bytes()), (2, 512))
        piped = subprocess.run(RUNNER + [PROGRAM, "logits", MODEL, "--tokens", "1,2", "-o", "-", "-d", "cpu"],
                               capture_output=True)
        self.assertEqual(piped.stdout, out.read_bytes())
        self.assertEqual([p.name for p in self.folder.iterdir()], ["logits.npy"])

    def test_full_disk(self):
        self.run_program("logits", MODEL, "--tokens", "1", "-o", "/dev/full", "-f", "-d", "cpu", code=FAILED)
        self.assertTrue(os.path.exists("/dev/full"))
        self.run_program("logits", MODEL, "--tokens", "1,2,3", "-o", self.folder / "l.npy", "-d", "cpu", code=FAILED,
                         limit=2048)
        self.assert_nothing_left()
        self.run_program("logits", MODEL, "--tokens", "1", "-o", self.folder / "no" / "l.npy", code=FAILED)

    def test_tune(self):
        texts = {self.run_program("generate", MODEL, "-p", "Once", "-n", "5", "--device", "cpu", "--tune", when)
                 for when in ["never", "auto", "always"]}
        self.assertEqual(len(texts), 1)
        self.run_program("generate", MODEL, "-p", "Once", "--tune", "often", code=USAGE)

    def test_precision(self):
        tokens = ",".join(str(i) for i in range(1, 65))
        arrays = []
        for precision in ["exact", "f32", "bf16"]:
            out = self.folder / f"{precision}.npy"
            self.run_program("logits", MODEL, "--tokens", tokens, "-o", out, "--device", "cpu", "--precision", precision)
            values = out.read_bytes()[-64 * 512 * 4:]
            arrays.append(struct.unpack(f"<{64 * 512}f", values))
        exact, largest = arrays[0], max(map(abs, arrays[0]))
        for values, part in zip(arrays[1:], [1e-5, 0.02]):
            self.assertLess(max(abs(a - b) for a, b in zip(exact, values)), part * largest)
        self.run_program("logits", MODEL, "--tokens", "1", "-o", "-", "--precision", "f64", code=USAGE)

    def test_wrong_tokens(self):
        self.run_program("logits", MODEL, "--tokens", "1,512", "-o", self.folder / "l.npy", code=USAGE)
        self.assert_nothing_left()


class Perplexity(Case):
    TEXT = ("Once upon a time, there was a little girl named Lily. She loved to play outside in the park. " * 20).encode()

    def test_json(self):
        text = self.folder / "text.txt"
        text.write_bytes(self.TEXT)
        made = self.run_json("perplexity", MODEL, "-f", text, "--context", "64", "--chunks", "3", "-d", "cpu")
        self.assertEqual(made["tokens"], 3 * 63)
        self.assertTrue(1 < made["perplexity"] < 50, made)
        piped = self.run_json("perplexity", MODEL, "-f", "-", "--context", "64", "--chunks", "3", "-d", "cpu",
                              stdin=self.TEXT)
        self.assertEqual(piped["perplexity"], made["perplexity"])
        both = self.run_json("perplexity", MODEL, "-f", text, "--context", "64", "--chunks", "3", "-d", "cpu",
                             "--against", MODEL)
        self.assertAlmostEqual(both["kl_divergence"], 0, places=9)
        self.assertEqual(both["top1_agreement"], 1)
        self.assertIn("perplexity", self.run_program("perplexity", MODEL, "-f", text, "--context", "64", "-d", "cpu"))

    def test_wrong(self):
        self.run_program("perplexity", MODEL, "-f", self.folder / "missing.txt", code=FAILED)
        self.assertIn("missing.txt", self.errors)
        self.run_program("perplexity", MODEL, "-f", "-", code=USAGE, stdin=b"")


class Compress(Case):
    def compress(self, *arguments, **keywords):
        self.out = self.folder / "out.safetensors"
        return self.run_program("compress", MODEL, "-o", self.out, *arguments, **keywords)

    def test_report(self):
        report = json.loads(self.compress("--json"))
        for key in ["source_bytes", "f16_bytes", "output_bytes", "ratio", "ratio_f16", "grew", "compressed",
                    "worst_cosine", "worst_tensor", "tensors", "seconds"]:
            self.assertIn(key, report)
        self.assertEqual(report["output_bytes"], self.out.stat().st_size)
        self.assertAlmostEqual(report["ratio"], report["source_bytes"] / report["output_bytes"])
        self.assertGreater(report["ratio"], 1.5)
        self.assertGreater(report["worst_cosine"], 0.999)
        self.assertEqual([p.name for p in self.folder.iterdir()], [self.out.name])
        self.assertIn("times smaller", self.compress("-f"))
        self.compress("-f", "-q")
        self.assertEqual(self.output, "")

    def test_overwrite(self):
        self.compress()
        before = self.out.read_bytes()
        self.compress(code=FAILED)
        self.assertIn("exists; -f overwrites it", self.errors)
        self.assertEqual(self.out.read_bytes(), before)

    def test_patterns(self):
        self.compress("--include", "*.embed_tokens.*", "--exclude", "*.q_porj.*")
        self.assertIn('exclude "*.q_porj.*" matches no tensor', self.errors)
        self.assertNotIn("embed_tokens", self.errors)

    def test_dry_run(self):
        planned = self.run_json("compress", MODEL, "--dry-run", "-o", self.folder / "out.safetensors")
        self.compress("--dry-run")
        self.assert_nothing_left()
        self.compress()
        self.assertEqual(planned["output_bytes"], self.out.stat().st_size)
        again = json.loads(self.compress("--resume", "--json"))
        self.assertEqual(again["output_bytes"], self.out.stat().st_size)

    def test_folder_runs_everywhere(self):
        out = self.folder / "model"
        self.run_program("compress", MODEL, "-o", out)
        self.assertLessEqual({"config.json", "model.safetensors"}, {p.name for p in out.iterdir()})
        self.run_program("verify", out)
        made = self.run_json("generate", out, "-p", "Once upon a time", "-n", "16", "-d", "cpu")
        self.assertEqual(made["generated_tokens"], 16)
        info = self.run_json("info", out)
        self.assertIn("tensors", info)

    def test_full_disk(self):
        self.compress(code=FAILED, limit=100000)
        self.assertFalse(self.out.exists())
        self.run_program("compress", MODEL, "-o", self.folder / "no" / "where" / "x.safetensors", code=FAILED)
        self.run_program("compress", self.folder / "missing", "-o", self.folder / "y", code=FAILED)

    def test_interrupt_and_resume(self):
        env = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
        whole, part = self.folder / "whole.safetensors", self.folder / "part.safetensors"
        command = RUNNER + [PROGRAM, "compress", MODEL, "-q", "-j", "1", "-o"]
        subprocess.run(command + [whole], env=env, check=True)
        codes = set()
        for delay in [0.005, 0.01, 0.02, 0.04, 0.08]:
            process = subprocess.Popen(command + [part, "--resume", "-f"], env=env, stderr=subprocess.PIPE)
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            codes.add(process.returncode)
        self.assertLessEqual(codes, {OK, INTERRUPTED, -signal.SIGTERM})
        subprocess.run(command + [part, "--resume", "-f"], env=env, check=True)
        self.assertEqual(part.read_bytes(), whole.read_bytes())


class Verify(Case):
    def test_flipped_byte(self):
        out = self.folder / "out.safetensors"
        self.run_program("compress", MODEL, "-o", out)
        report = self.run_json("verify", out)
        self.assertTrue(report["ok"] and report["checksummed"])
        good = out.read_bytes()
        for at in [0, 9, 300, len(good) // 2, len(good) - 1]:
            out.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
            self.run_program("verify", out, code=INTEGRITY)
            self.assertIn(out.name, self.errors)
        self.assertFalse(json.loads(self.run_program("verify", out, "--json", code=INTEGRITY))["ok"])
        out.write_bytes(good[:-1])
        self.run_program("verify", out, code=INTEGRITY)
        self.run_program("verify", self.folder / "missing", code=FAILED)

    def test_source(self):
        self.assertFalse(self.run_json("verify", MODEL)["checksummed"])
        self.assertIn("no digests", self.run_program("verify", MODEL))


class Info(Case):
    def test_source(self):
        info = self.run_json("info", MODEL)
        self.assertGreater(len(info["tensors"]), 10)
        table = self.run_program("info", MODEL)
        for tensor in info["tensors"]:
            self.assertIn(tensor["name"], table)

    def test_missing(self):
        self.run_program("info", self.folder / "missing", code=FAILED)


class Export(Case):
    def test_round(self):
        packed, dense = self.folder / "packed.safetensors", self.folder / "dense.safetensors"
        self.run_program("compress", MODEL, "-o", packed)
        report = self.run_json("export", packed, "-o", dense)
        self.assertEqual(report["output_bytes"], dense.stat().st_size)
        self.assertTrue(report["grew"])
        ids = [self.run_json("generate", model, "--tokens", "1", "-n", "20", "-d", "cpu")["token_ids"]
               for model in (packed, dense)]
        self.assertEqual(ids[0], ids[1])
        self.run_program("export", packed, "-o", dense, code=FAILED)
        self.assertIn(dense.name, self.errors)
        self.run_program("export", packed, "-o", dense, "-f", "--dtype", "f16")
        self.assertLess(dense.stat().st_size, report["output_bytes"])
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), [dense.name, packed.name])


class Arrays(Case):
    def write_npy(self, path, values, shape, descr="<f4"):
        text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
        header = text + " " * (117 - len(text)) + "\n"
        letter = {"<f4": "f", "<f2": "e", "<i4": "i", "<V2": "H"}[descr]
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.encode() +
                              struct.pack(f"<{len(values)}{letter}", *values))

    def read_npy(self, path, descr, letter):
        content = path.read_bytes()
        self.assertEqual(content[:8], b"\x93NUMPY\x01\x00")
        start = 10 + struct.unpack("<H", content[8:10])[0]
        self.assertEqual(start % 64, 0)
        self.assertIn(f"'descr': '{descr}', 'fortran_order': False", content[:start].decode("latin-1"))
        shape = re.search(r"'shape': \(([\d, ]+)\)", content[:start].decode("latin-1")).group(1)
        return (tuple(int(n) for n in shape.split(",") if n.strip()),
                struct.unpack(f"<{(len(content) - start) // struct.calcsize(letter)}{letter}", content[start:]))


class Kmeans(Arrays):
    def setUp(self):
        super().setUp()
        self.data, self.book, self.labels = (self.folder / name for name in ("data.npy", "book.npy", "labels.npy"))

    def corners(self):
        self.write_npy(self.data, [x + (i % 5) / 10 for i in range(200) for x in ((i % 4) // 2 * 10.0, i % 2 * 10.0)], "(200, 2)")

    def test_fit(self):
        self.corners()
        report = self.run_json("kmeans", self.data, "-k", "4", "-o", self.book, "--labels", self.labels, "-d", "cpu")
        self.assertEqual((report["points"], report["d"], report["k"], report["empty"]), (200, 2, 4, 0))
        self.assertTrue(report["converged"])
        self.assertAlmostEqual(report["squared_error"], 200 * 2 * 0.02, places=4)
        self.assertGreater(report["points_per_second"], 0)
        shape, centroids = self.read_npy(self.book, "<f4", "f")
        self.assertEqual(shape, (4, 2))
        self.assertEqual(sorted((round(centroids[i]), round(centroids[i + 1])) for i in (0, 2, 4, 6)),
                         [(0, 0), (0, 10), (10, 0), (10, 10)])
        shape, labels = self.read_npy(self.labels, "<u4", "I")
        self.assertEqual(shape, (200,))
        for i in range(4, 200):
            self.assertEqual(labels[i], labels[i % 4])
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["book.npy", "data.npy", "labels.npy"])
        text = self.run_program("kmeans", self.data, "-k", "4", "-o", self.book, "-f", "-d", "cpu")
        self.assertIn("squared error 7.9999", text)
        self.assertIn("points/s", text)
        self.assertEqual(self.run_program("kmeans", self.data, "-k", "4", "-o", self.book, "-f", "-q", "-d", "cpu"), "")

    def test_same_bits(self):
        self.corners()
        books = set()
        for threads in "1", "2", "3":
            for init in "plusplus", "sample":
                out = self.folder / f"{init}.npy"
                self.run_program("kmeans", self.data, "-k", "9", "-o", out, "-f", "-j", threads, "-d", "cpu", "--init", init,
                                 "--seed", "3", "--exact", "--iterations", "7", "--empty", "farthest")
                books.add((init, out.read_bytes()))
        self.assertEqual(len(books), 2)

    def test_flat(self):
        self.write_npy(self.data, [1, 2, 3, 10, 20, 30] * 4, "(24,)", "<f2")
        self.assertEqual(self.run_json("kmeans", self.data, "-k", "2", "-o", self.book, "-D", "3", "-d", "cpu")["points"], 8)
        self.assertEqual(sorted(self.read_npy(self.book, "<f4", "f")[1]), [1, 2, 3, 10, 20, 30])
        report = self.run_json("kmeans", self.data, "-k", "2", "-o", self.book, "-f", "-d", "3", "-d", "cpu")
        self.assertEqual((report["d"], report["device"]), (3, "cpu"))
        report = self.run_json("kmeans", self.data, "-k", "3", "-o", self.book, "-f", "--exact", "-d", "cpu")
        self.assertEqual((report["d"], report["iterations"]), (1, 0))
        self.assertEqual(self.read_npy(self.book, "<f4", "f")[1], (4, 20, 30))

    def test_wrong(self):
        self.run_program("kmeans", self.folder / "none.npy", "-o", self.book, code=FAILED)
        self.corners()
        self.run_program("kmeans", self.data, "-k", "201", "-o", self.book, "-d", "cpu", code=USAGE)
        for option in ["-d4294967296", "-d=3"]:
            self.run_program("kmeans", self.data, "-k", "4", "-o", self.book, option, code=USAGE)
            self.assertIn("--dimensions" if option[2] != "=" else "=3", self.errors)
        self.run_program("kmeans", self.data, "-k", "4", "-D", "3", "-o", self.book, "-d", "cpu", code=USAGE)
        self.run_program("kmeans", self.data, "-k", "4", "-o", self.book, "--labels", self.book, "-d", "cpu", code=USAGE)
        self.run_program("kmeans", self.data, "-k", "4", "-o", self.folder / "no" / "b.npy", "-d", "cpu", code=FAILED)
        self.run_program("kmeans", self.data, "-k", "50", "-o", self.book, "--empty", "error", "-d", "cpu", code=UNSUPPORTED)
        self.run_program("kmeans", self.data, "-k", "4", "-o", self.book, "-d", "cpu:77", code=UNAVAILABLE)
        self.write_npy(self.data, [1.0, float("nan"), 3.0], "(3,)")
        self.run_program("kmeans", self.data, "-k", "2", "-o", self.book, "-d", "cpu", code=UNSUPPORTED)
        self.assertIn(f"{self.data}: value 0 of point 1 is NaN", self.errors)
        self.write_npy(self.data, [], "(0,)")
        self.run_program("kmeans", self.data, "-k", "1", "-o", self.book, "-d", "cpu", code=USAGE)
        self.write_npy(self.data, [1, 2, 3], "(3,)", "<i4")
        self.run_program("kmeans", self.data, "-k", "1", "-o", self.book, "-d", "cpu", code=UNSUPPORTED)
        self.data.write_bytes(b"not an array")
        self.run_program("kmeans", self.data, "-k", "1", "-o", self.book, "-d", "cpu", code=FAILED)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["data.npy"])

    def test_overwrite(self):
        self.corners()
        self.run_program("kmeans", self.data, "-k", "4", "-o", self.book, "-d", "cpu")
        before = self.book.read_bytes()
        self.run_program("kmeans", self.data, "-k", "3", "-o", self.book, "-d", "cpu", code=FAILED)
        self.assertIn("exists; -f overwrites it", self.errors)
        self.run_program("kmeans", self.data, "-k", "3", "-o", self.labels, "--labels", self.book, "-d", "cpu", code=FAILED)
        self.run_program("kmeans", self.data, "-k", "150", "-o", self.book, "-f", "-d", "cpu", limit=1000, code=FAILED)
        self.assertEqual(self.book.read_bytes(), before)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["book.npy", "data.npy"])

    def test_interrupt(self):
        self.write_npy(self.data, [(i * 7919 % 65537) / 65537 for i in range(120000)], "(30000, 4)")
        process = subprocess.Popen(RUNNER + [PROGRAM, "kmeans", self.data, "-k", "3000", "-o", self.book, "-d", "cpu", "-j", "1",
                                             "--iterations", "100000", "--tolerance", "0", "--progress", "always"],
                                   stderr=subprocess.PIPE)
        while not (self.folder / "book.npy.part").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["data.npy"])


class Fftconv(Arrays):
    def setUp(self):
        super().setUp()
        self.u, self.h, self.y, self.gate, self.bias = (self.folder / f"{name}.npy" for name in ("u", "h", "y", "gate", "bias"))

    def test_sums(self):
        steps, u, h = 700, [(i * 7 % 11) / 8 for i in range(4 * 700)], [(i % 5) / 4 for i in range(2 * 300)]
        self.write_npy(self.u, u, f"(2, 2, {steps})")
        self.write_npy(self.h, h, "(2, 300)", "<f2")
        self.write_npy(self.gate, [2] * len(u), f"(2, 2, {steps})")
        self.write_npy(self.bias, [0.5, 1], "(2,)")
        report = self.run_json("fftconv", self.u, self.h, "-o", self.y, "--gate-out", self.gate, "--bias", self.bias, "-d", "cpu")
        self.assertEqual([report[name] for name in ("batch", "channels", "steps", "filters", "taps")], [2, 2, steps, 2, 300])
        shape, y = self.read_npy(self.y, "<f4", "f")
        self.assertEqual(shape, (2, 2, steps))
        for row in range(4):
            v, taps = u[row * steps:(row + 1) * steps], h[row % 2 * 300:][:300]
            for t in (0, 1, 299, 300, 699):
                want = 2 * (sum(taps[s] * v[t - s] for s in range(min(t + 1, 300))) + (0.5, 1)[row % 2] * v[t])
                self.assertAlmostEqual(y[row * steps + t], want, delta=2e-3)

    def test_one_filter(self):
        u, h, bias = [(i * 7 % 11) / 8 for i in range(2 * 3 * 40)], [1, 0.5, 0.25], [1, -2, 3]
        self.write_npy(self.u, u, "(2, 3, 40)")
        self.write_npy(self.h, h, "(3,)")
        self.write_npy(self.bias, bias, "(3,)")
        for limit in "0", "40K":  # the second: few rows at a time
            self.run_program("fftconv", self.u, self.h, "-o", self.y, "-f", "--bias", self.bias, "-d", "cpu", "--mem-limit", limit)
            y = self.read_npy(self.y, "<f4", "f")[1]
            for row in range(6):
                v = u[row * 40:(row + 1) * 40]
                for t in range(40):
                    want = sum(h[s] * v[t - s] for s in range(min(t + 1, 3))) + bias[row % 3] * v[t]
                    self.assertAlmostEqual(y[row * 40 + t], want, delta=1e-5)

    def test_halves(self):
        bits = [0x3f80, 0x4000, 0x4040] # 1, 2, 3
        self.write_npy(self.u, bits, "(3,)", "<V2")
        self.write_npy(self.h, [1, 1], "(2,)")
        self.write_npy(self.gate, [1, 1.001, 1], "(3,)")
        report = self.run_json("fftconv", self.u, self.h, "-o", self.y, "--gate-in", self.gate, "-d", "cpu", "--dtype", "bf16")
        self.assertEqual(report["dtype"], "bf16")
        self.assertEqual(list(self.read_npy(self.y, "<V2", "H")[1]), [0x3f80, 0x4040, 0x40a0]) # 1, 3, 5
        self.run_program("fftconv", self.u, self.h, "-o", self.y, "-f", "-d", "cpu")
        for got, want in zip(self.read_npy(self.y, "<f4", "f")[1], (1, 3, 5)):
            self.assertAlmostEqual(got, want, places=5)
        self.run_program("fftconv", self.u, self.h, "-o", self.y, "-f", "-d", "cpu", "--dtype", "f16", code=USAGE)

    def test_one_row(self):
        self.write_npy(self.u, [1, 2, 3], "(3,)")
        self.write_npy(self.h, [1, 1], "(2,)")
        self.assertIn("1 x 1 rows of 3 steps, 1 filters of 2 taps", self.run_program("fftconv", self.u, self.h, "-o", self.y, "-d", "cpu"))
        for got, want in zip(self.read_npy(self.y, "<f4", "f")[1], (1, 3, 5)):
            self.assertAlmostEqual(got, want, places=5)
        self.run_program("fftconv", self.u, self.h, "-o", self.y, "-d", "cpu", code=FAILED) # is there already
        self.assertEqual(self.run_program("fftconv", self.u, self.h, "-o", self.y, "-f", "-q", "-d", "cpu"), "")

    def test_wrong(self):
        self.write_npy(self.u, [1, 2, 3, 4], "(2, 2)")
        self.write_npy(self.h, [1] * 3, "(3,)")
        self.run_program("fftconv", self.u, "-o", self.y, code=USAGE)
        self.assertIn("U H are needed", self.errors)
        self.run_program("fftconv", self.u, self.h, self.h, "-o", self.y, code=USAGE)
        self.run_program("fftconv", self.u, self.h, code=USAGE)
        self.run_program("fftconv", self.u, self.h, "-o", self.y, "-d", "cpu,null", code=USAGE)
        self.assertIn('"cpu,null" names several devices where one is wanted', self.errors)
        self.run_program("fftconv", self.u, self.h, "-o", self.y, "-d", "cpu", code=USAGE)
        self.assertIn("3 taps are longer than the 2 steps", self.errors)
        self.write_npy(self.h, [1] * 3, "(3, 1)")
        self.run_program("fftconv", self.u, self.h, "-o", self.y, "-d", "cpu", code=USAGE)
        self.assertIn("3 filters for 2 channels", self.errors)
        self.write_npy(self.h, [1] * 2, "(2,)", "<i4")
        self.run_program("fftconv", self.u, self.h, "-o", self.y, "-d", "cpu", code=UNSUPPORTED)
        self.write_npy(self.h, [1] * 2, "(2,)")
        self.run_program("fftconv", self.u, self.h, "-o", self.y, "--bias", self.u, "-d", "cpu", code=USAGE)
        self.run_program("fftconv", self.u, self.h, "-o", self.y, "--gate-in", self.h, "-d", "cpu", code=USAGE)
        self.run_program("fftconv", self.u, self.folder / "none.npy", "-o", self.y, "-d", "cpu", code=FAILED)
        self.assertFalse(self.y.exists())


class Hyena(Arrays):
    def setUp(self):
        super().setUp()
        self.x, self.operator, self.y = DATA / "hyena" / "x.npy", DATA / "hyena" / "hyena.safetensors", self.folder / "y.npy"

    def test_reference(self):
        report = self.run_json("hyena", self.x, self.operator, "-o", self.y, "-d", "cpu", "-j", "2")
        self.assertEqual([report[name] for name in ("steps", "width", "order", "longest")], [300, 12, 3, 300])
        shape, y = self.read_npy(self.y, "<f4", "f")
        expected_shape, expected = self.read_npy(DATA / "hyena" / "y.npy", "<f4", "f")
        self.assertEqual(shape, expected_shape)
        for got, want in zip(y, expected):
            self.assertAlmostEqual(got, want, delta=1e-5)

    def test_options(self):
        other = DATA / "hyena" / "hyenadna.safetensors"
        prefix = ["--prefix", "hyena.backbone.layers.1.mixer."]
        self.assertIn("300 steps of width 12 through an operator of order 2, whose filters have 200 taps",
                      self.run_program("hyena", self.x, other, *prefix, "--steps", "200", "-o", self.y, "-d", "cpu"))
        before = self.y.read_bytes()
        self.run_program("hyena", self.x, other, *prefix, "--steps", "200", "-o", self.y, "-d", "cpu", code=FAILED) # is there already
        for option in (["--sine-frequency", "3"], ["--shift", "-1"], ["--fast-decay", "0.1", "--slow-decay", "0.2", "--decay-target", "0.5"]):
            self.assertEqual(self.run_program("hyena", self.x, other, *prefix, "--steps", "200", *option, "-o", self.y, "-f", "-q", "-d", "cpu"), "")
            self.assertNotEqual(self.y.read_bytes(), before, option)
        self.run_program("hyena", self.x, other, *prefix, "--steps", "200", "-o", self.y, "-f", "-d", "cpu", "--progress", "always")
        self.assertEqual(self.y.read_bytes(), before)
        layers = []
        for first in ([], ["--prefix", "hyena.backbone.layers.0.mixer."]):
            self.run_program("hyena", self.x, other, *first, "--steps", "300", "-o", self.y, "-f", "-q", "-d", "cpu")
            layers.append(self.y.read_bytes())
        self.assertEqual(*layers)

    def test_wrong(self):
        self.run_program("hyena", self.x, "-o", self.y, code=USAGE)
        self.assertIn("X OPERATOR are needed", self.errors)
        self.run_program("hyena", self.x, self.operator, code=USAGE)
        self.run_program("hyena", self.x, DATA / "hyena" / "hyenadna.safetensors", "--prefix", "hyena.backbone.layers.0.mixer.", "-o",
                         self.y, "--steps", "100", "-d", "cpu", code=UNSUPPORTED)
        self.run_program("hyena", self.x, self.operator, "-o", self.y, "--steps", "100", "-d", "cpu", code=USAGE)
        self.assertIn("positions are for 300 steps, not for 100", self.errors)
        self.run_program("hyena", self.x, self.operator, "-o", self.y, "--steps", "5000000", "-d", "cpu", code=USAGE)
        self.run_program("hyena", self.x, self.operator, "-o", self.y, "--prefix", "nowhere.", "-d", "cpu", code=FAILED)
        self.assertIn("no tensor \"nowhere.", self.errors)
        self.run_program("hyena", DATA / "hyena" / "ids.npy", self.operator, "-o", self.y, "-d", "cpu", code=USAGE)
        self.run_program("hyena", self.folder / "none.npy", self.operator, "-o", self.y, "-d", "cpu", code=FAILED)
        self.run_program("hyena", self.x, self.folder / "none", "-o", self.y, "-d", "cpu", code=FAILED)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], sys.argv[3]])
