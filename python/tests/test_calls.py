"""Scripts that are loaded and called: what they are given, what they may answer, what they print.

Failures of scripts have tests of their own, and so have the pipe and the lock.
"""

import json
import unittest

import node
from packing import pack, unpack

CONTEXT = '{"env":{"isPreview":true}}'


def setUpModule():
    global zygote
    zygote = node.Zygote()


def tearDownModule():
    zygote.close()


class Case(unittest.TestCase):
    """A test with one cell."""

    def setUp(self):
        self.cell = zygote.cell()

    def tearDown(self):
        self.cell.hang_up()
        self.cell.ended()

    def macro(self, body):
        self.assertEqual(self.cell.load(body)[0], "loaded")

    def utility(self, body):
        self.assertEqual(self.cell.load(body, "utility"), ("loaded", {"many": False}))

    def render(self, context=CONTEXT, **more):
        return self.cell.call(context, "render", **more)

    def value(self, answer):
        self.assertEqual(answer[0], "return", answer)
        return json.loads(answer[1]["value"])


class Macros(Case):
    def test_a_macro_gets_its_context_and_its_html_comes_back(self):
        self.macro("def render(context):\n    return {'html': f\"<b>{context['params']['name']}</b>\"}")
        answer = self.render('{"env":{"isPreview":false},"params":{"name":"x"},"data":{"k":[1]}}')
        self.assertEqual(self.value(answer), {"html": "<b>x</b>"})
        self.assertEqual(set(answer[1]), {"value", "run"})

    def test_a_context_in_messagepack_is_answered_in_messagepack(self):
        self.macro("def render(context):\n    return {'html': 'ü', 'data': context['data']}")
        context = pack({"env": {"isPreview": True}, "data": {"n": 5, "f": 1.5}})
        name, body = self.render(context, format="msgpack")
        self.assertEqual((name, unpack(body["value"])), ("return", {"html": "ü", "data": {"n": 5, "f": 1.5}}))

    def test_null_in_a_context_is_the_same_as_a_missing_key(self):
        self.macro("def render(c):\n    return {'html': ' '.join([*c, *c['env'], *c['env']['source']])}")
        context = '{"env":{"isPreview":true,"hook":null,"source":{"kind":"post","id":null}},"params":null,"data":{}}'
        self.assertEqual(self.value(self.render(context)), {"html": "env data isPreview source kind"})

    def test_a_context_that_breaks_the_abi_is_refused_with_its_path(self):
        self.macro("def render(context):\n    raise SystemExit")
        for context, path, problem in [
            ("[]", "payload.context", "expected dict, found list"),
            ("{}", "payload.context", "`env` is missing"),
            ('{"env":null}', "payload.context.env", "expected dict, found None"),
            ('{"env":{}}', "payload.context.env", "`isPreview` is missing"),
            ('{"env":{"isPreview":1}}', "payload.context.env.isPreview", "expected bool, found int"),
            ('{"env":{"isPreview":true,"x":1}}', "payload.context.env.x", "unknown key"),
            ('{"env":{"isPreview":true,"a b":1}}', "payload.context.env", "a key that is not known here"),
            ('{"env":{"isPreview":true,"source":{"kind":"p","id":7}}}', "payload.context.env.source.id",
             "expected str, found int"),
            ('{"env":{"isPreview":true},"params":[]}', "payload.context.params", "expected dict, found list"),
            ('{"env":{"isPreview":true},"more":1}', "payload.context.more", "unknown key"),
        ]:  # fmt: skip
            with self.subTest(context=context):
                self.assertEqual(self.render(context), ("refused", {"path": path, "problem": problem}))

    def test_an_input_that_is_no_json_is_refused(self):
        self.macro("def render(context):\n    raise SystemExit")
        name, body = self.render('{"env":{"isPreview":tru')
        self.assertEqual((name, body["path"].startswith("payload.context")), ("refused", True), body)

    def test_a_result_that_breaks_the_abi_is_invalid_with_its_path(self):
        self.macro("import json\ndef render(context):\n    return eval(context['params']['r'])")
        for result, path, problem in [
            ("None", "result", "expected dict, found None"),
            ("'<b>'", "result", "expected dict, found str"),
            ("{}", "result", "`html` is missing"),
            ("{'html': None}", "result.html", "expected str, found None"),
            ("{'html': 5}", "result.html", "expected str, found int"),
            ("{'html': '', 'more': 1}", "result.more", "unknown key"),
            ("{'html': '', 7: 1}", "result", "a key that is not known here"),
            ("{'html': '', 'data': []}", "result.data", "expected dict, found list"),
            ("{'html': '', 'warnings': 'w'}", "result.warnings", "expected list, found str"),
            ("{'html': '', 'warnings': ['w', 1]}", "result.warnings[1]", "expected str, found int"),
        ]:
            with self.subTest(result=result):
                context = {"env": {"isPreview": True}, "params": {"r": result}}
                name, complaint = self.render(json.dumps(context))
                self.assertGreater(complaint.pop("line"), 0)
                self.assertEqual((name, complaint), ("invalid", {"path": path, "problem": problem}))

    def test_a_value_that_no_result_may_hold_is_invalid_with_its_path(self):
        self.macro("def render(context):\n    return {'html': '', 'data': {'items': [1, {2}]}}")
        name, body = self.render()
        self.assertEqual((name, body["path"]), ("invalid", "result.data.items[1]"))

    def test_null_in_a_result_is_the_same_as_a_missing_key(self):
        self.macro("def render(context):\n    return {'html': 'h', 'data': None, 'warnings': None}")
        self.assertEqual(self.value(self.render()), {"html": "h", "data": None, "warnings": None})

    def test_a_result_that_no_frame_can_hold_is_invalid_and_the_cell_goes_on(self):
        self.macro("def render(context):\n    return {'html': 'x' * context['params']['n']}")
        context = '{"env":{"isPreview":true},"params":{"n":%d}}'
        name, body = self.render(context % (4 << 20))
        self.assertEqual((name, body["path"]), ("invalid", "result"))
        self.assertIn("larger than", body["problem"])
        for size in [3 << 20, 5]:
            self.assertEqual(len(self.value(self.render(context % size))["html"]), size)

    def test_a_batch_goes_to_render_many_in_one_call(self):
        body = "def render(c): 1/0\ndef render_many(cs):\n    return [{'html': str(len(cs))} for c in cs]"
        self.assertEqual(self.cell.load(body), ("loaded", {"many": True}))
        answer = self.cell.call(f"[{CONTEXT},{CONTEXT},{CONTEXT}]", "renderMany")
        self.assertEqual(self.value(answer), [{"html": "3"}] * 3)
        name, body = self.cell.call(f'[{CONTEXT},{{"env":{{"isPreview":0}}}}]', "renderMany")
        self.assertEqual((name, body["path"]), ("refused", "payload.contexts[1].env.isPreview"))

    def test_a_batch_of_the_wrong_length_or_with_a_wrong_result_is_invalid(self):
        self.macro("n = 0\ndef render(c): pass\ndef render_many(cs):\n    return cs[0]['data']['r']")
        contexts = '[{"env":{"isPreview":true},"data":{"r":%s}},{"env":{"isPreview":true}}]'
        for result, path, problem in [
            ('[{"html":""}]', "result", "expected 2 results, found 1"),
            ('[{"html":""},{"html":""},{"html":""}]', "result", "expected 2 results, found 3"),
            ('[{"html":""},{"html":1}]', "result[1].html", "expected str, found int"),
            ("null", "result", "expected list, found None"),
        ]:
            with self.subTest(result=result):
                answer = self.cell.call(contexts % result, "renderMany")
                self.assertGreater(answer[1].pop("line"), 0)
                self.assertEqual(answer, ("invalid", {"path": path, "problem": problem}))


