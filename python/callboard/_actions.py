"""Actions of a module: who is registered, what their types say as JSON Schema, and values held to those types.

Modules are loaded and called by the cell's extension module. Pydantic is used where it was preloaded and never imported
from here.
"""

import dataclasses
import enum
import inspect
import json
import sys
import types
import typing

from callboard.errors import Mismatch

# What a module has registered, by name.
registered = {}

_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
_UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))
_REQUIRED = [form for form in (getattr(typing, "Required", None), getattr(typing, "NotRequired", None)) if form]


class Declared:
    """One action: its function and what its author says of it."""

    def __init__(self, name, function, timeout_s, capabilities):
        self.name = name
        self.function = function
        self.timeout_ms = None if timeout_s is None else int(timeout_s * 1000)
        self.capabilities = list(capabilities)
        self.takes_payload, self.takes, self.gives = _types(function)
        self.input = json.dumps(_whole_schema(self.takes))
        self.output = json.dumps(_whole_schema(self.gives))

    def typed(self, payload):
        """The payload as the function's parameter has it; `Mismatch` if it is none."""
        return _convert(self.takes, payload, "payload")

    def checked(self, result):
        """The result, held to the function's type and made of plain values; `Mismatch` if it is none."""
        return _check(self.gives, result, "result")


def action(name, *, timeout_s=None, capabilities=()):
    """Registers the function that follows as an action of this name.

    It takes one parameter, the payload, or none; the types of parameter and result become its schemas.
    """
    if not isinstance(name, str):
        raise TypeError("an action is registered by its name: @action('essay.count')")
    if timeout_s is not None and not (isinstance(timeout_s, (int, float)) and 0.001 <= timeout_s <= 86_400):
        raise ValueError("timeout_s is a number of seconds, at least 0.001 and at most a day")
    if isinstance(capabilities, str) or not all(isinstance(capability, str) for capability in capabilities):
        raise TypeError("capabilities are a list of texts, such as ['llm']")

    def register(function):
        if name in registered:
            raise ValueError(f"the action {name} is registered twice")
        registered[name] = Declared(name, function, timeout_s, tuple(capabilities))
        return function

    return register


def _types(function):
    parameters = list(inspect.signature(function).parameters.values())
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(needed) > 1 or len(positional) > 1 or len(needed) > len(positional):
        raise TypeError(f"{function.__name__} must take one parameter, the payload")
    hints = typing.get_type_hints(function, include_extras=True)
    takes = hints.get(positional[0].name, dict) if positional else typing.TypedDict("Nothing", {})
    return bool(positional), takes, hints.get("return", typing.Any)


def _is_pydantic(form):
    module = sys.modules.get("pydantic")
    return module is not None and isinstance(form, type) and issubclass(form, module.BaseModel)


def _name(value):
    return "None" if value is None else type(value).__name__


def _stripped(form):
    while typing.get_origin(form) is typing.Annotated or typing.get_origin(form) in _REQUIRED:
        form = typing.get_args(form)[0]
    return form


def _fields(form):
    """Fields of a dataclass or a TypedDict: name to type and whether it is required; None for other types."""
    if dataclasses.is_dataclass(form) and isinstance(form, type):
        hints = typing.get_type_hints(form, include_extras=True)
        missing = dataclasses.MISSING
        fields = [field for field in dataclasses.fields(form) if field.init]
        return {f.name: (hints[f.name], f.default is missing and f.default_factory is missing) for f in fields}
    if typing.is_typeddict(form):
        hints = typing.get_type_hints(form, include_extras=True)
        return {name: (hint, name in form.__required_keys__) for name, hint in hints.items()}
    return None


def _whole_schema(form):
    schema = form.model_json_schema() if _is_pydantic(form) else _schema(form, ())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _schema(form, inside):
    form = _stripped(form)
    if form in inside:
        raise TypeError(f"{form.__name__} holds itself: only pydantic models may")
    origin, arguments = typing.get_origin(form), typing.get_args(form)
    if form is typing.Any or form is object:
        return {}
    if form in _PLAIN:
        return {"type": _PLAIN[form]}
    if form is None:
        return {"type": "null"}
    if _is_pydantic(form):
        schema = form.model_json_schema()
        if "$defs" in schema:
            raise TypeError(f"{form.__name__} has parts of its own: make it the whole payload, or use dataclasses")
        return schema
    fields = _fields(form)
    if fields is not None:
        properties = {name: _schema(hint, (*inside, form)) for name, (hint, _) in fields.items()}
        required = [name for name, (_, needed) in fields.items() if needed]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    if isinstance(form, type) and issubclass(form, enum.Enum):
        return {"enum": [member.value for member in form]}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in _UNIONS:
        return {"anyOf": [_schema(part, inside) for part in arguments]}
    if form is list or origin is list:
        return {"type": "array", **({"items": _schema(arguments[0], inside)} if arguments else {})}
    if form is dict or origin is dict:
        if arguments and arguments[0] is not str:
            raise TypeError("keys of a dict are str")
        return {"type": "object", **({"additionalProperties": _schema(arguments[1], inside)} if arguments else {})}
    raise TypeError(f"{form} cannot be a part of a payload or a result")


