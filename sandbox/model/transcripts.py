"""A transcript in the shapes that OpenAI offers: segments, words, subtitles, speakers."""

import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.model.chat_format import token_logprob
from sandbox.model.tokens import split

_SENTENCE = re.compile(r"\S.*?(?:[.!?。！？]+(?=\s|$)|$)", re.DOTALL)
_WORD = re.compile(r"\S+")
_LINE = re.compile(r"\S.*$", re.MULTILINE)
_SPEAKER = re.compile(r"^([A-Z][\w ]{0,20}): ", re.MULTILINE)
# Language names as whisper writes them; other codes are shown as they are.
_LANGUAGES = {
    **{"en": "english", "fr": "french", "de": "german", "es": "spanish", "it": "italian", "pt": "portuguese"},
    **{"nl": "dutch", "ja": "japanese", "zh": "chinese", "hi": "hindi", "ko": "korean", "ru": "russian"},
}


@dataclass(slots=True)
class Span:
    """A part of the text, in seconds from the beginning."""

    text: str
    start: float
    end: float


@dataclass(slots=True)
class Transcript:
    text: str
    seconds: float
    language: str = "en"
    temperature: float = 0.0

    @property
    def language_name(self) -> str:
        return _LANGUAGES.get(self.language, self.language)

    def sentences(self) -> list[Span]:
        return self.spans(_SENTENCE)

    def words(self) -> list[Span]:
        return self.spans(_WORD)

    def spans(self, pattern: re.Pattern[str]) -> list[Span]:
        """The pattern's matches; each takes as much of the time as of the text."""
        pace = self.seconds / max(len(self.text), 1)
        return [
            Span(found[0], round(found.start() * pace, 3), round(found.end() * pace, 3))
            for found in pattern.finditer(self.text)
        ]


def verbose(transcript: Transcript, task: str, granularities: list[str]) -> dict[str, Any]:
    """The body of `verbose_json`, without usage."""
    body: dict[str, Any] = {
        "task": task,
        "language": transcript.language_name,
        "duration": round(transcript.seconds, 3),
        "text": transcript.text,
    }
    if "segment" in granularities:
        body["segments"] = [_segment(transcript, span, index) for index, span in enumerate(transcript.sentences())]
    if "word" in granularities:
        body["words"] = [
            {"word": span.text.strip(".,;:!?"), "start": span.start, "end": span.end} for span in transcript.words()
        ]
    return body


def _segment(transcript: Transcript, span: Span, index: int) -> dict[str, Any]:
    return {
        "id": index,
        "seek": 0,
        "start": span.start,
        "end": span.end,
        "text": f" {span.text}",
        "tokens": [zlib.crc32(piece.encode()) % 50_000 for piece in split(span.text)],
        "temperature": transcript.temperature,
        "avg_logprob": -0.25,
        "compression_ratio": 1.1,
        "no_speech_prob": 0.01,
    }


def srt(transcript: Transcript) -> str:
    return "".join(
        f"{number}\n{_clock(span.start, ',')} --> {_clock(span.end, ',')}\n{span.text}\n\n"
        for number, span in enumerate(transcript.sentences(), 1)
    )


def vtt(transcript: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(
        f"{_clock(span.start, '.')} --> {_clock(span.end, '.')}\n{span.text}\n\n" for span in transcript.sentences()
    )


def _clock(seconds: float, point: str) -> str:
    total = round(seconds * 1000)
    hours, minutes = total // 3_600_000, total // 60_000 % 60
    return f"{hours:02d}:{minutes:02d}:{total // 1000 % 60:02d}{point}{total % 1000:03d}"


def speakers(transcript: Transcript, known: list[str]) -> Iterator[dict[str, Any]]:
    """Segments with speakers: those that lines such as "Ann: Hello" name, else two who take turns by sentence."""
    named = bool(_SPEAKER.search(transcript.text))
    spans = transcript.spans(_LINE) if named else transcript.sentences()
    usual = (known + ["A", "B"][: max(0, 2 - len(known))])[: max(2, len(known))]
    for index, span in enumerate(spans):
        match = _SPEAKER.match(span.text) if named else None
        yield {
            "type": "transcript.text.segment",
            "id": f"seg_{index:03d}",
            "start": span.start,
            "end": span.end,
            "text": span.text[match.end() :] if match else span.text,
            "speaker": match[1] if match else usual[index % len(usual)],
        }


def logprobs(text: str) -> list[dict[str, Any]]:
    """The tokens of a transcript with their log probabilities."""
    made = []
    for piece in split(text):
        likely = token_logprob(piece, 0)
        made.append({"token": likely["token"], "logprob": likely["logprob"], "bytes": likely["bytes"]})
    return made


def duration_usage(seconds: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(seconds)}
