"""The policy's numbers on every architecture, checked where only one of them runs.

`calls.txt` is the kernel's own table. The policy takes its numbers from the crate libc, whose source for aarch64 says which
ones a build for that architecture would have. What is not shown here is that a cell runs there.
"""

import importlib.machinery
import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "python" / "tests"))

import node
import numbers_of_calls

POLICY = REPOSITORY / "python" / "src" / "lock" / "policy.rs"
AARCH64 = "src/unix/linux_like/linux/gnu/b64/aarch64/mod.rs"
# Where Linux's headers are installed, as they are beside a C compiler.
HEADERS = {
    "aarch64": ["/usr/include/asm-generic/unistd.h"],
    "x86_64": ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"],
}


def compiled():
    """The policy's names and numbers in the extension module of this machine."""
    loader = importlib.machinery.ExtensionFileLoader("_callboard", node.LIBRARY)
    module = loader.create_module(importlib.machinery.ModuleSpec("_callboard", loader, origin=node.LIBRARY))
    loader.exec_module(module)
    entries = [entry for of in ("cells", "files", "network", "ports") for entry in module.system_calls(of)]
    return {name: number for name, number, _, _ in entries}


def written():
    """The names in the policy's text, and those that stand there for x86-64 only."""
    text = POLICY.read_text()
    names = re.findall(r"^ +[A-Z]\w+ SYS_(\w+) \"", text, re.M)
    only = re.findall(r"#\[cfg\(target_arch = \"x86_64\"\)\]\s+[A-Z]\w+ SYS_(\w+) \"", text)
    return set(names), set(only)


def libc():
    """The numbers of aarch64 in the source of the crate that builds use."""
    # Only what a build for this machine has fetched is there.
    platform = ["--filter-platform", f"{os.uname().machine}-unknown-linux-gnu"]
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version", "1", *platform]
    packages = json.loads(subprocess.check_output(command, cwd=REPOSITORY))["packages"]
    places = [Path(package["manifest_path"]).parent for package in packages if package["name"] == "libc"]
    text = (places[0] / AARCH64).read_text()
    return {name: int(number) for name, number in re.findall(r"SYS_(\w+): c_long = (\d+);", text)}


class Numbers(unittest.TestCase):
    def test_the_policy_here_has_the_kernels_numbers(self):
        kernel, policy = numbers_of_calls.here(), compiled()
        self.assertEqual({name: kernel.get(name) for name in policy}, policy)
        self.assertEqual(set(policy), written()[0] - (set() if os.uname().machine == "x86_64" else written()[1]))

    def test_the_policy_on_aarch64_would_have_the_kernels_numbers(self):
        kernel, source = numbers_of_calls.of("aarch64"), libc()
        names, only = written()
        self.assertGreater(len(names - only), 70)
        wanted = {name: kernel.get(name) for name in names - only}
        self.assertEqual(wanted, {name: source.get(name) for name in names - only})
        self.assertNotIn(None, wanted.values())

    def test_what_stands_for_one_architecture_only_is_missing_on_the_other(self):
        kernel = numbers_of_calls.of("aarch64")
        self.assertEqual({name for name in written()[1] if name in kernel}, set())

    def test_no_number_has_two_meanings(self):
        for architecture in numbers_of_calls.ARCHITECTURES:
            numbers = list(numbers_of_calls.of(architecture).values())
            self.assertEqual(len(numbers), len(set(numbers)), architecture)

    def test_the_table_is_that_of_the_kernels_headers(self):
        compared = 0
        for architecture, places in HEADERS.items():
            for place in filter(os.path.exists, places):
                with open(place) as header:
                    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", header.read(), re.M)
                theirs, ours = {name: int(number) for name, number in found}, numbers_of_calls.of(architecture)
                self.assertGreater(len(theirs), 250)
                both = {name for name in theirs if name in ours}
                self.assertEqual({name: theirs[name] for name in both}, {name: ours[name] for name in both})
                self.assertGreater(len(both), 250)
                compared += len(both)
        print(f"{compared} numbers compared with the headers of this machine")


if __name__ == "__main__":
    unittest.main()
