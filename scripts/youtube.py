"""
---
id: "01a1fa2f-75c4-785c-a8f1-36a11d57c0fd"
slug: "youtube"
title: "YouTube video"
kind: macro
entrypoint: render
enabled: true
version: 1
---
"""
# Shows a YouTube video:
#
#     [[youtube id="dQw4w9WgXcQ" title="Never gonna give you up" start=43 autoplay]]
#
# The frame's address is built only from parts that were checked here; whatever
# else the author wrote is escaped. A macro answers something for every input:
# a mistake becomes a warning for the author, never an exception.

import re
from html import escape

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
SECONDS = re.compile(r"[0-9]{1,7}")
ALLOWED_IN_FRAME = "accelerometer; autoplay; encrypted-media; fullscreen; gyroscope; picture-in-picture; web-share"


def render(context):
    """A box (div.macro-youtube) with the player; nothing when there is no id."""
    params = context.get("params") or {}
    warnings = []

    given_id = params.get("id")
    video_id = as_text(given_id)
    if given_id is None or (isinstance(given_id, str) and not video_id):
        return {"html": ""}
    if not VIDEO_ID.fullmatch(video_id):
        return {"html": "", "warnings": ["youtube: id must be 11 letters, digits, - or _"]}

    query = "rel=0"
    if params.get("start") is not None:
        start = as_text(params["start"])
        if SECONDS.fullmatch(start):
            query += f"&start={int(start)}"
        else:
            warnings.append("youtube: start must be a whole number of seconds, 0 or more")
    if is_on(params.get("autoplay")):
        query += "&autoplay=1"

    title = as_text(params.get("title"))[:200] or "YouTube video"
    address = f"https://www.youtube.com/embed/{video_id}?{query}"
    html = (
        '<div class="macro-youtube">'
        f'<iframe src="{escape(address)}" title="{escape(title)}" width="560" height="315"'
        f' loading="lazy" allow="{ALLOWED_IN_FRAME}"'
        ' referrerpolicy="strict-origin-when-cross-origin" allowfullscreen></iframe>'
        "</div>"
    )
    return {"html": html, "warnings": warnings}


def as_text(value):
    """The text of a string or a number: id=12345678901 arrives as a number. All else is ""."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) >= 1e20:
        return ""
    return str(value)


def is_on(value):
    """Whether a flag is set: autoplay, autoplay=true, autoplay=1, autoplay="yes"."""
    return value is True or as_text(value).lower() in ("1", "true", "yes", "on")
