"""Scripts that fail: to parse, to load, to run; and what their authors are told. Also syntax checks.

Breaches of the ABI are tested with the calls.
"""

import os
import select
import signal
import time
import unittest

import node

CONTEXT = '{"env":{"isPreview":true}}'


def setUpModule():
    global zygote
    zygote = node.Zygote()


def tearDownModule():
    zygote.close()


class Case(unittest.TestCase):
    """A test with cells that are all gone at its end."""

    def cell(self, **more):
        cell = zygote.cell(**more)
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        return cell

    def failing(self, body, text="null", **more):
        """What the call of a utility raises."""
        cell = self.cell(**more)
        self.assertEqual(cell.load(body, "utility")[0], "loaded")
        name, raised = cell.call(text)
        self.assertEqual(name, "raised", raised)
        return raised


class Loading(Case):
    def test_a_script_that_does_not_parse_is_told_with_its_line(self):
        for body, kind, line in [
            ("x = 1\ndef main(:\n    pass", "SyntaxError", 2),
            ("def main():\npass", "IndentationError", 2),
            ("def main():\n    pass\nreturn 5", "SyntaxError", 3),
        ]:
            with self.subTest(body=body):
                name, raised = self.cell().load(body, "utility")
                self.assertEqual((name, raised["reason"], raised["line"]), ("raised", "syntax", line))
                self.assertTrue(raised["exception"].startswith(f"{kind}: "), raised)

    def test_a_null_byte_and_endless_nesting_are_syntax_problems(self):
        for body in ["x = 1\0", "(" * 5000 + ")" * 5000]:
            with self.subTest(body=body[:10]):
                name, raised = self.cell().load(body, "utility")
                self.assertEqual((name, raised["reason"]), ("raised", "syntax"))

    def test_a_script_that_raises_while_it_loads_is_told_with_its_output(self):
        cell = self.cell()
        name, raised = cell.load("print('before')\nx = [1]\nx[5]\ndef main(): pass", "utility")
        self.assertEqual(name, "raised")
        expected = {"reason": "raised", "exception": "line 3, in <module>\nIndexError: list index out of range"}
        self.assertEqual(raised, {**expected, "line": 3, "output": {"stdout": "before\n"}})
        # Another text can be loaded into the same cell only because nothing is loaded yet.
        self.assertEqual(cell.load("def main(): pass", "utility")[0], "loaded")

    def test_an_entrypoint_that_cannot_be_called_is_missing(self):
        for body, words in [
            ("def render(c): pass", "`main` is not defined"),
            ("main = 5", "`main` is no function"),
            ("async def main(): yield 1", "`main` is an asynchronous generator: it has no result to return"),
        ]:
            with self.subTest(body=body):
                answer = self.cell().load(body, "utility")
                self.assertEqual(answer, ("raised", {"reason": "entrypoint_missing", "exception": words}))

    def test_another_entrypoint_than_the_usual_can_be_named(self):
        cell = self.cell()
        body = "class Page:\n    def __call__(self, c): return {'html': 'x'}\nshow = Page()"
        self.assertEqual(cell.load(body, entrypoint="show")[0], "loaded")
        self.assertEqual(cell.call(CONTEXT, "render")[1]["value"], b'{"html":"x"}')


