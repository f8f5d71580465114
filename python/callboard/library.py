"""The standard library in memory: what is not preloaded is still imported, in processes that can open no file.

Runs once, after the preloading, and changes how this process and its forks import: built-in and frozen modules first,
then those kept here, and never a file again. Modules in C cannot be kept this way; those are preloaded or missing.
"""

import io
import marshal
import os
import sys
import zoneinfo
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec
from importlib.util import MAGIC_NUMBER, cache_from_source
from zoneinfo import ZoneInfoNotFoundError, _common

# What needs a screen, a network, another process or a module in C that no cell has, and tests.
LEFT_OUT = set("""
__pycache__ config curses ctypes dbm ensurepip idlelib lib-dynload lib2to3 msilib multiprocessing pydoc_data
site-packages sqlite3 test tests tkinter turtledemo turtle.py unittest venv wsgiref xmlrpc distutils
""".split())  # fmt: skip

HEADER = 16


class Library:
    """A finder and loader of modules by name; each is kept as compiled code, else as source."""

    def __init__(self, folder):
        self.modules = {}
        self._keep(folder, "")

    def _keep(self, folder, prefix):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name in LEFT_OUT:
                continue
            if entry.is_dir() and os.path.exists(f"{entry.path}/__init__.py"):
                self._keep(entry.path, f"{prefix}{entry.name}.")
            elif entry.name.endswith(".py"):
                package = entry.name == "__init__.py"
                name = prefix[:-1] if package else prefix + entry.name[:-3]
                code = name and name not in sys.modules and _code(entry.path)
                if code:
                    self.modules[name] = (entry.path, package, *code)

    def find_spec(self, name, path=None, target=None):
        """The module's spec, if it is one of these."""
        if name not in self.modules:
            return None
        place, package, _, _ = self.modules[name]
        spec = ModuleSpec(name, self, origin=place, is_package=package)
        spec.has_location = True
        return spec

    def create_module(self, spec):
        """A module like any other."""
        return None

    def exec_module(self, module):
        """Runs the module's code."""
        place, _, compiled, data = self.modules[module.__name__]
        code = marshal.loads(data[HEADER:]) if compiled else compile(data, place, "exec", dont_inherit=True)
        exec(code, module.__dict__)


def _read(path):
    """What is in a file; nothing if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _code(path):
    """Of a source file: whether there is code that this very interpreter made of it, and that code, else the source."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    data = _read(cache_from_source(path))
    stamp = int(stat.st_mtime).to_bytes(8, "little")[:4] + stat.st_size.to_bytes(8, "little")[:4]
    # A second word that is not zero means that a hash follows, not a time: such files are of builds that never change.
    current = data[4:HEADER] == bytes(4) + stamp or data[4:8] not in (b"", bytes(4))
    return (True, data) if data[:4] == MAGIC_NUMBER and current else (False, _read(path))


def _zones():
    """The system's time zones by key, as the bytes of their files."""
    found = {}
    for folder in zoneinfo.TZPATH:
        for place, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if name not in ("posix", "right")]
            for name in files:
                data = _read(os.path.join(place, name))
                if data.startswith(b"TZif"):
                    found.setdefault(os.path.relpath(os.path.join(place, name), folder), data)
    return found


def _serve_zones(zones):
    """Makes `zoneinfo` read these."""

    def load_tzdata(key):
        if key not in zones:
            raise ZoneInfoNotFoundError(f"No time zone found with key {key}")
        return io.BytesIO(zones[key])

    _common.load_tzdata = load_tzdata


def _library():
    """All of the standard library, and of the packages that were imported from the folder on the command line."""
    library = Library(os.path.dirname(os.__file__))
    for folder in sys.argv[3:4]:
        for name in {name.partition(".")[0] for name in sys.modules}:
            if os.path.exists(f"{folder}/{name}/__init__.py"):
                library._keep(f"{folder}/{name}", f"{name}.")
    return library


_serve_zones(_zones())
sys.meta_path[:] = [BuiltinImporter, FrozenImporter, _library()]
del sys.argv[1:]
sys.path.clear()
sys.path_importer_cache.clear()
