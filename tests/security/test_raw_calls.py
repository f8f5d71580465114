"""System calls made by native code: each succeeds without the lock, and in a cell none does but those that the policy allows.

The calls themselves and their arguments live in `raw.txt`; that the policy is what it says is tested beside the lock.
"""

import importlib.machinery
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "python" / "tests"))

import node
import numbers_of_calls
import other_user
import world

SCRIPT = (HERE / "raw.py").read_text()
# So many calls must be made, and so many must succeed without the lock.
FEWEST, FEWEST_SUCCESSES = 100, 60
PATIENCE = 10
MACHINE = os.uname().machine

# Makes each call in a process of its own, which has at 3 and 4 what a cell has there.
CONTROL = """
import json, os, select, signal, socket, sys
asked = json.load(sys.stdin)
scope = {}
exec(asked["script"], scope)
for call in asked["calls"]:
    ends = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        pipe, page, null = socket.socketpair(), os.memfd_create("page"), os.open("/dev/null", os.O_RDWR)
        os.ftruncate(page, 4096)
        answers = os.dup(ends[1]) if ends[1] > 9 else os.dup2(ends[1], 80)
        for place, kept in enumerate([null, null, null, os.dup2(pipe[0].fileno(), 70), os.dup2(page, 71)]):
            os.dup2(kept, place)
        try:
            answer = scope["main"](call)
        except BaseException as error:
            answer = repr(error)
        os.write(answers, json.dumps(answer).encode())
        os._exit(0)
    os.close(ends[1])
    answer = os.read(ends[0], 4096).decode() if select.select([ends[0]], [], [], 10)[0] else ""
    os.close(ends[0])
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    print(answer or '"no answer"', flush=True)
"""

# Native code that makes a call of 32-bit programs: its number and one argument are the first two arguments.
FOREIGN = """
import ctypes, mmap
foreign = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
foreign.write(b"\\x89\\xf8\\x53\\x89\\xf3\\xcd\\x80\\x5b\\xc3")
ctypes.old_call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)(
    ctypes.addressof(ctypes.c_char.from_buffer(foreign)))
"""
OLD = "import ctypes\ndef main(given):\n    return ctypes.old_call(*given)\n"
OLDER = "import ctypes\ndef main(given):\n    return ctypes.CDLL(None).syscall(ctypes.c_long(given[0]), *given[1:])\n"


def policy():
    """The policy that is compiled into the extension module."""
    loader = importlib.machinery.ExtensionFileLoader("_callboard", node.LIBRARY)
    module = loader.create_module(importlib.machinery.ModuleSpec("_callboard", loader, origin=node.LIBRARY))
    loader.exec_module(module)
    return module.system_calls()


def corpus(given, numbers):
    """All calls that this machine's architecture has."""
    calls = []
    for line in (HERE / "raw.txt").read_text().splitlines():
        name, _, arguments = line.partition(" ")
        if name and name != "#" and name in numbers:
            more = {"given": given, "numbers": numbers}
            calls.append({"name": name, "number": numbers[name], "arguments": arguments.strip(), **more})
    return calls


class RawCalls(unittest.TestCase):
    maxDiff = None

    def start(self, before):
        self.zygote = node.Zygote(before=before)
        self.addCleanup(lambda: self.zygote.close())

    def answer(self, script, given):
        """What a call answers in a cell of its own, or how that ended."""
        cell = self.zygote.cell()
        try:
            self.assertEqual(cell.load(script, "utility")[0], "loaded")
            name, answer = cell.call(json.dumps(given))
            return json.loads(answer["value"]) if name == "return" else answer["exception"]
        except EOFError:
            return f"ended by signal {self.zygote.exited(cell.number)['signal']}"
        finally:
            cell.hang_up()

    def test_no_call_succeeds_in_a_cell_that_the_policy_does_not_allow(self):
        self.start("import ctypes, ctypes.util\n")
        place = world.World(node.LIBRARY)
        self.addCleanup(place.close)
        allowed = {name for name, _, word, _ in policy() if word == "allow"}
        calls = corpus(place.given(), numbers_of_calls.here())
        asked = json.dumps({"script": SCRIPT, "calls": calls})
        command = [sys.executable, "-I", "-S", "-B", "-c", CONTROL]
        done = subprocess.run(command, input=asked, capture_output=True, text=True, env={}, cwd="/", check=True)
        plain = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(plain), len(calls))
        idle, succeeded, through = [], [], []
        for call, without in zip(calls, plain):
            shown = f"{call['name']}({call['arguments']})"
            works = isinstance(without, list) and without[0] != -1
            answer = self.answer(SCRIPT, call)
            if isinstance(answer, list) and answer[0] != -1 and call["name"] not in allowed:
                through.append(f"{shown}: {answer}")
            if isinstance(answer, str) and not answer.startswith("ended by signal"):
                through.append(f"{shown} was not made: {answer}")
            (succeeded if works else idle).append(f"{shown}: {without}")
        print("\n".join(f"not counted, fails without the lock too: {line}" for line in idle))
        spared = sum(call["name"] in allowed for call in calls)
        print(
            f"{other_user.name()}: {len(calls)} raw calls, {len(succeeded)} succeed without the lock, "
            f"{len(through)} in a cell besides {spared} that the policy allows"
        )
        self.assertEqual(through, [])
        self.assertGreaterEqual(len(calls) - spared, FEWEST)
        self.assertGreaterEqual(len(succeeded) - spared, FEWEST_SUCCESSES)

    @unittest.skipUnless(MACHINE == "x86_64", "other architectures have no calls of 32-bit programs here")
    def test_calls_of_32_bit_programs_end_the_cell(self):
        self.start(FOREIGN)
        # getpid, close, alarm, getuid, sync, kill: by numbers that mean other calls to 64-bit programs.
        made = 0
        for number, argument in [(20, 0), (6, 0), (27, 0), (24, 0), (36, 0), (37, 0)]:
            text = FOREIGN + f"print(ctypes.old_call({number}, {argument}))"
            plain = subprocess.run([sys.executable, "-c", text], capture_output=True, check=False).stdout
            made += plain not in (b"", b"-38\n")
            self.assertEqual(self.answer(OLD, [number, argument]), "ended by signal 31")
        print(f"{other_user.name()}: 6 calls of 32-bit programs, {made} made without the lock, 0 in a cell")

    @unittest.skipUnless(MACHINE == "x86_64", "x32 is a part of x86-64")
    def test_calls_of_x32_programs_end_the_cell(self):
        self.start("import ctypes\n")
        for number in (0, 1, 39, 57, 512, 520, 2**31 - 2**30):
            self.assertEqual(self.answer(OLDER, [0x4000_0000 + number, 0, 0]), "ended by signal 31")


if __name__ == "__main__":
    other_user.run_both(__file__)
