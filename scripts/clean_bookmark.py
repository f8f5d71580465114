"""
---
id: "01a1fa2f-75c9-7eae-9ec4-9c89275ccfa3"
slug: "clean_bookmark"
title: "Clean up a bookmarked page"
kind: transform
entrypoint: transform
enabled: true
version: 1
---
"""
# Tidies a page on its way in, and changes nothing that carries meaning:
#   - the title loses extra spaces, and the site's own name at its end,
#   - links in the content lose the parameters that only serve to follow readers,
#   - several blank lines in a row become one (in code they stay),
#   - tags are trimmed, and repeated ones dropped.

import re

import callboard

TRACKING = {
    "dclid", "fbclid", "gbraid", "gclid", "gclsrc", "igsh", "igshid", "li_fat_id", "mc_cid", "mc_eid", "mkt_tok",
    "msclkid", "oly_anon_id", "oly_enc_id", "srsltid", "ttclid", "twclid", "vero_id", "wbraid", "yclid",
    "_hsenc", "_hsmi",
}  # fmt: skip
# The query of a link: what follows a "?" that stands right after an address.
# Full stops and the like at its end belong to the sentence around the link.
QUERY = re.compile(r"(?<=[\w/%~.=&;)-])\?([^\s\"'<>#()\[\]?]*[^\s\"'<>#()\[\]?.,;:!*])")
TITLE_AND_SITE = re.compile(r"(.+) [|–—-] (.+)")


def transform(post, context):
    """Changes the post in place; callboard.notice tells the user what was done."""
    title = tidy_title(post["title"], context.get("url") or "")
    if title != post["title"]:
        post["title"] = title
        callboard.notice("tidied the title")

    content, removed = strip_tracking(post["content"])
    if removed:
        callboard.notice(f"removed tracking parameters from links: {removed}")
    post["content"] = collapse_blank_lines(content)
    if post["content"] != content:
        callboard.notice("collapsed blank lines")

    tags = unique_tags(post["tags"])
    if len(tags) < len(post["tags"]):
        callboard.notice(f"dropped empty or repeated tags: {len(post['tags']) - len(tags)}")
    post["tags"] = tags
    return post


def tidy_title(title, url):
    """Single spaces, and no " | Site name" or " - Site name" at the end if that is what the host is called."""
    title = " ".join(title.split())
    parts = TITLE_AND_SITE.fullmatch(title)
    if parts and is_site_name(parts[2], url):
        return parts[1]
    return title


def is_site_name(name, url):
    """Whether a host is called that: "Example News" for www.example-news.com, "example-news.com" as well."""
    host = re.match(r"https?://(?:www\.)?([^/?#:]+)", url, re.IGNORECASE)
    if not host:
        return False
    # en.wikipedia.org, bbc.co.uk: the longest label but the last is nearly always the site's own.
    own_label = max(host[1].split(".")[:-1], key=len, default="")
    wanted = letters(name)
    return wanted != "" and wanted in (letters(host[1]), letters(own_label))


def letters(text):
    """Only letters and digits, without regard to case, for comparing names."""
    return "".join(character for character in text.casefold() if character.isalnum())


def strip_tracking(content):
    """The content with clean links, and how many parameters were removed."""
    removed = 0

    def clean_query(query):
        nonlocal removed
        separator = "&amp;" if "&amp;" in query[1] else "&"  # HTML writes "&amp;"
        parameters = query[1].split(separator)
        kept = [parameter for parameter in parameters if not is_tracking(parameter)]
        removed += len(parameters) - len(kept)
        return "?" + separator.join(kept) if kept else ""

    return QUERY.sub(clean_query, content), removed


def is_tracking(parameter):
    """Whether a parameter such as "utm_source=mail" only serves to follow readers."""
    name = parameter.split("=")[0].lower()
    return name.startswith("utm_") or name in TRACKING


def collapse_blank_lines(content):
    """One blank line where several stood. Code (``` or ~~~ blocks, <pre>) stays as it is."""
    lines = []
    end_of_code = ""  # what ends the code we are in; "" outside of code
    after_blank = False
    for line in content.split("\n"):
        lower = line.strip().lower()
        if end_of_code:
            if end_of_code in lower:
                end_of_code = ""
        elif lower.startswith(("```", "~~~")):
            end_of_code = lower[:3]
        elif "<pre" in lower and "</pre>" not in lower:
            end_of_code = "</pre>"
        elif not lower and after_blank:
            continue
        after_blank = not lower
        lines.append(line)
    return "\n".join(lines)


def unique_tags(tags):
    """Trimmed tags; of those that differ only in case or outer spaces the first stays."""
    first_spelling = {}
    for tag in tags:
        if tag.strip():
            first_spelling.setdefault(tag.strip().casefold(), tag.strip())
    return list(first_spelling.values())
