"""A translation into English: word by word, and only of words that examples use."""

import re

# phrase: what it means, in several languages
_MEANS = {
    **{
        "bonjour": "hello",
        "salut": "hi",
        "le": "the",
        "la": "the",
        "les": "the",
        "monde": "world",
        "merci": "thank you",
    },
    **{"je": "I", "suis": "am", "est": "is", "sont": "are", "et": "and", "un": "a", "une": "a", "chat": "cat"},
    **{"chien": "dog", "oui": "yes", "non": "no", "avec": "with", "pour": "for", "dans": "in", "sur": "on"},
    **{"comment": "how", "allez-vous": "are you", "ça": "it", "va": "goes", "très": "very", "bien": "well"},
    **{"beau": "beautiful", "temps": "weather", "il": "it", "fait": "is", "aujourd'hui": "today", "nous": "we"},
    **{"hallo": "hello", "guten": "good", "tag": "day", "morgen": "morning", "danke": "thank you", "welt": "world"},
    **{"ich": "I", "bin": "am", "ist": "is", "und": "and", "ein": "a", "eine": "a", "der": "the", "das": "the"},
    **{"katze": "cat", "hund": "dog", "nein": "no", "mit": "with", "wie": "how", "geht": "goes", "ja": "yes"},
    **{"hola": "hello", "buenos": "good", "días": "day", "gracias": "thank you", "mundo": "world", "yo": "I"},
    **{"soy": "am", "es": "is", "y": "and", "el": "the", "gato": "cat", "perro": "dog", "sí": "yes", "con": "with"},
    **{"ciao": "hello", "grazie": "thank you", "mondo": "world", "sono": "am", "gatto": "cat", "cane": "dog"},
}
_WORD = re.compile(r"[^\W\d_][\w'’-]*")


def translate(text: str) -> str:
    """`text` with the words that are known in English; capitals stay where they were."""
    return _WORD.sub(_translated, text)


def _translated(match: re.Match[str]) -> str:
    word = match[0]
    meaning = _MEANS.get(word.lower().replace("’", "'"))
    if meaning is None:
        return word
    return meaning[0].upper() + meaning[1:] if word[0].isupper() else meaning
