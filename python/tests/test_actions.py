"""Modules of actions in cells: what they tell, payloads held to their types, results too.

How nodes find and offer them has tests of its own.
"""

import json
import pathlib
import shutil
import tempfile
import textwrap
import unittest

import node

HEAD = """
import dataclasses, enum, typing
from typing import Any, Dict, List, Literal, Optional, Union
from callboard import action

@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5
    hidden: int = dataclasses.field(default=7, init=False)

class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"

class Options(typing.TypedDict, total=False):
    deep: bool

class Request(Options):
    points: List[Point]
    colour: Optional[Colour]
"""


def setUpModule():
    global zygote
    zygote = node.Zygote()


def tearDownModule():
    zygote.close()


class Case(unittest.TestCase):
    def cell(self, body, actions):
        cell = zygote.cell()
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        return cell, cell.load(HEAD + textwrap.dedent(body), "utility", slug="mine", entrypoint="", actions=actions)

    def told(self, body):
        name, loaded = self.cell(body, "tell")[1]
        self.assertEqual(name, "loaded", loaded)
        return {declared["name"]: declared for declared in loaded["actions"]}

    def served(self, body, name="a.b"):
        cell, answer = self.cell(body, {"serve": name})
        self.assertEqual(answer[0], "loaded", answer)
        return cell

    def call(self, cell, payload):
        name, body = cell.call(json.dumps(payload), "action")
        return name, json.loads(body["value"]) if name == "return" else body


class Telling(Case):
    def test_a_module_tells_its_actions_with_their_schemas(self):
        told = self.told("""
            @action("a.b", timeout_s=1.5, capabilities=["llm", "files:read:/a"])
            async def first(payload: Request) -> Union[Point, None]: ...
            @action("c.d")
            def second(): ...
        """)
        self.assertEqual(list(told), ["a.b", "c.d"])
        first, second = told.values()
        self.assertEqual((first["timeoutMs"], first["capabilities"]), (1500, ["llm", "files:read:/a"]))
        self.assertEqual((second["timeoutMs"], second["capabilities"]), (None, []))
        point = {
            "type": "object",
            "properties": {"x": {"type": "integer"}, "y": {"type": "number"}},
            "required": ["x"],
            "additionalProperties": False,
        }
        schema = json.loads(first["input"])
        self.assertEqual(schema.pop("$schema"), "https://json-schema.org/draft/2020-12/schema")
        self.assertEqual(schema["properties"]["points"], {"type": "array", "items": point})
        self.assertEqual(schema["properties"]["colour"], {"anyOf": [{"enum": [1, "blue"]}, {"type": "null"}]})
        self.assertEqual(schema["properties"]["deep"], {"type": "boolean"})
        self.assertEqual(sorted(schema["required"]), ["colour", "points"])
        self.assertEqual(json.loads(first["output"])["anyOf"], [point, {"type": "null"}])
        self.assertEqual(json.loads(second["input"])["properties"], {})
        self.assertEqual(set(json.loads(second["output"])), {"$schema"})

    def test_what_cannot_be_an_action_is_told_with_its_line(self):
        for body, words in [
            ("@action('a.b')\ndef f(payload: set): ...", "cannot be a part of a payload"),
            ("@action('a.b')\ndef f(payload: Dict[int, str]): ...", "keys of a dict are str"),
            ("@action('a.b')\ndef f(a, b): ...", "must take one parameter"),
            ("@action('a.b')\ndef f(*, a): ...", "must take one parameter"),
            ("@action\ndef f(payload): ...", "is registered by its name"),
            ("@action('a.b', timeout_s='5')\ndef f(payload): ...", "timeout_s is a number"),
            ("@action('a.b', capabilities='llm')\ndef f(payload): ...", "capabilities are a list"),
            ("@dataclasses.dataclass\nclass Tree:\n    under: 'List[Tree]'\n@action('a.b')\ndef f(payload: Tree): ...",
             "holds itself"),
        ]:  # fmt: skip
            with self.subTest(body=body):
                name, raised = self.cell(body, "tell")[1]
                self.assertEqual(name, "raised")
                self.assertIn(words, raised["exception"])
                self.assertGreater(raised["line"], HEAD.count("\n"))
        name, raised = self.cell("x = 1", "tell")[1]
        self.assertIn("registers 1 to 64 actions", raised["exception"])
        many = "for n in range(65):\n    @action(f'a.b{n}')\n    def f(payload): ...\n"
        self.assertIn("this one 65", self.cell(many, "tell")[1][1]["exception"])

    def test_an_action_that_is_not_there_cannot_be_served(self):
        name, raised = self.cell("@action('a.b')\ndef f(payload): ...", {"serve": "a.c"})[1]
        self.assertEqual((name, raised["reason"]), ("raised", "entrypoint_missing"))


