# SPDX-License-Identifier: Apache-2.0
"""The verb `bench`, tiny sizes, peers made up on the spot. Usage: test_bench.py PROGRAM DATA_FOLDER TEST_CLASS"""
import json
import os
import signal
import subprocess
import sys
import time
import unittest

from test_cli import FAILED, INTERRUPTED, MODEL, PROGRAM, RUNNER, USAGE, Case

WORKS = ["read", "matvec", "matmul", "decode", "prefill", "fit", "assign", "fftconv", "fftconv_decode", "scan", "hyena",
         "compress"]
SMALL = ["-d", "cpu", "--rounds", "1", "--rows", "32", "--cols", "64", "--columns", "16", "--bytes", "64K",
         "--count", "5000", "-D", "4", "--layers", "1", "--hidden", "64", "--vocabulary", "96", "--tokens", "2"]
PEER = """#!/usr/bin/env python3
import sys, time
greeting = []
for line in sys.stdin:
    greeting.append(line.strip())
    if line == "prepare\\n":
        break
"""
GOOD = PEER + """
assert "work matvec" in greeting and "set rows 32" in greeting and "set cols 64" in greeting, greeting
assert any(line.startswith("data /") for line in greeting), greeting
print("version good 1.2")
print("item f32 bytes=8192 flops=4096")
print("item other")
print("ready", flush=True)
for line in sys.stdin:
    assert line in ("round f32\\n", "round other\\n"), line
    print("seconds 0.5 signal_to_error_db=12.5 unknown=1" if "f32" in line else "seconds 1e-3", flush=True)
"""