class Raising(Case):
    def test_an_exception_is_told_with_the_scripts_own_frames(self):
        body = "import json\ndef main(x):\n    return parse(x)\n\ndef parse(x):\n    return json.loads(x)"
        raised = self.failing(body, '"{"')
        self.assertEqual((raised["reason"], raised["line"]), ("raised", 6))
        first, second, last = raised["exception"].split("\n")
        self.assertEqual((first, second), ("line 3, in main", "line 6, in parse"))
        self.assertTrue(last.startswith("json.decoder.JSONDecodeError: Expecting property name"), last)

    def test_the_scripts_own_exceptions_bear_their_bare_names(self):
        raised = self.failing("class Odd(Exception): pass\ndef main():\n    raise Odd")
        self.assertEqual(raised["exception"], "line 3, in main\nOdd")

    def test_causes_are_told_briefly(self):
        body = "def main():\n    try:\n        {}['k']\n    except KeyError as e:\n"
        body += "        raise ValueError('bad') from e"
        raised = self.failing(body)
        self.assertEqual(raised["exception"], "line 5, in main\nValueError: bad\ncaused by KeyError: 'k' (line 3)")
        raised = self.failing(body.replace(" from e", ""))
        handling = "while handling KeyError: 'k' (line 3)"
        self.assertEqual(raised["exception"], f"line 5, in main\nValueError: bad\n{handling}")
        raised = self.failing(body.replace("from e", "from None"))
        self.assertEqual(raised["exception"], "line 5, in main\nValueError: bad")

    def test_nothing_that_is_raised_ends_the_cell(self):
        cell = self.cell()
        cell.load("import sys\ndef main(x):\n    raise eval(x)", "utility")
        for name in ["SystemExit(3)", "KeyboardInterrupt()", "GeneratorExit()", "BaseException('x')"]:
            with self.subTest(name=name):
                answer, raised = cell.call(f'"{name}"')
                self.assertEqual((answer, raised["reason"], raised["line"]), ("raised", "raised", 3))
                self.assertIn(name.split("(")[0], raised["exception"])

    def test_endless_recursion_is_an_error_like_others(self):
        raised = self.failing("def main(x=0):\n    return main(x)")
        lines = raised["exception"].split("\n")
        self.assertEqual((raised["reason"], raised["line"]), ("raised", 2))
        self.assertTrue(lines[-1].startswith("RecursionError: "), lines[-1])
        self.assertRegex(lines[5], r"^\[\d+ more\]$")
        self.assertEqual(len(lines), 22)

    def test_an_exception_with_a_hostile_text_is_told_without_it(self):
        body = "class E(Exception):\n    def __str__(self):\n        {}\ndef main():\n    raise E('t')"
        for statement, expected in [
            ("raise SystemExit", "E: [its text cannot be made]"),
            ("return 5", "E: [its text cannot be made]"),
            ("return 'x' * 10_000_000", "E: " + "x" * 2048 + "…"),
            ("return '\\ud800'", "E: \ufffd\ufffd\ufffd"),
            ("raise self", "E: [its text cannot be made]"),
        ]:
            with self.subTest(statement=statement):
                raised = self.failing(body.format(statement))
                self.assertEqual(raised["exception"], f"line 5, in main\n{expected}")

    def test_the_whole_text_is_at_most_8_kib(self):
        body = "def main(n):\n    try:\n        n and main(n - 1)\n        1 / 0\n    except Exception as e:\n"
        body += "        raise ValueError('€' * 2048) from e"
        raised = self.failing(body, "4")
        self.assertLessEqual(len(raised["exception"].encode()), 8192)
        self.assertTrue(raised["exception"].endswith("\n[cut]"))

    def test_a_syntax_error_of_code_that_the_script_makes_has_the_scripts_line(self):
        raised = self.failing("def main():\n    x = 1\n    return eval('1 +')")
        self.assertEqual((raised["reason"], raised["line"]), ("raised", 3))


class Memory(Case):
    def test_running_out_of_memory_is_told_even_if_it_is_never_given_back(self):
        for body in [
            "def main():\n    return 'x' * (1 << 30)",
            "kept = []\ndef main():\n    while True:\n        kept.append(bytearray(1 << 16))",
            "kept = []\ndef main():\n    while True:\n        kept.append([len(kept)])",
        ]:
            with self.subTest(body=body):
                raised = self.failing(body, memory=64 << 20)
                self.assertEqual(raised["reason"], "memory")
                self.assertIn("MemoryError", raised["exception"])

    def test_running_out_of_memory_while_loading_is_told(self):
        body = "kept = []\nwhile True:\n    kept.append(bytearray(1 << 16))"
        name, raised = self.cell(memory=64 << 20).load(body, "utility")
        self.assertEqual((name, raised["reason"], raised["line"]), ("raised", "memory", 3))

    def test_the_peak_is_reported_with_the_end(self):
        cell = zygote.cell()
        cell.load("def main(n):\n    return len(bytearray(n))", "utility")
        self.assertEqual(cell.call(str(100 << 20))[0], "return")
        cell.hang_up()
        report = cell.ended()
        self.assertGreater(report["peak"], 100 << 20)
        self.assertLess(report["peak"], 250 << 20)
        self.assertEqual((report["status"], report["signal"]), (0, None))


