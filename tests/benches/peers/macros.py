"""The macros that every peer runs: those of tests/benches/fixtures, by name. What serves them is in the other files here."""

import importlib.util
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


def load(name):
    """The function of a macro."""
    spec = importlib.util.spec_from_file_location(name, FIXTURES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.render


MACROS = {name: load(name) for name in ("simple", "medium")}


def answer(request):
    """What a service replies to a request as Callboard gets it."""
    return {"ok": True, "data": MACROS[request["script"]](request["context"])}
