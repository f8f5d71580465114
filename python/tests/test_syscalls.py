"""The seccomp policy, entry by entry: every call that is allowed can be made, every other is refused or ends the cell.

The calls are made by a script through ctypes, which this test loads into its zygote; no other zygote has it.
"""

import importlib.machinery
import json
import os
import signal
import unittest

import node

SCRIPT = """
import ctypes, signal
call = ctypes.CDLL(None, use_errno=True).syscall
call.restype = ctypes.c_long
handled = []
signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))

def errors(calls):
    found = []
    for number, *arguments in calls:
        ctypes.set_errno(0)
        call(ctypes.c_long(number), *map(ctypes.c_long, arguments))
        found.append(ctypes.get_errno())
    return found

def wait():
    while not handled: pass
    return len(handled)

def main(): pass
"""

# Arguments that make no call do anything.
NOTHING = [-1] * 6
# Each of these ends the call otherwise than by coming back; they have tests of their own.
SPECIAL = {"exit_group", "rt_sigreturn"}
EPERM = 1
# The kernel lets these past every filter: it puts them into programs that it traces itself. Elsewhere they do nothing.
UNFILTERED = {335, 336} if os.uname().machine == "x86_64" else set()


def policy():
    """The policy that is compiled into the extension module."""
    loader = importlib.machinery.ExtensionFileLoader("_callboard", node.LIBRARY)
    module = loader.create_module(importlib.machinery.ModuleSpec("_callboard", loader, origin=node.LIBRARY))
    loader.exec_module(module)
    return module.system_calls()


def setUpModule():
    global zygote, POLICY
    POLICY = policy()
    zygote = node.Zygote(before="import ctypes\n")


def tearDownModule():
    zygote.close()


class Policy(unittest.TestCase):
    def cell(self):
        cell = zygote.cell()
        self.assertEqual(cell.load(SCRIPT, "utility")[0], "loaded")
        return cell

    def errors(self, calls):
        """The error numbers that calls answer in one cell."""
        cell = self.cell()
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        name, answer = cell.call(json.dumps(calls), entrypoint="errors")
        self.assertEqual(name, "return", answer)
        return json.loads(answer["value"])

    def names(self, verdict):
        return {name: number for name, number, word, _ in POLICY if word == verdict}

    def test_every_entry_has_a_reason_and_stands_once(self):
        self.assertTrue(all(reason for _, _, _, reason in POLICY))
        self.assertEqual(len({number for _, number, _, _ in POLICY}), len(POLICY))
        self.assertEqual({word for _, _, word, _ in POLICY}, {"allow", "unexecutable", "refuse", "kill"})

    def test_every_allowed_call_can_be_made(self):
        allowed = {name: number for name, number in self.names("allow").items() if name not in SPECIAL}
        errors = self.errors([[number, *NOTHING] for number in allowed.values()])
        self.assertEqual([name for name, error in zip(allowed, errors) if error == EPERM], [])
        self.assertGreater(len(allowed), 30)

    def test_memory_is_refused_only_where_it_could_be_executed(self):
        for name, number in self.names("unexecutable").items():
            with self.subTest(name=name):
                calls = [[number, 1, 0, protection, 0, -1, 0] for protection in (3, 4, 4 | 1 << 32)]
                plain, executable, hidden = self.errors(calls)
                self.assertNotEqual(plain, EPERM)
                self.assertEqual((executable, hidden), (EPERM, EPERM))

    def test_a_handler_returns_and_a_cell_can_end(self):
        cell = self.cell()
        cell.write("call", node.call("null", entrypoint="wait"), 50)
        while cell.started != 50:
            os.sched_yield()
        os.kill(cell.pid, signal.SIGUSR1)
        self.assertEqual(cell.receive()[2]["value"], b"1")
        exit_group = self.names("allow")["exit_group"]
        cell.write("call", node.call(json.dumps([[exit_group, 9]]), entrypoint="errors"))
        self.assertEqual(cell.ended()["status"], 9)

    def test_every_call_that_is_not_named_is_refused(self):
        named = {number for _, number, _, _ in POLICY}
        others = [number for number in range(600) if number not in named | UNFILTERED]
        errors = self.errors([[number, *NOTHING] for number in others])
        self.assertEqual([number for number, error in zip(others, errors) if error != EPERM], [])

    def test_calls_that_python_never_makes_end_the_cell(self):
        for name, number in self.names("kill").items():
            with self.subTest(name=name):
                cell = self.cell()
                cell.write("call", node.call(json.dumps([[number, *NOTHING]]), entrypoint="errors"))
                self.assertEqual(cell.ended()["signal"], signal.SIGSYS)

    def test_calls_of_another_architecture_end_the_cell(self):
        x32 = [[0x4000_0000 + 39]]
        if os.uname().machine != "x86_64":
            # x32 is a part of x86-64; elsewhere that is the number of no call.
            self.assertEqual(self.errors(x32), [EPERM])
            return
        cell = self.cell()
        cell.write("call", node.call(json.dumps(x32), entrypoint="errors"))
        self.assertEqual(cell.ended()["signal"], signal.SIGSYS)


if __name__ == "__main__":
    unittest.main()
