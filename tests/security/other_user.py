"""Runs a suite a second time as a user who is not root, if root runs it: what root's node takes from its cells by becoming
another user, a user's node must take by other means.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# An id that no account has.
USER = 54_321
AGAIN = "CALLBOARD_TESTS_AS"


def name():
    """Who runs this."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def _interpreter():
    """An interpreter that everyone may run."""
    for path in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        question = [path, "-I", "-S", "-B", "-c", "import sys; sys.exit(sys.version_info < (3, 10))"]
        try:
            if subprocess.run(question, user=USER, group=USER, extra_groups=[], check=False).returncode == 0:
                return path
        except OSError:
            continue
    return None


def run_both(suite):
    """Runs the tests of a suite's file, as root beside another user who does the same; ends this process."""
    with tempfile.TemporaryDirectory(prefix="callboard-suite-") as folder:
        other = _start(Path(suite).resolve(), Path(folder))
        here = unittest.main("__main__", exit=False).result.wasSuccessful()
        there = True
        if other:
            print(other.communicate()[0], end="")
            there = other.returncode == 0
    sys.exit(not (here and there))


def _start(suite, folder):
    """A process that runs the suite as another user; none if that cannot be, which is told."""
    if os.geteuid() != 0:
        if AGAIN not in os.environ:
            print(f"{name()} is not root: not run as root")
        return None
    interpreter = _interpreter()
    if interpreter is None:
        print("no interpreter here can be run by a user who is not root: only run as root")
        return None
    # The repository and the interpreter's packages may lie where others have no access.
    folder.chmod(0o755)
    for part in ("python/callboard", "python/tests", "tests/security"):
        shutil.copytree(REPOSITORY / part, folder / part)
    library = shutil.copy(os.environ["CALLBOARD_CELL"], folder)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    command = [interpreter, "-B", str(folder / suite.relative_to(REPOSITORY)), *sys.argv[1:]]
    environment = {"CALLBOARD_CELL": library, AGAIN: str(USER), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(
        command, env=environment, user=USER, group=USER, extra_groups=[], cwd="/", umask=0o022, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
