"""Holds the default scripts to their golden files, in plain Python: no node, no broker.

Here live the check of every golden case, and a fuzz pass over random parameters and data.
Not here: the node's own output check (Rust); `KeptByOutputCheck` only repeats its allowlist,
to say early that a macro writes something which would be cut out.

    python check_golden.py            compare; exit code 1 and a list when something differs
    python check_golden.py --write    fill in or renew the results (then read the difference!)

A case is golden/<slug>/<case>.json:
    macro      {"context", "result"}
    transform  {"post", "context", "result": {"post"}, "notices"}
    utility    {"input", "result"}
"""

import argparse
import contextlib
import copy
import importlib.util
import io
import json
import pathlib
import random
import re
import sys
import types
from html.parser import HTMLParser

HERE = pathlib.Path(__file__).resolve().parent
KINDS = {
    "youtube": "macro",
    "vimeo": "macro",
    "gallery": "macro",
    "photo_archive": "macro",
    "tag_cloud": "macro",
    "clean_bookmark": "transform",
    "word_count": "utility",
}
METADATA = re.compile(
    r'"""\n---\nid: "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"\nslug: "(?P<slug>\w+)"\n'
    r'title: "[^"\n]+"\nkind: (?P<kind>\w+)\nentrypoint: (?P<entrypoint>\w+)\nenabled: true\nversion: [1-9][0-9]*\n'
    r'(?:order: -?[0-9]+\n|aliases: "[^"\n]+"\n)*---\n"""\n'
)
# What the cases of a macro must hold for each of its parameters, and the languages of those that have texts of their own.
PARAMETERS_OF = {
    "youtube": ("id", "title", "start", "autoplay"),
    "vimeo": ("id", "title"),
    "gallery": ("columns", "caption"),
    "photo_archive": ("year", "month"),
    "tag_cloud": ("orientation", "width", "height"),
}
CLASSES = {
    "missing": lambda value: value is None,
    "a number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "with quotes": lambda value: isinstance(value, str) and '"' in value and "'" in value,
    "hostile": lambda value: isinstance(value, str) and "<script" in value,
    "not ASCII": lambda value: isinstance(value, str) and not value.isascii(),
    "of a wrong type": lambda value: isinstance(value, (list, dict)) or value is False,
}
LANGUAGES = {"gallery", "photo_archive", "tag_cloud"}
FUZZ_SEED = 20_240_229
FUZZ_ROUNDS = 1_500

# What the output check keeps (README.md, "What the output check keeps").
MAX_HTML_BYTES = 256 * 1024
MAX_OPEN_ELEMENTS = 64
KEPT_TAGS = set("a br div figcaption figure h3 iframe img li p span ul".split())
KEPT_ATTRIBUTES = {
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "iframe": set("src title width height allow allowfullscreen loading referrerpolicy frameborder".split()),
}
FRAME_HOSTS = ("https://www.youtube.com/", "https://www.youtube-nocookie.com/", "https://player.vimeo.com/")

notices = []


def install_callboard_module():
    """`import callboard` inside a script finds this: a notice that only collects."""
    module = types.ModuleType("callboard")
    module.notice = notices.append
    sys.modules["callboard"] = module


class KeptByOutputCheck(HTMLParser):
    """Collects, in `problems`, whatever the output check would cut out of a macro's HTML."""

    def __init__(self, html):
        super().__init__()
        self.problems, self.open = [], []
        if len(html.encode()) > MAX_HTML_BYTES:
            self.problems.append("more than 256 KiB")
        self.feed(html)
        self.close()
        if self.open:
            self.problems.append(f"never closed: {self.open}")

    def handle_starttag(self, tag, attrs):
        if tag not in KEPT_TAGS:
            self.problems.append(f"element {tag}")
        for name, value in attrs:
            if name not in ("class", "title") and not name.startswith("data-"):
                if name not in KEPT_ATTRIBUTES.get(tag, ()):
                    self.problems.append(f"attribute {name} of {tag}")
            if name in ("src", "href"):
                self.check_address(tag, value)
        if tag not in ("img", "br"):
            self.open.append(tag)
        if len(self.open) > MAX_OPEN_ELEMENTS:
            self.problems.append("more than 64 open elements")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def check_address(self, tag, address):
        scheme = re.match(r"([^/?#]*?):", address)
        if scheme and scheme[1].lower() not in ("http", "https"):
            self.problems.append(f"scheme of {tag}")
        if tag == "iframe" and not address.startswith(FRAME_HOSTS):
            self.problems.append("host of iframe")