class Utilities(Case):
    def test_main_gets_any_value_and_answers_any_value(self):
        self.utility("def main(input=None):\n    return input")
        for text in ["null", "1", '"x"', "[1,{}]", '{"a":[null,true]}', str(2**80), "1.5"]:
            with self.subTest(text=text):
                self.assertEqual(self.value(self.cell.call(text)), json.loads(text))

    def test_a_function_without_parameters_is_called_without_an_input(self):
        self.utility("def main():\n    return 'called'\ndef kw(*, a=1):\n    return a\ndef rest(*a):\n    return a")
        self.assertEqual(self.value(self.cell.call("5")), "called")
        self.assertEqual(self.value(self.cell.call("5", entrypoint="kw")), 1)
        self.assertEqual(self.value(self.cell.call("5", entrypoint="rest")), [5])

    def test_a_function_can_be_named_if_it_is_the_scripts_own(self):
        self.utility(
            "import functools\nfrom os.path import join\nfrom functools import wraps\n"
            "def main(): pass\ndef other(x): return x + 1\ndef _hidden(x): pass\nclass Class: pass\nnumber = 1\n"
            "@functools.lru_cache\ndef decorated(x): return x * 2"
        )
        self.assertEqual(self.value(self.cell.call("5", entrypoint="other")), 6)
        self.assertEqual(self.value(self.cell.call("5", entrypoint="decorated")), 10)
        for name in ["_hidden", "join", "Class", "number", "missing", "main.x", "__import__", ""]:
            with self.subTest(name=name):
                name, body = self.cell.call("5", entrypoint=name)
                self.assertEqual((name, body["reason"]), ("raised", "entrypoint_missing"))

    def test_a_call_sees_what_earlier_calls_left(self):
        self.utility("n = 0\ndef main():\n    global n\n    n += 1\n    return n")
        self.assertEqual([self.value(self.cell.call("null")) for _ in range(3)], [1, 2, 3])

    def test_the_script_is_a_module_of_its_name(self):
        body = "from __future__ import annotations\nimport sys, dataclasses\n"
        body += "@dataclasses.dataclass\nclass P:\n    x: int\n"
        body += "def main():\n    return [__name__, __file__, sys.modules[__name__].P is P, P(1)]"
        self.assertEqual(self.cell.load(body, "utility", "word_count")[0], "loaded")
        answer = self.value(self.cell.call("null"))
        self.assertEqual(answer, ["word_count", "word_count.py", True, {"x": 1}])

    def test_a_script_named_like_a_module_does_not_hide_it(self):
        body = "import calendar\ndef main():\n    return [calendar.isleap(2024), __name__]\ndef other(): return 1"
        self.assertEqual(self.cell.load(body, "utility", "calendar")[0], "loaded")
        self.assertEqual(self.value(self.cell.call("null")), [True, "calendar_script"])
        self.assertEqual(self.value(self.cell.call("null", entrypoint="other")), 1)

    def test_asyncio_can_be_imported(self):
        self.utility("import asyncio\ndef main():\n    return asyncio.iscoroutinefunction(main)")
        self.assertEqual(self.value(self.cell.call("null")), False)


