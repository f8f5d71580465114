"""What editors are told of the package `callboard` and what it is: the same names, parameters and fields.

Whether types are right is for the readers of the stubs; whether calls work, for the other tests.
"""

import ast
import inspect
import json
import sys
import textwrap
import typing
import unittest
from pathlib import Path

import node

PACKAGE = Path(__file__).parent.parent / "callboard"
sys.path.insert(0, str(PACKAGE.parent))

# Made by the extension module; they are looked for in a cell.
IN_CELLS_ONLY = {"Refused"}


def stubs():
    """Each stub: its module and the statements in it."""
    for path in sorted(PACKAGE.glob("*.pyi")):
        name = "callboard" if path.stem == "__init__" else f"callboard.{path.stem}"
        yield name, ast.parse(path.read_text())


def module(name):
    """The module itself, imported as any."""
    __import__(name)
    return sys.modules[name]


def parameters(function):
    """Name, kind and default of each parameter, as a stub says."""
    args = function.args
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + args.defaults
    found = [(arg.arg, "POSITIONAL_OR_KEYWORD", default) for arg, default in zip(positional, defaults)]
    found += [(arg.arg, "KEYWORD_ONLY", default) for arg, default in zip(args.kwonlyargs, args.kw_defaults)]
    return [(name, kind, default and ast.literal_eval(default), default is None) for name, kind, default in found]


def own(function):
    """The same of a function itself."""
    empty = inspect.Parameter.empty
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind.name, None if p.default is empty else p.default, p.default is empty) for p in found]


class Stubs(unittest.TestCase):
    def test_every_public_module_has_a_stub_and_the_package_says_that_it_is_typed(self):
        public = {path.stem for path in PACKAGE.glob("*.py") if path.stem not in ("boot", "library", "packages", "preload")}
        public = {name for name in public if name == "__init__" or not name.startswith("_")}
        self.assertEqual({path.stem for path in PACKAGE.glob("*.pyi")}, public)
        self.assertTrue((PACKAGE / "py.typed").exists())

    def test_names_are_the_same(self):
        for name, stub in stubs():
            with self.subTest(name):
                [listed] = [
                    ast.literal_eval(node.value)
                    for node in stub.body
                    if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
                ]
                self.assertEqual(set(listed) - IN_CELLS_ONLY, set(module(name).__all__) - IN_CELLS_ONLY)
                self.assertEqual(listed, sorted(listed))

    def test_functions_take_the_same_parameters(self):
        seen = 0
        for name, stub in stubs():
            for said in stub.body:
                if isinstance(said, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    with self.subTest(f"{name}.{said.name}"):
                        function = getattr(module(name), said.name)
                        self.assertEqual(own(function), parameters(said))
                        asynchronous = isinstance(said, ast.AsyncFunctionDef)
                        self.assertEqual(inspect.iscoroutinefunction(function), asynchronous)
                        seen += 1
        self.assertGreaterEqual(seen, 4)

    def test_classes_have_the_same_fields(self):
        seen = 0
        for name, stub in stubs():
            for said in stub.body:
                if not isinstance(said, ast.ClassDef) or said.name in IN_CELLS_ONLY:
                    continue
                with self.subTest(f"{name}.{said.name}"):
                    made = getattr(module(name), said.name)
                    fields = [part.target.id for part in said.body if isinstance(part, ast.AnnAssign)]
                    if issubclass(made, Exception):
                        self.assertEqual(sorted(vars(made("CODE", "reason"))), sorted(fields))
                        [init] = [part for part in said.body if isinstance(part, ast.FunctionDef)]
                        self.assertEqual(own(made.__init__), parameters(init))
                    else:
                        self.assertEqual(list(typing.get_type_hints(made)), fields)
                    seen += 1
        self.assertGreaterEqual(seen, 4)

    def test_a_cell_has_every_name(self):
        zygote = node.Zygote()
        cell = zygote.cell()
        body = """
            import callboard, callboard.llm, callboard.errors
            from callboard import llm, errors
            def main():
                assert llm is callboard.llm and errors is callboard.errors
                assert issubclass(callboard.Refused, PermissionError)
                assert callboard.ActionError is errors.ActionError
                return [sorted(m.__all__) for m in (callboard, errors, llm) if all(hasattr(m, n) for n in m.__all__)]
        """
        self.assertEqual(cell.load(textwrap.dedent(body), "utility")[0], "loaded")
        name, answer = cell.call("null")
        self.assertEqual(name, "return", answer)
        expected = [sorted(module(name).__all__) for name in ("callboard", "callboard.errors", "callboard.llm")]
        self.assertEqual(json.loads(answer["value"]), expected)
        cell.hang_up()
        cell.ended()
        zygote.close()


if __name__ == "__main__":
    unittest.main()
