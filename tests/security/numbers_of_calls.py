"""The numbers of the kernel's system calls on each architecture, from `calls.txt`."""

import os
from pathlib import Path

ARCHITECTURES = ["x86_64", "aarch64"]


def of(architecture):
    """The numbers by name."""
    column = 1 + ARCHITECTURES.index(architecture)
    lines = (Path(__file__).parent / "calls.txt").read_text().splitlines()
    entries = [line.split() for line in lines if not line.startswith("#")]
    return {entry[0]: int(entry[column]) for entry in entries if entry[column] != "-"}


def here():
    """Those of this machine."""
    return of(os.uname().machine)
