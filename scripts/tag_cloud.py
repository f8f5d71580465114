"""
---
id: "01a1fa2f-75c8-7f4e-ad4e-7576dd5b5008"
slug: "tag_cloud"
title: "Tag cloud"
kind: macro
entrypoint: render
enabled: true
version: 1
---
"""
# Shows the site's tags, the often used ones larger:
#
#     [[tag_cloud orientation=mixed_hv width=1200 height=500]]
#
# The application passes its tags as data.tags: [{name, count}]. The words with their
# sizes go into data-words, where the page's own JavaScript finds them and draws the
# cloud; inside stands a plain list of links, for readers without JavaScript.

import json
import re
from html import escape
from urllib.parse import quote

ORIENTATIONS = ("horizontal", "mixed_hv", "mixed_diagonal")
SMALLEST, LARGEST, MIDDLE = 14, 56, 35  # font sizes in px
# A macro's HTML may have 256 KiB (see "What the output check keeps" in the README); this leaves room for the rest.
MAX_BYTES = 200_000
MAX_NAME = 100

NO_TAGS = {
    "en": "No tags yet.",
    "de": "Noch keine Schlagwörter.",
    "fr": "Pas encore d’étiquettes.",
    "it": "Ancora nessuna etichetta.",
    "es": "Todavía no hay etiquetas.",
}


def render(context):
    """One cloud in div.macro-tag-cloud."""
    return render_many([context])[0]


def render_many(contexts):
    """The clouds of a whole batch, one result per context, in order.

    A page's clouds mostly show the same tags, so each different set of tags is
    measured and encoded only once. The answers must be those that render would give.
    """
    drawn = {}
    results = []
    for context in contexts:
        tags, tag_warnings = read_tags(context)
        key = tuple(tags)
        if key not in drawn:
            drawn[key] = draw(tags)
        words, links, draw_warnings = drawn[key]
        attributes, param_warnings = read_params(context.get("params") or {})
        html = f'<div class="macro-tag-cloud" {attributes} data-words="{words}">{links or no_tags(context)}</div>'
        results.append({"html": html, "warnings": param_warnings + tag_warnings + draw_warnings})
    return results


def read_params(params):
    """The data attributes for orientation, width and height, and what was wrong with the parameters."""
    warnings = []
    orientation = as_text(params.get("orientation")).lower()
    if orientation not in ORIENTATIONS:
        if params.get("orientation") is not None:
            warnings.append(f"tag_cloud: orientation must be one of {', '.join(ORIENTATIONS)}; horizontal is used")
        orientation = "horizontal"
    width = read_pixels(params, "width", 320, 1600, 900, warnings)
    height = read_pixels(params, "height", 180, 900, 420, warnings)
    return f'data-orientation="{orientation}" data-width="{width}" data-height="{height}"', warnings


def read_pixels(params, name, low, high, default, warnings):
    """A whole number of pixels from low to high; the default when missing or anything else."""
    text = as_text(params.get(name))
    if re.fullmatch("[0-9]{1,6}", text) and low <= int(text) <= high:
        return int(text)
    if params.get(name) is not None:
        warnings.append(f"tag_cloud: {name} must be a number from {low} to {high}; {default} is used")
    return default


def read_tags(context):
    """[(name, count)] of the tags in data.tags that can be used, and what was wrong with the others."""
    given = (context.get("data") or {}).get("tags")
    if given is None:
        return [], []
    if not isinstance(given, list):
        return [], ["tag_cloud: data.tags must be a list"]
    tags = []
    for item in given:
        name = as_text(item.get("name")) if isinstance(item, dict) else ""
        count = as_text(item.get("count")) if isinstance(item, dict) else ""
        # A link to "/tag/../" would lead somewhere else, so those two names cannot be used.
        if 0 < len(name) <= MAX_NAME and name not in (".", "..") and re.fullmatch("[0-9]{1,15}", count):
            tags.append((name, int(count)))
    unusable = len(given) - len(tags)
    if unusable:
        return tags, [f"tag_cloud: left out {unusable} of data.tags: each needs a name and a count"]
    return tags, []


def draw(tags):
    """The escaped JSON for data-words, the list of links, and warnings."""
    low = min((count for _, count in tags), default=0)
    high = max((count for _, count in tags), default=0)
    # When not all fit, the least used are left out; those that stay keep their order.
    most_used_first = sorted(range(len(tags)), key=lambda index: tags[index][1], reverse=True)
    pieces, room = {}, MAX_BYTES
    for index in most_used_first:
        name, count = tags[index]
        url = f"/tag/{quote(name, safe='')}/"
        word = {"text": name, "size": font_size(count, low, high), "count": count, "url": url}
        link = f'<li><a href="{url}">{escape(name)}</a> ({count})</li>'
        encoded = escape(json.dumps(word, ensure_ascii=False))
        room -= len(encoded.encode()) + len(link.encode())
        if room < 0:
            break
        pieces[index] = (encoded, link)

    kept = [pieces[index] for index in sorted(pieces)]
    words = "[" + ", ".join(encoded for encoded, _ in kept) + "]"
    links = "".join(link for _, link in kept)
    if links:
        links = f'<ul class="tag-cloud-list">{links}</ul>'
    warnings = []
    if len(kept) < len(tags):
        warnings.append(f"tag_cloud: only the {len(kept)} most used of {len(tags)} tags are shown")
    return words, links, warnings


def font_size(count, low, high):
    """Whole pixels, growing evenly with the count; the middle when all tags are used equally often."""
    if low == high:
        return MIDDLE
    return int(SMALLEST + (LARGEST - SMALLEST) * (count - low) / (high - low) + 0.5)


def no_tags(context):
    """A sentence in the page's language for a site without tags."""
    main = as_text((context.get("env") or {}).get("mainLanguage"))
    language = re.split("[-_]", main.lower())[0]
    return f'<p class="tag-cloud-empty">{NO_TAGS.get(language, NO_TAGS["en"])}</p>'


def as_text(value):
    """The text of a string or a number: a tag may be named 2024. All else is ""."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) >= 1e20:
        return ""
    return str(value)
