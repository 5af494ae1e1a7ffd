"""What people are told, taken apart: the id of each sentence and the values in it, for any language.

The English text is written where it arises and stands in every answer. `sentences.json` lists the templates
of all of them (`python -m tests.web.sentences` makes it from the sources); the page's own words for an id lie
in `locales/<language>/main.json`, under `klingOnce.said`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

ID_LENGTH: Final = 80
PLACE: Final = re.compile(r"\{(\d+)\}")
VALUE: Final = r"((?:(?!(?<=[.:]) [A-Z]|\n|\)? \| ).)+?)"
"""What stands for a value: it holds no whole sentence."""
LAST_VALUE: Final = VALUE[:-2] + ")"
"""One at the end of a template takes all that is left of the sentence."""
SHORT_LETTERS: Final = 4
"""A template with no more of its own, such as `Task {0}.`, takes single words alone: prose begins so too."""
PHRASE_END: Final = r"(?:(?=\s*(?:$|[\n|()]))|(?<=\.)(?=\s))"
BREAK: Final = re.compile(r"(?<=\.) (?=\S)|\n| \| | \(|\)|$")
GAP: Final = re.compile(r"[\s|()]+")
TEXT_MAX: Final = 8_000
"""A longer text is left as it is."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of what people are told; one without a rule is said as it is."""

    message: str
    rule: str = ""
    """The id of its sentence."""
    values: tuple[str | tuple[Piece, ...], ...] = ()
    """What fills the sentence's places, in their order; sentences within it are taken apart likewise."""


def sentence_id(template: str) -> str:
    """Return the id of a sentence, or of a phrase within one: its words, with the numbers of its places."""
    words = "_".join(re.findall(r"[a-z0-9]+", template.lower().replace("'", "")))[:ID_LENGTH].strip("_")
    return words if template.endswith(".") else f"{words}_phrase"


@dataclass(frozen=True, slots=True)
class _Sentence:
    rule: str
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, template: str) -> _Sentence:
        parts = PLACE.split(template)
        texts, count = parts[::2], len(parts) // 2
        is_short = sum(map(str.isalpha, "".join(texts))) <= SHORT_LETTERS
        values = [r"(\S+?)" if is_short else VALUE] * count
        if count and not is_short and not texts[-1]:
            values[-1] = LAST_VALUE
        pattern = re.escape(texts[0]) + "".join(
            value + re.escape(text) for value, text in zip(values, texts[1:], strict=True)
        )
        end = r"(?=\s|$)" if template.endswith(".") else PHRASE_END
        return cls(sentence_id(template), re.compile(pattern + end))


@cache
def _sentences() -> tuple[_Sentence, ...]:
    """Return every sentence, the ones with the most text of their own first."""
    templates = json.loads(Path(__file__).with_name("sentences.json").read_text(encoding="utf-8"))
    return tuple(map(_Sentence.of, sorted(templates, key=lambda one: -len(PLACE.sub("", one)))))


@lru_cache(maxsize=1024)
def taken_apart(text: str) -> tuple[Piece, ...]:
    """Take a text apart; the messages of its pieces make the text again."""
    pieces: list[Piece] = []
    place = 0
    while place < len(text) <= TEXT_MAX:
        found = next((one for one in _sentences() if one.pattern.match(text, place)), None)
        match = found and found.pattern.match(text, place)
        if found and match:
            values = tuple(map(_value, match.groups()))
            pieces.append(Piece(message=match[0], rule=found.rule, values=values))
            place = match.end()
        else:
            end = _break_after(text, place)
            pieces.append(Piece(message=text[place:end]))
            place = end
    return tuple(pieces) if pieces or not text else (Piece(message=text),)


def _value(text: str) -> str | tuple[Piece, ...]:
    pieces = taken_apart(text)
    return pieces if any(piece.rule for piece in pieces) else text


def _break_after(text: str, place: int) -> int:
    """Return where the next sentence may begin."""
    if gap := GAP.match(text, place):
        return gap.end()
    found = BREAK.search(text, place)
    return max(found.start() if found else len(text), place + 1)