class Payloads(Case):
    def test_a_payload_reaches_the_function_as_its_type(self):
        cell = self.served("""
            @action("a.b")
            def f(payload: Request) -> list:
                point = payload["points"][0]
                assert type(point) is Point and payload["colour"] in (Colour.BLUE, None)
                return [point.x, point.y, point.hidden, payload.get("deep")]
        """)
        self.assertEqual(self.call(cell, {"points": [{"x": 1}], "colour": "blue"}), ("return", [1, 0.5, 7, None]))
        payload = {"points": [{"x": 1, "y": 2}], "colour": None, "deep": True}
        self.assertEqual(self.call(cell, payload), ("return", [1, 2, 7, True]))

    def test_what_is_not_of_its_type_is_refused_with_its_path(self):
        cell = self.served("""
            @action("a.b")
            def f(payload: Request): raise SystemExit
        """)
        good = {"points": [], "colour": None}
        for change, path, problem in [
            ({"points": {}}, "payload.points", "expected list, found dict"),
            ({"points": [5]}, "payload.points[0]", "expected an object, found int"),
            ({"points": [{"x": 1}, {"x": True}]}, "payload.points[1].x", "expected int, found bool"),
            ({"points": [{"x": 1, "hidden": 1}]}, "payload.points[0].hidden", "unknown key"),
            ({"points": [{}]}, "payload.points[0]", "`x` is missing"),
            ({"points": [{"x": 1, "y": "2"}]}, "payload.points[0].y", "expected float, found str"),
            ({"colour": 1.0}, "payload.colour", None),
            ({"colour": "red"}, "payload.colour", None),
            ({"deep": 1}, "payload.deep", "expected bool, found int"),
            ({"x y": 1}, "payload", "unknown key"),
        ]:
            with self.subTest(change=change):
                name, refused = self.call(cell, {**good, **change})
                self.assertEqual((name, refused["path"]), ("refused", path), refused)
                if problem:
                    self.assertEqual(refused["problem"], problem)
        self.assertEqual(self.call(cell, [])[1], {"path": "payload", "problem": "expected an object, found list"})

    def test_a_type_that_raises_a_value_error_refuses_and_others_fail(self):
        cell = self.served("""
            @dataclasses.dataclass
            class Even:
                n: int
                def __post_init__(self):
                    if self.n % 2: raise ValueError("not even")
                    if self.n == 4: raise KeyError("four")
            @action("a.b")
            def f(payload: Even): return payload.n
        """)
        self.assertEqual(self.call(cell, {"n": 3}), ("refused", {"path": "payload", "problem": "not even"}))
        self.assertEqual(self.call(cell, {"n": 4})[0], "raised")
        self.assertEqual(self.call(cell, {"n": 2}), ("return", 2))

    def test_a_cell_serves_its_action_and_nothing_else(self):
        body = "@action('a.b')\ndef f(payload): return 1\n@action('c.d')\ndef g(payload): return 2\ndef main(): return 3"
        cell, loaded = self.cell(body, {"serve": "c.d"})
        self.assertEqual(loaded, ("loaded", {"many": False}))
        self.assertEqual(self.call(cell, {}), ("return", 2))
        other = zygote.cell()
        other.load(HEAD + body, "utility", slug="mine", entrypoint="", actions={"serve": "c.d"})
        other.write("call", node.call("null", "main", entrypoint="main"))
        self.assertEqual(other.ended()["status"], 70)


class Results(Case):
    def test_results_are_held_to_their_type(self):
        cell = self.served("""
            made = {"good": [Point(1)], "type": [{"x": 1}], "field": [Point("1")], "list": (Point(1),), "none": None}
            @action("a.b")
            def f(payload: dict) -> List[Point]: return made[payload["which"]]
        """)
        self.assertEqual(self.call(cell, {"which": "good"}), ("return", [{"x": 1, "y": 0.5}]))
        for which, path in [("type", "result[0]"), ("field", "result[0].x"), ("list", "result"), ("none", "result")]:
            name, invalid = self.call(cell, {"which": which})
            self.assertEqual((name, invalid["path"]), ("invalid", path), which)

    def test_asynchronous_actions_are_run_to_their_end(self):
        cell, loaded = self.cell(
            "import asyncio\n@action('a.b')\nasync def f(payload):\n    await asyncio.sleep(0)\n    return 1", {"serve": "a.b"}
        )
        self.assertEqual(loaded, ("loaded", {"many": False, "asynchronous": True}))
        self.assertEqual(self.call(cell, {}), ("return", 1))


class Packages(unittest.TestCase):
    """A zygote of actions, with a folder of packages made here."""

    def setUp(self):
        self.place = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.place)
        for file, text in {
            "named/__init__.py": "from named import eager\n__all__ = ['lazy', 'missing']\n"
            "def __getattr__(name):\n    import importlib\n    return importlib.import_module(f'named.{name}')\n",
            "named/eager.py": "value = 1\n",
            "named/lazy.py": "value = 2\n",
            "named/later.py": "value = 3\n",
            "other/__init__.py": "value = 4\n",
        }.items():
            path = pathlib.Path(self.place, file)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def test_a_preloaded_package_is_there_as_a_whole_and_no_other_is(self):
        own = node.Zygote(packages=[self.place, "named"])
        shutil.rmtree(f"{self.place}/named")
        cell = own.cell()
        cell.load(
            HEAD
            + "import sys, named, named.later\n@action('a.b')\ndef f(payload) -> list:\n    try:\n        import other\n"
            + "    except ImportError:\n        values = [m.value for m in (named.eager, named.lazy, named.later)]\n"
            + "        return [values, sys.argv, sys.path]",
            "utility", slug="mine", entrypoint="", actions={"serve": "a.b"},
        )  # fmt: skip
        name, body = cell.call("{}", "action")
        self.assertEqual((name, json.loads(body["value"])), ("return", [[1, 2, 3], ["-c"], []]))
        cell.hang_up()
        cell.ended()
        own.close()

    def test_a_package_that_cannot_be_imported_keeps_the_zygote_from_starting(self):
        own = node.Zygote(packages=[self.place, "not_there"])
        self.assertIsNone(own.ready)
        self.assertNotEqual(own.close(), 0)


if __name__ == "__main__":
    unittest.main()
