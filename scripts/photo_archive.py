"""
---
id: "01a1fa2f-75c7-7129-ab07-c7b48a5c5e87"
slug: "photo_archive"
title: "Photo archive"
kind: macro
entrypoint: render
enabled: true
version: 1
aliases: "photo_album"
---
"""
# Shows all photos of the site by month, newest first, in one of three views:
#
#     [[photo_archive]]                     the newest ten months that have photos
#     [[photo_archive year=2024]]           the months of a year
#     [[photo_archive year=2024 month=7]]   one month
#
# The application passes its media as data.media:
#     [{src, mime?, title?, alt?, caption?, createdAt, postId?}]

import re
from datetime import datetime, timedelta, timezone
from html import escape

RECENT_MONTHS = 10
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

MONTH_NAMES = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}
NO_PHOTOS = {
    "en": "No photos yet.",
    "de": "Noch keine Fotos.",
    "fr": "Pas encore de photos.",
    "it": "Ancora nessuna foto.",
    "es": "Todavía no hay fotos.",
}


def render(context):
    """The chosen months in div.macro-photo-archive, each with a heading and its photos."""
    warnings = []
    language = page_language(context)
    year, month = read_period(context.get("params") or {}, warnings)
    months = photos_by_month(context, warnings)

    newest_first = sorted(months, reverse=True)
    if year is None:
        view, shown = "recent-months", newest_first[:RECENT_MONTHS]
    elif month is None:
        view, shown = "full-year", [key for key in newest_first if key[0] == year]
    else:
        view, shown = "single-month", [key for key in newest_first if key == (year, month)]

    body = draw_months([(key, months[key]) for key in shown], language, warnings)
    if not body:
        body = f'<p class="photo-archive-empty">{NO_PHOTOS[language]}</p>'
    return {"html": f'<div class="macro-photo-archive photo-archive-{view}">{body}</div>', "warnings": warnings}


def page_language(context):
    """The page's language, if month names are known for it: "de" for "de-AT", else "en"."""
    main = as_text((context.get("env") or {}).get("mainLanguage"))
    language = re.split("[-_]", main.lower())[0]
    return language if language in MONTH_NAMES else "en"


def read_period(params, warnings):
    """(year, month) as asked for; None for what is missing or makes no sense."""
    year = read_number(params.get("year"), 1, 9999)
    month = read_number(params.get("month"), 1, 12)
    if params.get("year") is not None and year is None:
        warnings.append("photo_archive: year must be a year such as 2024; the newest months are shown")
    if params.get("month") is not None and month is None:
        warnings.append("photo_archive: month must be a number from 1 to 12")
    if params.get("year") is None and month is not None:
        warnings.append("photo_archive: month needs a year; the newest months are shown")
    return year, month


def read_number(value, low, high):
    """A whole number from low to high, given as a number or as its digits; else None."""
    text = as_text(value)
    if re.fullmatch("[0-9]{1,4}", text) and low <= int(text) <= high:
        return int(text)
    return None


def photos_by_month(context, warnings):
    """{(year, month): [photo, newest first]} of the images among data.media."""
    media = (context.get("data") or {}).get("media")
    if media is not None and not isinstance(media, list):
        warnings.append("photo_archive: data.media must be a list")

    dated, unusable, undated = [], 0, 0
    for item in media if isinstance(media, list) else []:
        if not isinstance(item, dict) or not is_safe_src(item.get("src")):
            unusable += 1
        elif is_image(item):
            created = created_at(item)
            if created:
                dated.append((created, item))
            else:
                undated += 1
    if unusable:
        warnings.append(f"photo_archive: left out {unusable} of data.media: src must be an http(s) address or a path")
    if undated:
        warnings.append(f"photo_archive: left out {undated} photos without a createdAt that can be read")

    dated.sort(key=lambda pair: pair[0], reverse=True)
    months = {}
    for created, item in dated:
        # The month on the photographer's calendar: of the date as it is written, with its own offset.
        months.setdefault((created.year, created.month), []).append(item)
    return months


def draw_months(months, language, warnings):
    """The HTML of [((year, month), photos)], up to what a macro's HTML may have."""
    total = sum(len(photos) for _, photos in months)
    html, drawn, room = "", 0, MAX_BYTES
    for (year, month), photos in months:
        key = f"{year:04}-{month:02}"
        figures = ""
        for photo in photos:
            piece = figure(photo, key)
            room -= len(piece.encode())
            if room < 0:
                break
            figures += piece
            drawn += 1
        if figures:
            name = MONTH_NAMES[language].split()[month - 1]
            html += f'<div class="photo-archive-month" data-month="{key}"><h3>{name} {year}</h3>{figures}</div>'
        if room < 0:
            warnings.append(f"photo_archive: only the newest {drawn} of {total} photos are shown")
            break
    return html


def figure(photo, month):
    """One photo, linked to its full size; data-lightbox groups the photos of one month."""
    src = escape(photo["src"].strip())
    alt = as_text(photo.get("alt")) or as_text(photo.get("title"))
    caption = as_text(photo.get("caption")) or as_text(photo.get("title"))
    image = f'<img src="{src}" alt="{escape(alt[:MAX_TEXT])}">'
    html = f'<a href="{src}" data-lightbox="photo-archive-{month}">{image}</a>'
    if caption:
        html += f"<figcaption>{escape(caption[:MAX_TEXT])}</figcaption>"
    return f'<figure class="photo-archive-item">{html}</figure>'


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
    """The text of a string or a number: year=2024 arrives as a number. All else is ""."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) >= 1e20:
        return ""
    return str(value)