class Bench(Case):
    def setUp(self):
        super().setUp()
        self.data = self.folder / "data"

    def bench(self, *arguments, **keywords):
        return self.run_program("bench", "--data", self.data, *arguments, *SMALL, **keywords)

    def items(self, *arguments, **keywords):
        self.bench(*arguments, "--json", **keywords)
        self.report = json.loads(self.output)
        return {(item["work"], item["by"], item["name"]): item for item in self.report["items"]}

    def assert_only_models_left(self):
        left = [path.name for path in self.data.iterdir()]
        self.assertTrue(all(name.startswith("random-") for name in left), left)

    def test_list(self):
        self.assertEqual([line.split()[0] for line in self.run_program("bench", "--list").splitlines()[1:]], WORKS)
        made = json.loads(self.run_program("bench", "--list", "--json"))
        self.assertEqual([work["name"] for work in made["works"]], WORKS)

    def test_every_work(self):
        items = self.items()
        self.assertEqual(list(dict.fromkeys(work for work, _, _ in items)), WORKS)
        for (work, by, name), item in items.items():
            self.assertEqual((by, item["rounds"], len(item["seconds"])), ("helicoid", 1, 1))
            self.assertTrue(0 < item["min_seconds"] <= item["median_seconds"] <= item["max_seconds"], item)
        for key in ["version", "date", "command", "machine", "device", "threads", "notes"]:
            self.assertIn(key, self.report)
        for key in ["cpu", "cores", "instruction_sets", "memory"]:
            self.assertIn(key, self.report["machine"])
        self.assertEqual(self.report["command"][:2], ["helicoid", "bench"])
        for work in WORKS:
            self.assertGreater(items[work, "helicoid", "read"]["gigabytes_per_second"], 0)
        for k, least in ("k256", 38), ("k64", 28), ("k32", 22), ("k16", 17), ("bf16", 45), ("f16", 60), ("f32", 110):
            self.assertGreater(items["matvec", "helicoid", k]["signal_to_error_db"], least)
        self.assertGreater(items["matmul", "helicoid", "k256"]["signal_to_error_db"], 38)
        self.assertGreater(items["decode", "helicoid", "k256"]["tokens_per_second"], 0)
        for work in ("decode", "prefill"):  # of normal weights; theory has 20.22 dB for 16 codes
            self.assertAlmostEqual(items[work, "helicoid", "k16"]["signal_to_error_db"], 20.2, delta=0.2)
            self.assertGreater(items[work, "helicoid", "k256"]["signal_to_error_db"], 43)
        self.assertGreater(items["prefill", "helicoid", "k16"]["tokens_per_second"], 0)
        fit = items["fit", "helicoid", "f32"]
        self.assertTrue(0 <= fit["gap"] < 0.01 * fit["squared_error"], fit)
        self.assertEqual([ratio["to"] for ratio in fit["ratios"]], ["read", "histogram f32"])
        self.assertEqual([ratio["to"] for ratio in items["compress", "helicoid", "model"]["ratios"]], ["read", "copy"])
        self.assert_only_models_left()

    def test_other_devices(self):
        found = json.loads(self.run_program("devices", "--json"))["devices"]
        for device in {one["backend"] for one in found if one["usable"]} & {"vulkan", "opencl"}:
            report = self.run_json("bench", "--data", self.data, "read", "matvec", "matmul", "-k", "16", *SMALL, "-d", device)
            items = {(item["work"], item["by"], item["name"]): item for item in report["items"]}
            self.assertEqual((report["device"].split(":")[0], report["notes"]), (device, []))
            for work in "read", "matvec", "matmul":
                self.assertGreater(items[work, "helicoid", "read"]["gigabytes_per_second"], 0)
            self.assertGreater(items["matvec", "helicoid", "k16"]["signal_to_error_db"], 17)

    def test_table_and_file(self):
        out = self.folder / "bench.json"
        text = self.bench("matvec", "-k", "16", "-o", out)
        self.assertRegex(text, r"(?m)^matvec +by +median")
        self.assertRegex(text, r"(?m)^k16 +helicoid ")
        self.assertNotIn("k256", text)
        self.assertRegex(text, r"(?m)^read +\d")
        self.assertEqual(json.loads(out.read_text())["items"][1]["name"], "k16")
        self.bench("matvec", "-o", out, code=FAILED)
        self.assertIn("-f", self.errors)
        self.bench("fit", "-o", out, "-f")
        self.bench("fit", "-o", self.folder / "no" / "bench.json", code=FAILED)
        self.bench("compress", "--model", MODEL)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["bench.json", "data"])

    def test_wrong(self):
        for arguments, words in [
            (["frobnicate"], 'no work "frobnicate"'),
            (["read", "-k", "17"], "17"),
            (["read", "--rounds", "0"], "--rounds"),
            (["read", "-o", "-"], "--output: '-' is not a file name"),
            (["decode", "--tokens", "2032", "--hidden", "64", "--device", "nonsense"], "nonsense"),
        ]:
            self.run_program("bench", "--data", self.data, *arguments, code=USAGE)
            self.assertIn(words, self.errors)

    # ------------------------------------------------------------ peers

    def peer(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def test_unknown_peer(self):
        self.bench("matvec", "--against", "nobody", "--peers", self.folder, code=FAILED)
        self.assertIn("peer nobody: no such program", self.errors)
        self.bench("matvec", "--against", self.folder / "nobody.py", code=FAILED)

    def test_good_peer(self):
        self.peer("good.py", GOOD)
        items = self.items("matvec", "--against", "good", "--peers", self.folder)
        theirs = items["matvec", "good", "f32"]
        self.assertEqual((theirs["rounds"], theirs["median_seconds"], theirs["signal_to_error_db"]), (1, 0.5, 12.5))
        self.assertEqual(theirs["version"], "good 1.2")
        self.assertAlmostEqual(theirs["gflops"], 4096 / 0.5 / 1e9, delta=1e-12)
        ratio = [r for r in items["matvec", "helicoid", "k256"]["ratios"] if (r["by"], r["to"]) == ("good", "f32")][0]
        self.assertAlmostEqual(ratio["median"], 0.5 / items["matvec", "helicoid", "k256"]["median_seconds"], delta=1)
        self.assertEqual(self.report["notes"], [])
        self.assertIn("f32 by good", self.bench("matvec", "--against", self.folder / "good.py"))

    def test_peers_that_fail(self):
        for name, text, words in [
            ("dies", PEER + "sys.exit('no luck today')", "ended without an answer: no luck today"),
            ("dies_later", PEER + "print('item a\\nready', flush=True); sys.stdin.readline(); exit('later')", "later"),
            ("refuses", PEER + "print('unsupported not on Sundays')", "not on Sundays"),
            ("babbles", PEER + "print('tralala', flush=True); time.sleep(60)", "not the protocol"),
            ("endless", PEER + "print('x' * 5000, flush=True); time.sleep(60)", "not the protocol"),
            ("negative", PEER + "print('item a\\nready\\nseconds -1', flush=True); time.sleep(60)", "not the protocol"),
            ("nan", PEER + "print('item a\\nready\\nseconds nan', flush=True); time.sleep(60)", "not the protocol"),
            ("hangs", PEER + "time.sleep(60)", "did not answer in time"),
            ("deaf", "#!/bin/sh\nexit 3\n", "ended without an answer"),
            ("text", "no program at all", "cannot be started"),
        ]:
            with self.subTest(name):
                start = time.monotonic()
                items = self.items("matvec", "--against", self.peer(name, text), "--peer-timeout", "1", "-k", "256")
                self.assertLess(time.monotonic() - start, 30)
                self.assertIn(words, self.errors)
                self.assertEqual(len(self.report["notes"]), 1)
                self.assertIn(words, self.report["notes"][0])
                self.assertFalse([key for key in items if key[1] == name])
                self.assertIn(("matvec", "helicoid", "k256"), items)
                self.assert_only_models_left()

    def test_interrupt(self):
        slow = self.peer("slow", PEER + f"open({str(self.folder / 'here')!r}, 'w'); time.sleep(600)")
        command = RUNNER + [PROGRAM, "bench", "matvec", "--data", self.data, "--against", slow, *SMALL]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(600):
            if (self.folder / "here").exists():
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED)
        self.assert_only_models_left()


if __name__ == "__main__":
    os.environ.pop("HELICOID_PEERS", None)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
