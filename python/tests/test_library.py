"""The standard library in a cell that has no files: preloaded, or imported from memory.

What is tested is that modules work there, not what they do.
"""

import json
import unittest

import node

# Modules of other systems, or whose part in C no cell has.
MISSING = {
    "_distutils_system_mod", "asyncio.windows_events", "asyncio.windows_utils", "concurrent.futures.process",
    "crypt", "doctest", "encodings.mbcs", "encodings.oem", "ssl", "nturl2path", "_pyrepl.curses",
    "_pyrepl._minimal_curses", "_pyrepl.readline", "_pyrepl.simple_interact", "_pyrepl.unix_console", "_pyrepl.unix_eventqueue",
    "_pyrepl.windows_console", "_pyrepl.main", "_pyrepl._module_completer",
}  # fmt: skip

IMPORT_ALL = """
import importlib, sys
def main(skip):
    failed = {}
    names = [name for name in sys.meta_path[-1].modules if name.split('.')[-1] != '__main__']
    for name in names:
        if name in skip:
            continue
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed[name] = f'{type(error).__name__}: {error}'
    return [len(names), failed]
"""

USES = """
import asyncio, csv, datetime, decimal, email.message, hashlib, io, re, uuid, xml.etree.ElementTree, zoneinfo
import email, gzip, http.cookies, argparse, concurrent.futures, xml.sax, random, locale, logging, warnings

def zone():
    return datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset().seconds

def strptime():
    return datetime.datetime.strptime('3 May 2024', '%d %B %Y').isoformat()

def codecs():
    return ['日本'.encode('shift_jis').hex(), 'bücher.de'.encode('idna').decode(), 'ж'.encode('koi8_r').hex()]

def mail():
    message = email.message.EmailMessage()
    message['Subject'] = 'Grüße'
    message.set_content('ü')
    return email.message_from_bytes(message.as_bytes(), policy=email.policy.default)['subject']

def hashes():
    names = ('md5', 'sha1', 'sha256', 'sha512', 'sha3_256', 'blake2b')
    return sorted(hashlib.new(name, b'x').hexdigest()[:2] for name in names)

def sax():
    class Names(xml.sax.ContentHandler):
        seen = []
        def startElement(self, name, attributes):
            self.seen.append(name)
    xml.sax.parseString(b'<a><b/></a>', Names())
    return Names.seen

def loop():
    # Without sockets there is no event loop yet; what it is made of is there.
    return asyncio.iscoroutinefunction(loop)

def warn():
    warnings.warn('careful')
    logging.warning('logged')

def missing():
    for name in ('sqlite3', 'numpy', 'ctypes', 'script'):
        try:
            __import__(name)
        except ModuleNotFoundError as error:
            continue
        return name

def main(): pass
"""


def setUpModule():
    global zygote
    zygote = node.Zygote()


def tearDownModule():
    zygote.close()


class Library(unittest.TestCase):
    def loaded(self, body):
        cell = zygote.cell()
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        name, answer = cell.load(body, "utility")
        self.assertEqual(name, "loaded", answer)
        return cell

    def test_every_module_that_is_kept_can_be_imported(self):
        cell = self.loaded(IMPORT_ALL)
        count, failed = json.loads(cell.call(json.dumps(["this", "antigravity", *MISSING]))[1]["value"])
        self.assertEqual(failed, {})
        self.assertGreater(count, 150)

    def test_modules_work_without_files(self):
        cell = self.loaded(USES)
        for name, expected in [
            ("zone", 7200),
            ("strptime", "2024-05-03T00:00:00"),
            ("codecs", ["93fa967b", "xn--bcher-kva.de", "d6"]),
            ("mail", "Grüße"),
            ("hashes", ["09", "11", "2d", "74", "9d", "a4"]),
            ("sax", ["a", "b"]),
            ("loop", False),
            ("missing", None),
        ]:
            with self.subTest(name=name):
                answer, body = cell.call("null", entrypoint=name)
                self.assertEqual((answer, json.loads(body.get("value", "0"))), ("return", expected), body)

    def test_warnings_and_log_lines_are_output(self):
        output = self.loaded(USES).call("null", entrypoint="warn")[1]["output"]["stderr"]
        self.assertIn("UserWarning: careful", output)
        self.assertIn("WARNING:root:logged", output)

    def test_sleeping_works(self):
        cell = self.loaded("import time\ndef main():\n    time.sleep(0.001)\n    return 'rested'")
        self.assertEqual(cell.call("null")[1]["value"], b'"rested"')


if __name__ == "__main__":
    unittest.main()
