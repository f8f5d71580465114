"""The zygote's first code: loads the extension module from the path in the first argument and hands over to it;
a second argument, `network`, `files` or both with a comma between, leaves it in that of the machine, `closed` in nothing; with
`tls` among these words it has the modules for that. What follows are a folder of packages and their names.

The node passes this text to `python3 -I -S -B -c`; everything else lives in the extension module.
"""

import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec

loader = ExtensionFileLoader("_callboard", sys.argv[1])
module = loader.create_module(ModuleSpec("_callboard", loader, origin=sys.argv[1]))
loader.exec_module(module)
module.zygote("".join(sys.argv[2:3]))