def load(slug):
    """The script as a module, after a look at its metadata."""
    path = HERE / f"{slug}.py"
    metadata = METADATA.match(path.read_text("utf-8"))
    if not metadata or metadata["slug"] != slug or metadata["kind"] != KINDS[slug]:
        raise SystemExit(f"{slug}.py: the metadata docstring is not as it should be")
    spec = importlib.util.spec_from_file_location(f"default_{slug}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.run = getattr(module, metadata["entrypoint"])
    return module


def outcome(kind, script, case):
    """What the script makes of a case: the part of the golden file that is compared and written."""
    case = copy.deepcopy(case)
    if kind == "macro":
        return {"result": script.run(case["context"])}
    if kind == "transform":
        notices.clear()
        changed = script.run(case["post"], case["context"])
        post = case["post"] if changed is None else changed
        return {"result": {"post": post}, "notices": list(notices)}
    with contextlib.redirect_stdout(io.StringIO()):
        return {"result": script.run(case["input"])}


def macro_problems(result):
    """What is wrong with a macro's result: its shape, or HTML that the output check would change."""
    if not isinstance(result, dict) or not isinstance(result.get("html"), str):
        return ["the result has no html"]
    problems = [f"key {key}" for key in result if key not in ("html", "data", "warnings")]
    warnings = result.get("warnings", [])
    if not isinstance(warnings, list) or not all(isinstance(warning, str) for warning in warnings):
        problems.append("warnings is not a list of strings")
    json.dumps(result, allow_nan=False)
    return problems + KeptByOutputCheck(result["html"]).problems


def check_cases(slug, script, write):
    """Runs all golden cases of a script; answers how many there are, and the failures."""
    kind, failures, contexts, results = KINDS[slug], [], [], []
    paths = sorted((HERE / "golden" / slug).glob("*.json"))
    for path in paths:
        name = f"{slug}/{path.stem}"
        case = json.loads(path.read_text("utf-8"))
        try:
            actual = outcome(kind, script, case)
        except Exception as error:  # whatever it is, it is the finding
            failures.append(f"{name}: raised {type(error).__name__}: {error}")
            continue
        if kind == "macro":
            contexts.append(case["context"])
            results.append(actual["result"])
            failures += [f"{name}: {problem}" for problem in macro_problems(actual["result"])]
        if write:
            path.write_text(json.dumps({**case, **actual}, ensure_ascii=False, indent=2) + "\n", "utf-8")
            continue
        for key, value in actual.items():
            # Compared as text, because in Python 1 == True == 1.0.
            expected, got = (json.dumps(side, sort_keys=True, indent=1) for side in (case.get(key), value))
            if expected != got:
                failures.append(f"{name}: {key} differs\n  expected {expected}\n  got      {got}")
    if kind == "macro":
        failures += missing_cases(slug, contexts)
    if hasattr(script, "render_many") and script.render_many(copy.deepcopy(contexts)) != results:
        failures.append(f"{slug}: render_many does not answer what render answers")
    if not paths:
        failures.append(f"{slug}: no golden cases")
    return len(paths), failures


def missing_cases(slug, contexts):
    """The classes of parameters, and the languages, that no golden case of this macro has."""
    found = []
    for name in PARAMETERS_OF[slug]:
        values = [(context.get("params") or {}).get(name) for context in contexts]
        for described, fits in CLASSES.items():
            if not any(map(fits, values)):
                found.append(f"{slug}: no case has {name} {described}")
    languages = {str(context["env"].get("mainLanguage", ""))[:2].lower() for context in contexts}
    if slug in LANGUAGES:
        found += [f"{slug}: no case in {name}" for name in ("en", "de", "fr", "it", "es") if name not in languages]
    return found


LEAVES = [
    None, True, False, 0, 1, 2, 3, -1, 7, 12, 2024, 2.5, -0.0, 1e300, 10**30, 10**5000, -(10**5000), 12345678901,
    1717243200000, 253402300800000, "", " ", "dQw4w9WgXcQ", "76979871", "2024", "07", "7", "4", "true", "mixed_hv",
    '"><script>alert(1)</script>', "'--><img src=x onerror=alert(1)>", "&amp;<b>&#60;", "javascript:alert(1)",
    " JaVaScRiPt:alert(1)", "data:text/html,<b>", "//evil.example/x.png", "/\\evil.example/x.png", "http://[::1",
    "http://a:b@c/x.jpg", "https://example.com/ü 1.jpg?a=1&b=2", "/media/1.jpg", "a.png", "C++", "日本語 タグ", "🏳️‍🌈",
    "\u202e\u0000\u001f\u2028", "..", "a" * 70_000, "é\"'<&" * 2_000, "2024-07-01T12:00:00Z",
    "2024-07-01T23:59:60+02:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999999-23:59", "2024-02-30",
    "0000-00-00", "image/png", "video/mp4", "de-AT", "FR", "post-1",
]  # fmt: skip
PARAMETERS = "id title start autoplay columns caption year month orientation width height".split()
FIELDS = "src mime title alt caption createdAt postId name count".split()


def random_value(rng, depth=0):
    """Any JSON value, mostly leaves that have been trouble somewhere."""
    dice = rng.random()
    if depth < 3 and dice < 0.08:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if depth < 3 and dice < 0.16:
        return {rng.choice(FIELDS): random_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return rng.choice(LEAVES)


def random_item(rng):
    """One of data.media or data.tags: now and then as it should be, else with anything anywhere."""
    item = {"src": "/media/1.jpg", "createdAt": "2024-07-01T12:00:00Z", "postId": "post-1", "name": "tag", "count": 3}
    for _ in range(rng.randrange(4)):
        item[rng.choice(FIELDS)] = random_value(rng)
    return item if rng.random() < 0.9 else random_value(rng)


def random_items(rng):
    """A list of items, rarely a long one, now and then no list at all."""
    if rng.random() < 0.1:
        return random_value(rng)
    length = rng.choice([0, 1, 2, 5, 20]) if rng.random() < 0.99 else 3_000
    return [random_item(rng) for _ in range(length)]


def random_context(rng):
    """A context as the ABI allows it: env as typed there, in params and data any JSON value."""
    env = {"isPreview": rng.random() < 0.5}
    if rng.random() < 0.7:
        env["mainLanguage"] = rng.choice(["en", "de-AT", "fr_CA", "IT", "es", "ja", "", "<b>"])
    if rng.random() < 0.5:
        env["source"] = rng.choice([{"kind": "post"}, {"kind": "post", "id": "post-1"}, {"kind": "page", "id": '"<x>'}])
    context = {"env": env}
    if rng.random() < 0.95:
        context["params"] = {rng.choice(PARAMETERS): random_value(rng) for _ in range(rng.randrange(6))}
    if rng.random() < 0.95:
        context["data"] = {"media": random_items(rng), "tags": random_items(rng)}
    return context


def transform_problems(script, rng):
    """What is wrong with the answer to a random valid post; a cleaned post must need no more cleaning."""
    texts = [leaf for leaf in LEAVES if isinstance(leaf, str)]
    texts += ["https://example.com/?", "utm_source=a", "&amp;", "&", "q=1", "?"]
    texts += ["\n\n\n", "```\n", "<pre>"]

    def text(most):
        return "".join(rng.choice(texts) for _ in range(rng.randrange(most)))

    title = text(4) + rng.choice(["", " | Example", " - Something else"])
    post = {"title": title, "content": text(30), "tags": [text(3) for _ in range(5)], "categories": []}
    context = {"source": "bookmark", "url": "https://www.example.com/"}
    once = script.run(copy.deepcopy(post), context)
    notices.clear()
    twice = script.run(copy.deepcopy(once), context)
    return ["a second run changes the post again"] if (twice != once or notices) else []


def fuzz(scripts):
    """Macros never raise and always answer as the ABI says; the utility answers or raises a ValueError."""
    rng = random.Random(FUZZ_SEED)
    failures = []
    for number in range(FUZZ_ROUNDS):
        context = random_context(rng)
        for slug, script in scripts.items():
            try:
                if KINDS[slug] == "macro":
                    result = script.run(copy.deepcopy(context))
                    failures += [f"{slug}: fuzz {number}: {problem}" for problem in macro_problems(result)]
                    if hasattr(script, "render_many") and script.render_many([context, context]) != [result, result]:
                        failures.append(f"{slug}: fuzz {number}: render_many differs from render")
                elif KINDS[slug] == "transform":
                    failures += [f"{slug}: fuzz {number}: {problem}" for problem in transform_problems(script, rng)]
                elif KINDS[slug] == "utility":
                    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(ValueError):
                        value = random_value(rng)
                        script.run(rng.choice([value, {"text": "a b", "wordsPerMinute": value}]))
            except Exception as error:  # whatever it is, it is the finding
                failures.append(f"{slug}: fuzz {number}: raised {type(error).__name__}: {error}")
    return failures


def main():
    arguments = argparse.ArgumentParser(description="Checks the default scripts against their golden files.")
    arguments.add_argument("--write", action="store_true", help="write the results into the golden files")
    write = arguments.parse_args().write

    install_callboard_module()
    scripts = {slug: load(slug) for slug in KINDS}
    failures, total = [], 0
    for slug, script in scripts.items():
        number, failed = check_cases(slug, script, write)
        total += number
        failures += failed
    failures += fuzz(scripts)

    for failure in failures[:50]:
        print(failure)
    if len(failures) > 50:
        print(f"… and {len(failures) - 50} more")
    print(f"{total} golden cases, {FUZZ_ROUNDS} fuzz rounds, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