class Compiling(Case):
    def compiled(self, body):
        name, reply = self.cell().ask("compile", {"body": body})
        self.assertEqual(name, "compiled")
        return reply

    def problem(self, body):
        reply = self.compiled(body)
        self.assertEqual((len(reply["problems"]), reply["functions"]), (1, []))
        problem = reply["problems"][0]
        message = problem.pop("message")
        start, end = (problem["line"], problem["column"]), (problem["endLine"], problem["endColumn"])
        self.assertLessEqual(start, end)
        self.assertTrue(message)
        return start, end, message

    def test_the_functions_are_those_of_the_top_level_in_their_order(self):
        body = "def b(): pass\ndef a(x):\n    def inner(): pass\ndef _c(): pass\nasync def d(): pass\n"
        body += "class E:\n    def f(self): pass\ndef b(): pass"
        self.assertEqual(self.compiled(body), {"problems": [], "functions": ["b", "a"]})

    def test_nothing_of_the_text_runs(self):
        self.assertEqual(self.compiled("while True: pass")["problems"], [])

    def test_a_problem_has_its_place(self):
        start, _, message = self.problem("x = 1\nif x\n    pass\n")
        self.assertEqual(start[0], 2)
        self.assertIn("':'", message)
        start, end, _ = self.problem("def f():\n    x = 'äöü'; 5 = x\n")
        self.assertEqual((start, end), ((2, 16), (2, 17)))

    def test_columns_count_characters_also_where_python_counts_bytes(self):
        start, end, message = self.problem("x = 'äöü€'; return x\n")
        self.assertEqual((start, end), ((1, 13), (1, 21)))
        self.assertIn("return", message)
        start, _, _ = self.problem("def f(a):\n    'ü'; global a\n")
        self.assertEqual(start, (2, 10))

    def test_texts_that_no_parser_takes_have_one_problem(self):
        for body in [
            "\0", "x = 1\n\0\n", "(" * 100_000, "[" * 150 + "]" * 150, "-" * 100_000 + "1", "a" + ".b" * 50_000,
            "1+" * 30_000 + "1", "'", "'''", "\\", "\t", " x", "f'{'", "é = $", "\r\r", "x\n" * 3 + "  y",
        ]:  # fmt: skip
            with self.subTest(body=body[:10], length=len(body)):
                self.assertLessEqual(len(self.compiled(body)["problems"]), 1)

    def test_warnings_of_the_compiler_are_nobodys_problem(self):
        cell = self.cell()
        self.assertEqual(cell.ask("compile", {"body": "x = '\\d'\nx is 5"})[1]["problems"], [])
        cell.load("def main(): pass", "utility")
        self.assertNotIn("output", cell.call("null")[1])


class Ending(Case):
    def test_a_cell_that_ends_itself_is_reported_with_its_status(self):
        cell = zygote.cell()
        cell.load("import os\ndef main():\n    os._exit(7)", "utility")
        cell.write("call", node.call("null"))
        report = cell.ended()
        self.assertEqual((report["status"], report["signal"]), (7, None))

    def test_a_cell_that_a_signal_ends_is_reported_with_it_and_ends_alone(self):
        other = self.cell()
        cell = zygote.cell()
        os.kill(cell.pid, signal.SIGTERM)
        self.assertEqual(cell.ended()["signal"], signal.SIGTERM)
        self.assertEqual(other.load("def main(): return 1", "utility")[0], "loaded")

    def test_a_crash_of_the_interpreter_ends_the_cell_and_leaves_the_scripts_line_on_its_page(self):
        cell = zygote.cell()
        # A constant sixteen gigabytes past the end of the others.
        far = "[op['EXTENDED_ARG'], 127, *[op['EXTENDED_ARG'], 255] * 2, op['LOAD_CONST'], 255]"
        crash = f"f.__code__ = f.__code__.replace(co_code=bytes({far}) * 100)"
        cell.load(f"from dis import opmap as op\ndef f(): pass\ndef main():\n    {crash}\n    f()", "utility")
        cell.write("call", node.call("null"))
        with self.assertRaises(EOFError):
            cell.receive()
        self.assertRegex(cell.frames(), rb'File "\w+\.py", line \d+')
        self.assertIn(cell.ended()["signal"], (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL))

    def test_where_a_script_stands_is_written_when_the_node_asks(self):
        cell = zygote.cell()
        cell.load("import re\ndef main():\n    x = 1\n    re.match(r'(a+)+$', 'a' * 64 + 'b')", "utility")
        cell.write("call", node.call("null"))
        deadline = time.monotonic() + 10
        while b"line 4 in main" not in cell.frames() and time.monotonic() < deadline:
            cell.ask_where()
            select.select([], [], [], 0.001)
        self.assertIn(b"line 4 in main", cell.frames())
        os.kill(cell.pid, signal.SIGKILL)
        self.assertEqual(cell.ended()["signal"], signal.SIGKILL)

    def test_the_run_is_timed(self):
        cell = self.cell()
        body = "import time\ndef main():\n    end = time.monotonic() + 0.02\n    while time.monotonic() < end: pass"
        cell.load(body, "utility")
        began = time.monotonic()
        run = cell.call("null")[1]["run"]
        self.assertGreaterEqual(run, 20_000)
        self.assertLessEqual(run, (time.monotonic() - began) * 1e6)


if __name__ == "__main__":
    unittest.main()
