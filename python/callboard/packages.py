"""Imports the packages of a virtual environment that are named on the command line, before any code of a user is there.

Runs after the standard library's part and only in the zygote of actions. What is imported here stays importable in full:
the library keeps the rest of these packages in memory.
"""

import importlib
import sys

folder, *names = sys.argv[3:]
sys.path.append(folder)
for name in names:
    module = importlib.import_module(name)
    # Some packages import a part of themselves only when it is asked for; parts in C could not be loaded then.
    for part in getattr(module, "__all__", ()):
        try:
            getattr(module, part)
        except (AttributeError, ImportError):
            pass
