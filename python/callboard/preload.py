"""Imports the part of the standard library that scripts are likely to use, once, for all cells.

Cells are forks of the process that runs this: what is imported here costs them nothing. A module that this Python lacks
is left out. Third-party packages are not loaded here; what is left of the standard library is the library's business.
"""

import importlib
import sys

MODULES = """
abc array ast base64 binascii bisect calendar cmath codecs collections collections.abc colorsys configparser
contextlib contextvars copy csv datetime decimal difflib email.header email.message email.mime.multipart
email.mime.text email.parser email.policy email.utils encodings.ascii encodings.cp1252 encodings.idna
encodings.iso8859_15 encodings.latin_1 encodings.punycode encodings.raw_unicode_escape encodings.unicode_escape
encodings.utf_16 encodings.utf_32 encodings.utf_8_sig enum errno faulthandler fnmatch fractions functools gc gettext graphlib
gzip hashlib heapq hmac html html.entities html.parser inspect io ipaddress itertools json keyword linecache
locale logging math mimetypes numbers operator pathlib pickle posixpath pprint queue quopri random re reprlib
secrets shlex socket stat statistics string stringprep struct tempfile textwrap threading time timeit token
tokenize tomllib traceback types typing unicodedata urllib.parse uuid warnings weakref xml.dom.minidom
xml.etree.ElementTree xml.sax.saxutils zipfile zlib zoneinfo asyncio dataclasses _strptime
""".split()

# Modules in C that others come back to when they are needed; no cell can load them later.
PARTS = """
_asyncio _blake2 _bz2 _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _contextvars _csv
_datetime _decimal _elementtree _hashlib _heapq _json _lsprof _lzma _md5 _multibytecodec _opcode _pickle
_posixsubprocess _queue _random _sha1 _sha2 _sha256 _sha3 _sha512 _socket _statistics _struct _typing _uuid _zoneinfo
audioop fcntl grp mmap pyexpat resource select termios
""".split()

# For actions, whose modules may import them whatever was granted. Cells of scripts have no use for them: asyncio takes TLS
# where it finds it, and the library behind it would double their size.
NETWORK = "ssl http.client http.cookies select selectors urllib.request"

if {"network", "tls"} & set("".join(sys.argv[2:3]).split(",")):
    MODULES += NETWORK.split()
else:
    sys.modules["ssl"] = None
for name in MODULES + PARTS:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
if sys.modules.get("ssl", sys) is None:
    del sys.modules["ssl"]
