"""
---
slug: "broken_clock"
title: "A clock with a mistake in it"
kind: macro
entrypoint: render
enabled: true
version: 1
---
"""
# Shows what a failing macro does to a page: nothing, but in its own place.


def render(context):
    hour = 25
    if hour > 23:
        raise ValueError(f"a day has no hour {hour}")
    return {"html": f"<p>{hour}:00</p>"}