class Output(Case):
    def test_what_a_call_prints_comes_with_its_answer_and_not_with_the_next(self):
        body = "import sys\nprint('loading')\ndef main(x):\n    if x:\n        print('a', 'ü')\n"
        self.utility(body + "        print('e', file=sys.stderr)")
        self.assertEqual(self.cell.call("1")[1]["output"], {"stdout": "a ü\n", "stderr": "e\n"})
        self.assertNotIn("output", self.cell.call("0")[1])

    def test_output_is_cut_at_a_characters_border_and_marked(self):
        body = "import sys\ndef main(x):\n    sys.stderr.write('e')\n    print(x[0] * x[1], end='')\n"
        self.utility(body + "    print('more')")
        output = self.cell.call('["x",65536]')[1]["output"]
        self.assertEqual(output, {"stdout": "x" * 65536 + "\n[cut]\n", "stderr": "e", "truncated": True})
        output = self.cell.call('["ü€",65536]')[1]["output"]
        self.assertEqual(output["stdout"], "ü€" * 13107 + "\n[cut]\n")
        output = self.cell.call('["",0]')[1]["output"]
        self.assertEqual(output, {"stdout": "more\n", "stderr": "e"})

    def test_printing_without_end_takes_no_memory(self):
        peak = "import resource\ndef main(n):\n    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        peak += "    for i in range(n):\n        print('y' * 100_000)\n"
        peak += "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before"
        self.utility(peak)
        # AddressSanitizer keeps what was freed aside for a while.
        self.assertLess(self.value(self.cell.call("10000")), 64 << 10 if node.SANITIZER else 4096)

    def test_lone_surrogates_and_odd_writes_do_no_harm(self):
        self.utility(
            "import sys\nclass S(str):\n    def __len__(self): return 10**9\n"
            "    def __getitem__(self, i): return S('z')\n"
            "def main():\n    print('\\ud800|', S('s'))\n    sys.stdout.writelines(['l', 'm'])\n"
            "    sys.stdout.flush()\n"
            "    try:\n        sys.stdout.write(b'x')\n    except TypeError:\n        return sys.stdout.isatty()"
        )
        name, body = self.cell.call("null")
        self.assertEqual((name, body["value"]), ("return", b"false"))
        self.assertTrue(body["output"]["stdout"].endswith("lm"))

    def test_what_goes_past_the_streams_reaches_nobody(self):
        self.utility(
            "import os, sys\ndef main():\n    os.write(1, b'raw')\n    os.write(2, b'raw')\n"
            "    sys.__stdout__.write('x')\n    sys.__stdout__.flush()\n"
            "    sys.stdout = sys.__stdout__\n    print('y', flush=True)"
        )
        self.assertEqual(self.cell.call("null")[1]["value"], b"null")
        self.assertNotIn("output", self.cell.call("null")[1])

    def test_there_is_no_input_to_read(self):
        body = "import sys\ndef main():\n    try:\n        input('name? ')\n    except EOFError:\n"
        self.utility(body + "        return sys.stdin.read()")
        name, body = self.cell.call("null")
        self.assertEqual((body["value"], body["output"]), (b'""', {"stdout": "name? "}))

    def test_the_module_callboard_takes_notices_and_log_lines(self):
        self.utility(
            "import callboard\ndef main(kind):\n    if kind == 'log':\n        callboard.log('line')\n"
            "    elif kind == 'good':\n        callboard.notice('x' * 300)\n    elif kind == 'long':\n"
            "        callboard.notice('x' * 301)\n    else:\n        callboard.notice(7)"
        )
        self.assertEqual(self.cell.call('"good"')[0], "return")
        self.assertEqual(self.cell.call('"log"')[1]["output"], {"stderr": "line\n"})
        self.assertIn("ValueError: a notice has at most 300 characters", self.cell.call('"long"')[1]["exception"])
        self.assertIn("TypeError: a notice is a str, not int", self.cell.call('"other"')[1]["exception"])


if __name__ == "__main__":
    unittest.main()
