"""What a granted capability loosens of the lock, and that it loosens nothing else.

Who is granted what is the node's business; what stays shut without a capability has tests of its own.
"""

import importlib.machinery
import json
import os
import shutil
import tempfile
import textwrap
import unittest

import node

SCRIPT = """
import io, os, pathlib, sys
def main(cases):
    found = []
    for case in cases:
        try:
            found.append(eval(case))
        except Exception as error:
            found.append(type(error).__name__)
    return found
"""


def policy():
    """What the policy has besides for cells that read files, as it is compiled into the extension module."""
    loader = importlib.machinery.ExtensionFileLoader("_callboard", node.LIBRARY)
    module = loader.create_module(importlib.machinery.ModuleSpec("_callboard", loader, origin=node.LIBRARY))
    loader.exec_module(module)
    return {name: (word, reason) for name, _, word, reason in module.system_calls("files")}


def setUpModule():
    global zygote
    zygote = node.Zygote(files=True)


def tearDownModule():
    zygote.close()


class Files(unittest.TestCase):
    """Two folders, of which a cell was granted one."""

    def setUp(self):
        self.place = os.path.realpath(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)
        for name in ("granted", "granted/deep", "other"):
            os.mkdir(f"{self.place}/{name}")
        for name in ("granted/a.txt", "granted/deep/b.txt", "other/secret.txt"):
            with open(f"{self.place}/{name}", "w") as file:
                file.write(name)
        os.symlink(f"{self.place}/other/secret.txt", f"{self.place}/granted/out")
        os.symlink(f"{self.place}/other", f"{self.place}/granted/away")
        os.symlink("deep/b.txt", f"{self.place}/granted/within")
        # Whoever the cell becomes: what keeps it out shall be the lock and not these.
        for folder, names, files in os.walk(self.place):
            os.chmod(folder, 0o777)
            for name in files:
                os.path.islink(f"{folder}/{name}") or os.chmod(f"{folder}/{name}", 0o666)

    def cell(self, *folders):
        cell = zygote.cell(capabilities=[f"files:read:{folder}" for folder in folders])
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        self.assertEqual(cell.load(SCRIPT, "utility")[0], "loaded")
        return cell

    def results(self, cell, *cases):
        cases = [textwrap.dedent(case).replace("GRANTED", f"{self.place}/granted").replace("PLACE", self.place) for case in cases]
        name, answer = cell.call(json.dumps(cases))
        self.assertEqual(name, "return", answer)
        return json.loads(answer["value"])

    def test_the_policy_grows_by_what_these_tests_try(self):
        found = {name: word for name, (word, reason) in policy().items() if reason}
        expected = {"openat": "read_only", "getdents64": "allow", "pread64": "allow", "ioctl": "refuse"}
        self.assertEqual(found, expected)

    def test_files_beneath_the_folder_are_read_and_listed(self):
        cell = self.cell(f"{self.place}/granted")
        found = self.results(
            cell,
            "open('GRANTED/a.txt').read()",
            "open('GRANTED/deep/b.txt', 'rb').read().decode()",
            "pathlib.Path('GRANTED/within').read_text()",
            "sorted(os.listdir('GRANTED'))",
            "sorted(entry.name for entry in os.scandir('GRANTED') if entry.is_file(follow_symlinks=False))",
            "os.stat('GRANTED/a.txt').st_size",
            "[os.path.exists('GRANTED/a.txt'), os.path.isdir('GRANTED/deep'), os.path.exists('GRANTED/none')]",
            "sorted(name for _, _, names in os.walk('GRANTED') for name in names if name.endswith('.txt'))",
            "os.fstat(os.open('GRANTED/a.txt', os.O_RDONLY)).st_size",
            "os.pread(os.open('GRANTED/a.txt', os.O_RDONLY), 7, 0).decode()",
            "os.isatty(os.open('GRANTED/a.txt', os.O_RDONLY))",
        )
        self.assertEqual(found, [
            "granted/a.txt", "granted/deep/b.txt", "granted/deep/b.txt", ["a.txt", "away", "deep", "out", "within"],
            ["a.txt"], 13, [True, True, False], ["a.txt", "b.txt"], 13, "granted", False,
        ])  # fmt: skip

    def test_nothing_else_is_read_by_any_path_or_link(self):
        cell = self.cell(f"{self.place}/granted")
        cases = [
            "open('/etc/passwd').read()",
            "open('/proc/self/maps').read()",
            "open('PLACE/other/secret.txt').read()",
            "open('GRANTED/../other/secret.txt').read()",
            "open('GRANTED/out').read()",
            "open('GRANTED/away/secret.txt').read()",
            "os.listdir('PLACE')",
            "os.listdir('/')",
            "os.listdir('GRANTED/..')",
            "os.stat('/etc/passwd').st_size",
            "os.stat('PLACE/other/secret.txt').st_size",
            "os.stat('GRANTED/out').st_size",
            "os.lstat('PLACE/other/secret.txt').st_size",
            "os.readlink('GRANTED/out')",
            "os.open('/etc/passwd', os.O_PATH)",
            "os.open('/', os.O_PATH | os.O_DIRECTORY)",
            "os.open('passwd', os.O_RDONLY, dir_fd=os.open('GRANTED', os.O_RDONLY))",
            "os.open('../other/secret.txt', os.O_RDONLY, dir_fd=os.open('GRANTED', os.O_RDONLY))",
            "os.access('/etc/passwd', os.R_OK) or 1 / 0",
            "os.statvfs('GRANTED').f_files",
        ]
        allowed = {"PermissionError", "Refused", "FileNotFoundError", "ZeroDivisionError"}
        for case, found in zip(cases, self.results(cell, *cases)):
            self.assertIn(found, allowed, case)
        exists = self.results(cell, "os.path.exists('/etc/passwd')", "os.path.exists('/no such file')")
        self.assertEqual(exists, [False, False])

    def test_nothing_is_written_made_or_removed(self):
        cell = self.cell(f"{self.place}/granted")
        cases = [
            "open('GRANTED/a.txt', 'w')",
            "open('GRANTED/a.txt', 'r+')",
            "open('GRANTED/a.txt', 'a')",
            "open('GRANTED/new', 'x')",
            "os.open('GRANTED/a.txt', os.O_RDONLY | os.O_TRUNC)",
            "os.open('GRANTED/a.txt', os.O_RDONLY | os.O_CREAT)",
            "os.open('GRANTED', os.O_RDWR | os.O_TMPFILE)",
            "os.mkdir('GRANTED/new')",
            "os.remove('GRANTED/a.txt')",
            "os.rename('GRANTED/a.txt', 'GRANTED/b.txt')",
            "os.symlink('/etc/passwd', 'GRANTED/new')",
            "os.link('PLACE/other/secret.txt', 'GRANTED/new')",
            "os.chmod('GRANTED/a.txt', 0)",
            "os.utime('GRANTED/a.txt')",
            "os.truncate('GRANTED/a.txt', 0)",
            "os.chdir('GRANTED')",
        ]
        for case, found in zip(cases, self.results(cell, *cases)):
            self.assertIn(found, {"PermissionError", "Refused", "OSError"}, case)
        self.assertEqual(sorted(os.listdir(f"{self.place}/granted")), ["a.txt", "away", "deep", "out", "within"])
        with open(f"{self.place}/granted/a.txt") as file:
            self.assertEqual(file.read(), "granted/a.txt")

    def test_sockets_and_programs_stay_refused(self):
        cell = self.cell(f"{self.place}/granted")
        found = self.results(cell, "__import__('socket').socket()", "os.fork()", "os.system('true')")
        self.assertEqual(found, ["Refused"] * 3)

    def test_two_folders_are_two_grants_and_none_is_none(self):
        both = self.cell(f"{self.place}/granted", f"{self.place}/other")
        self.assertEqual(self.results(both, "open('PLACE/other/secret.txt').read()"), ["other/secret.txt"])
        self.assertEqual(self.results(self.cell(), "open('GRANTED/a.txt').read()"), ["Refused"])
        self.assertEqual(self.results(self.cell(), "os.stat('GRANTED/a.txt')"), ["PermissionError"])

    def test_a_folder_that_is_gone_or_became_a_link_grants_nothing(self):
        os.symlink(f"{self.place}/other", f"{self.place}/link")
        for folder in ("gone", "link", "granted/a.txt"):
            with self.subTest(folder):
                cell = self.cell(f"{self.place}/{folder}")
                cases = "open('PLACE/other/secret.txt').read()", "open('PLACE/link/secret.txt').read()"
                self.assertEqual(self.results(cell, *cases), ["PermissionError"] * 2)

    def test_the_capability_llm_opens_no_file(self):
        cell = zygote.cell(capabilities=["llm"])
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        cell.load(SCRIPT, "utility", capabilities=["llm"])
        self.assertEqual(self.results(cell, "open('GRANTED/a.txt').read()"), ["Refused"])


if __name__ == "__main__":
    unittest.main()
