"""Answers that are images and audio."""

import base64
from typing import Any

from sandbox.gemini.fields import Fields, closed, items, typed
from sandbox.gemini.reading import Asked
from sandbox.gemini.service import invalid
from sandbox.media import mp3, opus, pictures, tones, wav

RATIOS = {
    "1:1": (1024, 1024), "2:3": (832, 1248), "3:2": (1248, 832), "3:4": (864, 1184), "4:3": (1184, 864),
    "4:5": (896, 1152), "5:4": (1152, 896), "9:16": (768, 1344), "16:9": (1344, 768), "21:9": (1536, 672),
}  # fmt: skip
SIZES = {"512": 0.5, "1K": 1, "2K": 2, "4K": 4}
PICTURE_TOKENS = 1290
SOUND_TOKENS_PER_SECOND = 25
VOICES = frozenset(
    {
        *("Zephyr", "Puck", "Charon", "Kore", "Fenrir", "Leda", "Orus", "Aoede", "Callirrhoe", "Autonoe", "Enceladus"),
        *("Iapetus", "Umbriel", "Algieba", "Despina", "Erinome", "Algenib", "Rasalgethi", "Laomedeia", "Achernar"),
        *("Alnilam", "Schedar", "Gacrux", "Pulcherrima", "Achird", "Zubenelgenubi", "Vindemiatrix", "Sadachbia"),
        *("Sadaltager", "Sulafat"),
    }
)


def picture(asked: Asked) -> Fields:
    """The part with an image of what the prompt says."""
    where = "generation_config.image_config"
    config = closed(asked.config.get("imageConfig", {}), ("aspectRatio", "imageSize"), where)
    ratio = typed(config, "aspectRatio", str, where) or "1:1"
    size = typed(config, "imageSize", str, where) or "1K"
    if ratio not in RATIOS or size not in SIZES:
        raise invalid(f"Invalid image_config: aspect ratio '{ratio}', size '{size}'.")
    return {"inlineData": {"mimeType": "image/png", "data": drawn(asked.prompt.user_text, ratio, size)}}


def drawn(text: str, ratio: str, size: str = "1K", variant: int = 0) -> str:
    """An image in base64. A larger size has larger measures, but not as many as Google's."""
    width, height = (int(side * min(SIZES[size], 2)) for side in RATIOS[ratio])
    return pictures.as_base64(pictures.drawn(text, width, height, variant=variant))


def sound(asked: Asked) -> tuple[Fields, int]:
    """The part with the prompt spoken, and its tokens."""
    text = asked.prompt.user_text
    form, voice = _form(asked.config), _voice(asked.config)
    samples = tones.samples(text)
    if form == "AUDIO_MP3":
        mime, data = "audio/mpeg", b"".join(mp3.write_mp3(samples, text))
    elif form == "AUDIO_OGG_OPUS":
        mime, data = "audio/ogg", b"".join(opus.write(samples / tones.RATE, text))
    elif form == "AUDIO_WAV":
        mime, data = "audio/wav", b"".join(wav.write(tones.pcm(text, voice), samples, text))
    else:
        mime, data = f"audio/L16;codec=pcm;rate={tones.RATE}", b"".join(tones.pcm(text, voice))
    part = {"inlineData": {"mimeType": mime, "data": base64.b64encode(data).decode()}}
    return part, int(samples / tones.RATE * SOUND_TOKENS_PER_SECOND) + 1


def _form(config: Fields) -> str:
    form = closed(config.get("responseFormat", {}), ("text", "audio", "image"), "generation_config.response_format")
    where = "generation_config.response_format.audio"
    audio = closed(form.get("audio", {}), ("mimeType", "delivery", "sampleRate", "bitRate"), where)
    wanted = str(typed(audio, "mimeType", str, where) or "AUDIO_L16")
    if wanted not in ("AUDIO_L16", "AUDIO_MP3", "AUDIO_OGG_OPUS", "AUDIO_WAV"):
        raise invalid(f"Invalid value at '{where}.mime_type' (TYPE_ENUM), {wanted!r}")
    return wanted


def _voice(config: Fields) -> str:
    where = "generation_config.speech_config"
    speech = closed(config.get("speechConfig", {}), ("voiceConfig", "multiSpeakerVoiceConfig", "languageCode"), where)
    several = closed(speech.get("multiSpeakerVoiceConfig", {}), ("speakerVoiceConfigs",), where)
    speakers = items(several, "speakerVoiceConfigs")
    first: Any = speakers[0] if speakers else {}
    given = speech.get("voiceConfig") or closed(first, ("speaker", "voiceConfig"), where).get("voiceConfig", {})
    prebuilt = closed(given, ("prebuiltVoiceConfig",), where).get("prebuiltVoiceConfig", {})
    name = str(typed(closed(prebuilt, ("voiceName",), where), "voiceName", str, where) or "Kore")
    if name.capitalize() not in VOICES:
        raise invalid(f"Voice name {name} is not supported. Allowed voice names are: {', '.join(sorted(VOICES))}")
    return name
