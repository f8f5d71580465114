"""
---
id: "01a1fa2f-75ca-722a-a8bc-b5ffdeb9acdb"
slug: "word_count"
title: "Word count and reading time"
kind: utility
entrypoint: main
enabled: true
version: 1
---
"""
# Counts a text. Run it with the text itself, or with {"text": "…", "wordsPerMinute": 180}.
#
# What a utility returns is its result; what it prints is shown beside it.

import re

# People read silently at about 200 to 250 words a minute.
WORDS_PER_MINUTE = 200

# Chinese and Japanese write no spaces between words, so there each character counts as one.
CHARACTER_WORD = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
BETWEEN_WORDS = re.compile(r"[\s—–]+")
BETWEEN_SENTENCES = re.compile(r"(?<=[.!?…।])[\"'”’»)\]]*\s+|(?<=[。！？])|\n\s*\n")
BETWEEN_PARAGRAPHS = re.compile(r"\n\s*\n")


def main(input=None):
    """Words, characters, sentences, paragraphs and reading time of a text; without input, how to use it."""
    if input is None:
        print("Give me a text, and I count its words.")
        return {"usage": 'input: a text, or {"text": "…", "wordsPerMinute": 200}'}

    text, words_per_minute = read_input(input)
    words = count(BETWEEN_WORDS, CHARACTER_WORD.sub(r" \g<0> ", text))
    minutes = -(-words // words_per_minute)  # rounded up
    print(f"{words} {'word' if words == 1 else 'words'}, about {minutes} min to read")
    return {
        "words": words,
        "characters": len(text),
        "charactersWithoutSpaces": sum(not character.isspace() for character in text),
        "sentences": count(BETWEEN_SENTENCES, text),
        "paragraphs": count(BETWEEN_PARAGRAPHS, text),
        "readingMinutes": minutes,
        "wordsPerMinute": words_per_minute,
    }


def read_input(given):
    """(text, words per minute); a ValueError says what is wrong with the input."""
    if isinstance(given, str):
        return given, WORDS_PER_MINUTE
    if not isinstance(given, dict) or not isinstance(given.get("text"), str):
        raise ValueError('input must be a text or {"text": "…", "wordsPerMinute": 200}')
    speed = given.get("wordsPerMinute", WORDS_PER_MINUTE)
    if not isinstance(speed, int) or isinstance(speed, bool) or not 1 <= speed <= 10_000:
        raise ValueError("wordsPerMinute must be a whole number from 1 to 10000")
    return given["text"], speed


def count(separator, text):
    """How many of the pieces between separators hold a letter or a digit."""
    return sum(any(character.isalnum() for character in piece) for piece in separator.split(text))
