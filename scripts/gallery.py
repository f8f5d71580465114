"""
---
id: "01a1fa2f-75c6-75d3-8ec7-cd372866ff95"
slug: "gallery"
title: "Image gallery"
kind: macro
entrypoint: render
enabled: true
version: 1
---
"""
# Shows the images of the post that is being rendered, newest first:
#
#     [[gallery columns=4 caption="A week in Lisbon"]]
#
# The application passes its media as data.media:
#     [{src, mime?, title?, alt?, caption?, createdAt, postId?}]

import re
from datetime import datetime, timedelta, timezone
from html import escape

# A macro's HTML may have 256 KiB (see "What the output check keeps" in the README); this leaves room for the rest.
MAX_BYTES = 200_000
MAX_SRC = 2048
MAX_TEXT = 500

IMAGE_EXTENSIONS = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp")
WEB_ADDRESS = re.compile(r"https?://[\w.-]+(:[0-9]{1,5})?([/?#][^\x00-\x1f\x7f\\]*)?", re.IGNORECASE)
SITE_PATH = re.compile(r"(?!//)[^\x00-\x1f\x7f\\:/?#]*([/?#][^\x00-\x1f\x7f\\]*)?")
RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-5][0-9])?)?"
)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
LONG_AGO = datetime(1, 1, 1, tzinfo=timezone.utc)

NO_IMAGES = {
    "en": "No images yet.",
    "de": "Noch keine Bilder.",
    "fr": "Pas encore d’images.",
    "it": "Ancora nessuna immagine.",
    "es": "Todavía no hay imágenes.",
}


def render(context):
    """One figure per image in div.macro-gallery.gallery-cols-N; a sentence when there are none."""
    params = context.get("params") or {}
    env = context.get("env") or {}
    warnings = []

    columns = read_columns(params.get("columns"), warnings)
    images = read_images(context, warnings)
    images.sort(key=lambda image: created_at(image) or LONG_AGO, reverse=True)

    figures = fitting([figure(image) for image in images], warnings)
    if figures:
        caption = as_text(params.get("caption"))[:MAX_TEXT]
        if caption:
            figures.append(f'<figcaption class="gallery-caption">{escape(caption)}</figcaption>')
        body = f'<figure class="gallery">{"".join(figures)}</figure>'
    else:
        language = re.split("[-_]", as_text(env.get("mainLanguage")).lower())[0]
        body = f'<p class="gallery-empty">{NO_IMAGES.get(language, NO_IMAGES["en"])}</p>'
    return {"html": f'<div class="macro-gallery gallery-cols-{columns}">{body}</div>', "warnings": warnings}


def read_columns(value, warnings):
    """1 to 6; 3 when missing or anything else."""
    if value is None:
        return 3
    if as_text(value) in ("1", "2", "3", "4", "5", "6"):
        return int(as_text(value))
    warnings.append("gallery: columns must be a number from 1 to 6; 3 is used")
    return 3


def read_images(context, warnings):
    """The images among data.media that belong to the post being rendered (all, when no post is named)."""
    media = (context.get("data") or {}).get("media")
    if media is not None and not isinstance(media, list):
        warnings.append("gallery: data.media must be a list")
    source = (context.get("env") or {}).get("source") or {}
    post_id = as_text(source.get("id"))

    images, unusable = [], 0
    for item in media if isinstance(media, list) else []:
        if not isinstance(item, dict):
            unusable += 1
        elif post_id and as_text(item.get("postId")) != post_id:
            continue
        elif not is_safe_src(item.get("src")):
            unusable += 1
        elif is_image(item):
            images.append(item)
    if unusable:
        warnings.append(f"gallery: left out {unusable} of data.media: src must be an http(s) address or a path")
    return images


def figure(image):
    """One image, linked to its full size; data-lightbox groups the images of one post."""
    src = escape(image["src"].strip())
    group = escape(as_text(image.get("postId"))[:MAX_TEXT] or "page")
    alt = as_text(image.get("alt")) or as_text(image.get("title"))
    caption = as_text(image.get("caption")) or as_text(image.get("title"))
    html = f'<a href="{src}" data-lightbox="post-{group}"><img src="{src}" alt="{escape(alt[:MAX_TEXT])}"></a>'
    if caption:
        html += f"<figcaption>{escape(caption[:MAX_TEXT])}</figcaption>"
    return f'<figure class="gallery-item">{html}</figure>'


def fitting(pieces, warnings):
    """As many of the pieces, from the first, as fit into what a macro's HTML may have."""
    room = MAX_BYTES
    for index, piece in enumerate(pieces):
        room -= len(piece.encode())
        if room < 0:
            warnings.append(f"gallery: only the newest {index} of {len(pieces)} images are shown")
            return pieces[:index]
    return pieces


def is_safe_src(src):
    """Whether a source is an http(s) address or a path: not javascript:, data:, //host and the like."""
    if not isinstance(src, str) or not 0 < len(src.strip()) <= MAX_SRC:
        return False
    return bool(WEB_ADDRESS.fullmatch(src.strip()) or SITE_PATH.fullmatch(src.strip()))


def is_image(item):
    """Whether the MIME type or the file name says that it is an image."""
    file_name = re.split("[?#]", item["src"].strip())[0]
    return as_text(item.get("mime")).lower().startswith("image/") or file_name.lower().endswith(IMAGE_EXTENSIONS)


def created_at(item):
    """When the item was made: from an RFC 3339 string or from milliseconds since 1970; else None."""
    value = item.get("createdAt")
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return EPOCH + timedelta(milliseconds=value)
        parts = RFC_3339.fullmatch(value.strip()) if isinstance(value, str) else None
        if not parts:
            return None
        day, time, fraction, offset = parts.groups()
        # Python 3.10 reads neither "Z" nor fractions of other than 3 or 6 digits, so write it out in full.
        offset = "+00:00" if offset in (None, "Z", "z") else offset
        fraction = (fraction or ".")[:7].ljust(7, "0")
        return datetime.fromisoformat(f"{day}T{time or '00:00:00'}{fraction}{offset}")
    except (ValueError, OverflowError):
        return None


def as_text(value):
    """The text of a string or a number: caption=2024 arrives as a number. All else is ""."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) >= 1e20:
        return ""
    return str(value)
