"""
---
id: "01a1fa2f-75c5-7e86-bb2f-d97aa1167029"
slug: "vimeo"
title: "Vimeo video"
kind: macro
entrypoint: render
enabled: true
version: 1
---
"""
# Shows a Vimeo video:
#
#     [[vimeo id=76979871 title="The new player"]]

import re
from html import escape

VIDEO_ID = re.compile(r"[0-9]{1,20}")


def render(context):
    """A box (div.macro-vimeo) with the player; nothing when there is no id."""
    params = context.get("params") or {}

    given_id = params.get("id")
    video_id = as_text(given_id)
    if given_id is None or (isinstance(given_id, str) and not video_id):
        return {"html": ""}
    if not VIDEO_ID.fullmatch(video_id):
        return {"html": "", "warnings": ["vimeo: id must be a number, as in vimeo.com/76979871"]}

    title = as_text(params.get("title"))[:200] or "Vimeo video"
    html = (
        '<div class="macro-vimeo">'
        f'<iframe src="https://player.vimeo.com/video/{video_id}" title="{escape(title)}" width="640" height="360"'
        ' loading="lazy" allow="autoplay; fullscreen; picture-in-picture"'
        ' referrerpolicy="strict-origin-when-cross-origin" allowfullscreen></iframe>'
        "</div>"
    )
    return {"html": html}


def as_text(value):
    """The text of a string or a number: id=76979871 arrives as a number. All else is ""."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) >= 1e20:
        return ""
    return str(value)
