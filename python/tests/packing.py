"""Just enough MessagePack to speak to a cell as the node does, byte strings included, which no script may have.

What the codec under test makes of MessagePack does not matter here; it has tests of its own.
"""

import struct


def pack(value):
    """The value's bytes."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xcf" + struct.pack(">Q", value) if value >= 0 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))
    parts = [pack(part) for item in value.items() for part in item]
    return b"\xdf" + struct.pack(">I", len(value)) + b"".join(parts)


def unpack(data):
    """The one value that the bytes hold."""
    value, end = _read(data, 0)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes behind the value")
    return value


_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_SIZED = {
    0xC4: (bytes, ">B"), 0xC5: (bytes, ">H"), 0xC6: (bytes, ">I"),
    0xD9: (str, ">B"), 0xDA: (str, ">H"), 0xDB: (str, ">I"),
    0xDC: (list, ">H"), 0xDD: (list, ">I"), 0xDE: (dict, ">H"), 0xDF: (dict, ">I"),
}  # fmt: skip


def _read(data, at):
    mark = data[at]
    at += 1
    if mark < 0x80:
        return mark, at
    if mark >= 0xE0:
        return mark - 0x100, at
    if mark < 0xC0:
        kind, size = ((dict, mark & 15), (list, mark & 15), (str, mark & 31), (str, mark & 31))[(mark >> 4) - 8]
        return _sized(kind, size, data, at)
    if mark in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[mark], at
    form = _NUMBERS.get(mark) or _SIZED[mark][1]
    (number,) = struct.unpack_from(form, data, at)
    at += struct.calcsize(form)
    return (number, at) if mark in _NUMBERS else _sized(_SIZED[mark][0], number, data, at)


def _sized(kind, size, data, at):
    if kind in (bytes, str):
        part = data[at : at + size]
        return (part if kind is bytes else part.decode()), at + size
    items = []
    for _ in range(size * 2 if kind is dict else size):
        item, at = _read(data, at)
        items.append(item)
    return (dict(zip(items[::2], items[1::2])) if kind is dict else items), at