def _of_pydantic(form, value, path):
    try:
        return form.model_validate(value)
    except sys.modules["pydantic"].ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]]
        raise Mismatch(path + "".join(steps), first["msg"]) from None


def _fits_plain(form, value):
    if form is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if form is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, form)


def _convert(form, value, path):
    """A value that came, as `form` has it."""
    form = _stripped(form)
    if _is_pydantic(form):
        return _of_pydantic(form, value, path)
    fields = _fields(form)
    if fields is not None:
        made = _each_field(fields, value, path, _convert)
        if typing.is_typeddict(form):
            return made
        try:
            return form(**made)
        except ValueError as error:
            raise Mismatch(path, str(error)[:200] or "cannot be made into its type") from None
    if isinstance(form, type) and issubclass(form, enum.Enum):
        for member in form:
            if member.value == value and type(member.value) is type(value):
                return member
        raise Mismatch(path, "expected one of the values of its enum")
    return _walk(form, value, path, _convert)


def _check(form, value, path):
    """A value that a function returned, in plain values."""
    form = _stripped(form)
    if _is_pydantic(form):
        if isinstance(value, form):
            return value.model_dump(mode="json")
        return _of_pydantic(form, value, path).model_dump(mode="json")
    fields = _fields(form)
    if fields is not None:
        if dataclasses.is_dataclass(form):
            if not isinstance(value, form):
                raise Mismatch(path, f"expected {form.__name__}, found {_name(value)}")
            value = {field.name: getattr(value, field.name) for field in dataclasses.fields(form) if field.init}
        return _each_field(fields, value, path, _check)
    if isinstance(form, type) and issubclass(form, enum.Enum):
        if isinstance(value, form):
            return value.value
        raise Mismatch(path, f"expected {form.__name__}, found {_name(value)}")
    return _walk(form, value, path, _check)


def _each_field(fields, value, path, step):
    if not isinstance(value, dict):
        raise Mismatch(path, f"expected an object, found {_name(value)}")
    for key in value:
        if key not in fields:
            plain = isinstance(key, str) and key.isidentifier() and len(key) <= 64
            raise Mismatch(f"{path}.{key}" if plain else path, "unknown key")
    made = {}
    for name, (hint, needed) in fields.items():
        if name in value:
            made[name] = step(hint, value[name], f"{path}.{name}")
        elif needed:
            raise Mismatch(path, f"`{name}` is missing")
    return made


def _walk(form, value, path, step):
    origin, arguments = typing.get_origin(form), typing.get_args(form)
    if form is typing.Any or form is object:
        return value
    if form is None:
        form = type(None)
    if form in _PLAIN:
        if _fits_plain(form, value):
            return value
        raise Mismatch(path, f"expected {'None' if form is type(None) else form.__name__}, found {_name(value)}")
    if origin is typing.Literal:
        if any(value == one and type(value) is type(one) for one in arguments):
            return value
        raise Mismatch(path, "expected one of its literal values")
    if origin in _UNIONS:
        return _one_of(arguments, value, path, step)
    if form is list or origin is list:
        if not isinstance(value, list):
            raise Mismatch(path, f"expected list, found {_name(value)}")
        return [step(arguments[0], item, f"{path}[{n}]") for n, item in enumerate(value)] if arguments else value
    if not isinstance(value, dict):
        raise Mismatch(path, f"expected dict, found {_name(value)}")
    if not arguments:
        return value
    return {key: step(arguments[1], item, f"{path}.{key}") for key, item in value.items()}


def _one_of(forms, value, path, step):
    problems = []
    for form in forms:
        try:
            return step(form, value, path)
        except Mismatch as problem:
            problems.append(problem)
    # The one that came furthest says most.
    raise max(problems, key=lambda problem: len(problem.path))
