"""Attempts to find the secret inside of this process: another script's, left behind or in reach. Without the lock it is
planted there, as if that script had run in this process; in a cell, other cells of the same zygote hold it.
"""

from attempt import attempt, native


@attempt
def hunt_through_all_objects(given):
    import gc

    found = [text for text in map(str, gc.get_objects()) if "kanary-" in text]
    return " ".join(found)


@attempt
def hunt_through_what_objects_refer_to(given):
    import gc

    seen, found, edge = set(), [], gc.get_objects()
    while edge:
        edge = [it for it in gc.get_referents(*edge) if id(it) not in seen and not seen.add(id(it))]
        found += [text for text in edge if isinstance(text, str) and text.startswith("kanary-")]
    return " ".join(found)


@attempt
def hunt_through_frames(given):
    import sys

    frame, found = sys._getframe(), []
    while frame:
        found += [str(value) for value in [*frame.f_locals.values(), *frame.f_globals.values()] if value is not given]
        frame = frame.f_back
    return " ".join(text for text in found if "kanary-" in text)


@attempt
def hunt_through_the_frames_of_an_error(given):
    import sys

    try:
        raise ValueError
    except ValueError as error:
        frame = error.__traceback__.tb_frame
        found = []
        while frame:
            found += map(str, frame.f_locals.values())
            frame = frame.f_back
    found += [str(vars(frame)) for frame in [sys.modules["__main__"]]]
    return " ".join(text for text in found if "kanary-" in text)


@attempt
def hunt_through_frames_of_all_threads(given):
    import sys

    found = []
    for frame in sys._current_frames().values():
        while frame:
            found += map(str, frame.f_locals.values())
            frame = frame.f_back
    return " ".join(text for text in found if "kanary-" in text)


@attempt
def hunt_through_subclasses(given):
    found = []
    for kind in object.__subclasses__():
        found += [str(value) for value in vars(kind).values()]
    return " ".join(text for text in found if "kanary-" in text)


@attempt
def hunt_through_modules(given):
    import sys

    found = []
    for module in list(sys.modules.values()):
        found += [str(value) for value in getattr(module, "__dict__", {}).values()]
    return " ".join(text for text in found if text.startswith("kanary-"))


@attempt
def hunt_through_builtins(given):
    import builtins

    return " ".join(str(value) for value in vars(builtins).values() if "kanary-" in str(value))


@attempt
def hunt_through_the_environment(given):
    import os

    return str(dict(os.environ))


@attempt
def hunt_through_arguments(given):
    import sys

    return str([sys.argv, sys.orig_argv, sys.path, sys._xoptions])


@attempt
def hunt_through_the_line_cache(given):
    import linecache

    return str(linecache.cache)


@attempt
def hunt_through_what_ends_with_the_process(given):
    import atexit
    import gc

    functions = [it for it in gc.get_objects() if callable(it) and getattr(it, "__defaults__", None)]
    return str([it.__defaults__ for it in functions]) + str(atexit._ncallbacks())


@attempt
def hunt_through_context(given):
    import contextvars

    return str(dict(contextvars.copy_context().items()))


@attempt
def hunt_through_loggers(given):
    import logging

    return str(logging.root.manager.loggerDict)


@attempt
def hunt_through_caches(given):
    import re

    return str([str(value) for value in vars(re).values() if isinstance(value, dict)])


@attempt
def hunt_through_codecs(given):
    import codecs

    return str(codecs.lookup("kanary").name)


@native
def hunt_through_all_small_objects(given):
    memory, found = Memory(), []
    # The blocks that small objects lie in, a megabyte around each that is found.
    near = {id(object()) >> 20, id(given) >> 20, id(KEPT) >> 20, id({}) >> 20, id("".join(["a", "b"])) >> 20}
    for block in near:
        data = memory.read(block << 20, 1 << 20)
        start = data.find(b"kanary-")
        while start >= 0:
            found.append(data[start : start + 39].decode("latin-1"))
            start = data.find(b"kanary-", start + 1)
    return " ".join(found)


@native
def hunt_through_static_memory(given):
    memory, found = Memory(), []
    environment = memory.word(symbol(memory, "environ"))
    while memory.word(environment):
        found.append(memory.text(memory.word(environment)))
        environment += 8
    return " ".join(found)
