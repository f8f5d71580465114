"""What the lock refuses, as the author of a script hears of it: what was refused, at which line, and how to ask for it."""

import os
import unittest

import node


def setUpModule():
    global zygote
    zygote = node.Zygote()


def tearDownModule():
    zygote.close()


class Case(unittest.TestCase):
    """A test with a cell that is gone at its end."""

    def setUp(self):
        self.cell = zygote.cell()
        self.addCleanup(self.cell.ended)
        self.addCleanup(self.cell.hang_up)

    def load(self, statement, setup="", first=""):
        """A script that does `statement`; called with an input, it does what stands `first`."""
        body = f"import os\n{setup}\ndef main(input=None):\n    if input:\n        {first}return 1\n    {statement}\n"
        self.assertEqual(self.cell.load(body, "utility")[0], "loaded")

    def raised(self):
        name, raised = self.cell.call("null")
        self.assertEqual(name, "raised", raised)
        return raised


class Refused(Case):
    def check(self, statement, refused, *words, setup=""):
        self.load(statement, setup)
        raised = self.raised()
        self.assertEqual((raised["refused"], raised["line"]), (refused, 6), raised)
        for word in words:
            self.assertIn(word, raised["exception"])

    def test_a_file_is_named_with_the_capability_that_gives_it(self):
        self.check("open('/etc/passwd')", "open", "callboard.Refused: ", "open('/etc/passwd') is refused", "files:read:DIR")

    def test_a_folder_is_named(self):
        self.check("os.listdir('/')", "os.listdir", "os.listdir('/') is refused", "files:read:DIR")

    def test_a_call_that_python_does_not_announce_is_named_by_its_system_call(self):
        self.check("os.stat('/etc/passwd')", "newfstatat", "newfstatat is refused", "files:read:DIR")

    def test_a_socket_is_named_with_what_to_do_instead(self):
        self.check("socket.socket()", "socket.__new__", "is refused", "callboard.llm", setup="import socket")

    def test_a_host_name_is_not_looked_up(self):
        self.check("socket.getaddrinfo('localhost', 80)", "socket.getaddrinfo", "network", setup="import socket")

    def test_a_process_is_named(self):
        self.check("subprocess.run(['true'])", "subprocess.Popen", "one process", setup="import subprocess")

    def test_a_thread_is_named(self):
        setup = "import threading"
        self.load("threading.Thread(target=print).start()", setup)
        raised = self.raised()
        self.assertIn(raised["refused"], ("clone", "_thread.start_new_thread", "_thread.start_joinable_thread"))
        self.assertIn("asyncio", raised["exception"])

    def test_memory_that_could_be_executed_is_named(self):
        statement = "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)"
        self.check(statement, "mmap", "no capability", setup="import mmap")

    def test_what_a_top_level_is_refused_is_told_when_it_is_loaded(self):
        name, raised = self.cell.load("\nopen('/etc/hosts')\ndef main(): pass", "utility")
        self.assertEqual((name, raised["refused"], raised["line"]), ("raised", "open", 2))


class Handled(Case):
    def test_a_script_can_handle_it_as_the_system_error_that_it_is(self):
        self.load("""
    import callboard
    try:
        open('/etc/passwd')
    except callboard.Refused as e:
        assert isinstance(e, PermissionError) and e.errno == 1
        return str(e)
""")
        name, answer = self.cell.call("null")
        self.assertEqual(name, "return")
        self.assertIn(b"is refused", answer["value"])

    def test_another_error_later_is_not_blamed_on_it(self):
        for error in ("ValueError('another')", "FileNotFoundError(2, 'another')", "RuntimeError('another')"):
            with self.subTest(error=error):
                self.setUp()
                self.load(f"""
    try:
        open('/etc/passwd')
    except OSError:
        pass
    raise {error}
""")
                raised = self.raised()
                self.assertNotIn("refused", raised)
                self.assertIn("another", raised["exception"])

    def test_a_refusal_of_an_earlier_call_is_forgotten(self):
        refused = "try:\n            open('/etc/passwd')\n        except OSError:\n            "
        self.load("raise PermissionError(1, 'own')", first=refused)
        self.assertEqual(self.cell.call("1")[0], "return")
        self.assertNotIn("refused", self.raised())

    def test_an_argument_is_shown_only_if_it_is_plain_text_and_asks_no_code_of_the_script(self):
        setup = "asked = []\nclass Path(str):\n    def __repr__(self):\n        asked.append(1)\n        return 'made up'"
        self.load("""try:
        open(Path('/x'))
    except OSError as error:
        raise ValueError(f'{error}, asked {len(asked)} times')""", setup)
        exception = self.raised()["exception"]
        self.assertIn("open is refused", exception)
        self.assertIn("asked 0 times", exception)
        self.assertNotIn("made up", exception)


class Page(Case):
    def test_the_last_refusal_stands_on_the_page_while_the_call_runs(self):
        self.load("""
    try:
        os.stat('/')
    except OSError:
        pass
    os.abort()
""")
        self.cell.write("call", node.call("null"))
        with self.assertRaises(EOFError):
            self.cell.receive()
        self.assertEqual(os.pread(self.cell.page, 32, 64).rstrip(b"\0"), b"newfstatat")

    def test_what_was_printed_stands_on_the_page_while_the_call_runs(self):
        self.load("""
    print('so far')
    os.abort()
""")
        self.cell.write("call", node.call("null"))
        with self.assertRaises(EOFError):
            self.cell.receive()
        self.assertEqual(os.pread(self.cell.page, 7, node.OUTPUT), b"so far\n")

    def test_a_script_that_leaves_tells_from_where(self):
        self.load("os._exit(3)")
        self.cell.write("call", node.call("null"))
        with self.assertRaises(EOFError):
            self.cell.receive()
        self.assertIn(b"line 6 in main", self.cell.frames().rstrip(b"\0"))


if __name__ == "__main__":
    unittest.main()
