"""Embeddings, images and speech on their way to a provider of another dialect: the answers come whole."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from providers.dialects import chat, embeddings, gemini, images, speech
from providers.dialects.conversion import Ask, Converted, StreamConversion, Upstream
from providers.dialects.embeddings import EmbeddingRequest
from providers.dialects.failures import DialectError
from providers.dialects.gemini import embeddings as gemini_embeddings
from providers.dialects.gemini import images as gemini_images
from providers.dialects.gemini import speech as gemini_speech
from providers.dialects.gemini import vertex
from providers.dialects.gemini.dialect import model_path
from providers.dialects.gemini.parts import takes_uri
from providers.dialects.media import fetched
from providers.dialects.neutral import Failure, Settings, Usage
from providers.dialects.wire import encode, plain


class Whole:
    """What these conversions have in common: errors, and no media and no stream."""

    read_error: Callable[[int, bytes], Failure] = staticmethod(gemini.read_error)
    write_error: Callable[[Failure], bytes] = staticmethod(chat.write_error)

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self._model = ""

    def urls(self, settings: Settings) -> list[str]:
        """Nothing is named by its URL here."""
        return []

    def failed(self, status: int, body: bytes) -> Converted:
        """Return an error of the provider's as the caller gets it."""
        failure = self.read_error(status, body)
        return Converted(status=failure.status, body=self.refused(failure), failure=failure)

    def refused(self, failure: Failure) -> bytes:
        """Return the body of an error."""
        return self.write_error(failure)

    def stream(self) -> StreamConversion:
        """These answers come whole."""
        raise DialectError("The provider answered with a stream that was not asked for.", status=502)


class OpenAIEmbeddings(Whole):
    """OpenAI's embeddings by Gemini's models."""

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._request = embeddings.read_request(ask.fields)

    def write(self, settings: Settings) -> Upstream:
        """Return the request for all texts together."""
        self._model = settings.model
        write = vertex.write_embeddings if settings.vertex else gemini_embeddings.write_request
        action, body, self.dropped = write(self._request, settings.model, strict=settings.strict)
        return Upstream(model_path(settings.model, action, vertex=settings.vertex), body)

    def answer(self, body: bytes) -> Converted:
        """Return the vectors in OpenAI's form."""
        found = gemini_embeddings.read_answer(body)
        found.model = found.model or self._model
        usage = Usage(input=found.tokens) if found.tokens else None
        written = embeddings.write_answer(found, self._request)
        return Converted(status=200, body=written, usage=usage, model=found.model)


class GeminiEmbeddings(Whole):
    """Gemini's ``embedContent`` and ``batchEmbedContents`` by models of OpenAI's dialect."""

    read_error = staticmethod(chat.read_error)
    write_error = staticmethod(gemini.write_error)

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._request = gemini_embeddings.read_request(ask.fields, ask.model)

    def write(self, settings: Settings) -> Upstream:
        """Return the request; the task has no counterpart."""
        self.dropped = ["taskType"] if self._request.task else []
        return Upstream("embeddings", embeddings.write_request(self._request, settings.model))

    def answer(self, body: bytes) -> Converted:
        """Return the vectors in Gemini's form."""
        found = embeddings.read_answer(body)
        usage = Usage(input=found.tokens) if found.tokens else None
        written = gemini_embeddings.write_answer(found, self._request)
        return Converted(status=200, body=written, usage=usage, model=found.model)


class VertexEmbeddings(Whole):
    """Gemini's ``embedContent`` and ``batchEmbedContents`` by Vertex AI."""

    write_error = staticmethod(gemini.write_error)

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._single = "requests" not in ask.fields
        self._passes = False

    def write(self, settings: Settings) -> Upstream:
        """Return the request: Gemini's models take the caller's own, with media in it, too; others predict."""
        if vertex.predicts(settings.model):
            request = gemini_embeddings.read_request(self._ask.fields, self._ask.model)
            action, body = "predict", vertex.predict_body(request)
        else:
            action, fields = vertex.embed_call(plain(self._ask.fields))
            body = encode(fields)
            self._passes = self._single or action == "batchEmbedContents"
        return Upstream(model_path(settings.model, action, vertex=True), body)

    def answer(self, body: bytes) -> Converted:
        """Return the vectors, in the form that was asked for."""
        found = gemini_embeddings.read_answer(body)
        usage = Usage(input=found.tokens) if found.tokens else None
        written = (
            body if self._passes else gemini_embeddings.write_answer(found, EmbeddingRequest([], single=self._single))
        )
        return Converted(status=200, body=written, usage=usage)


class GeminiImages(Whole):
    """OpenAI's image generation by Gemini's models and by Imagen."""

    read: Callable[[Mapping[str, Any]], images.ImageRequest] = staticmethod(images.read_request)

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._request = self.read(ask.fields)

    def urls(self, settings: Settings) -> list[str]:
        """Return the URLs of the images to edit that Gemini does not fetch itself."""
        wanted = (source for source in self._request.sources if source.url)
        return list(dict.fromkeys(source.url for source in wanted if not takes_uri(source, settings.hand_over_urls)))

    def write(self, settings: Settings) -> Upstream:
        """Return the request."""
        sources = [fetched(source, settings.media) for source in self._request.sources]
        request = msgspec.structs.replace(self._request, sources=sources)
        body, self.dropped = gemini_images.write_request(
            request, settings.model, strict=settings.strict, vertex=settings.vertex
        )
        self._model = settings.model
        action = "predict" if gemini_images.is_imagen(settings.model) else "generateContent"
        return Upstream(model_path(settings.model, action, vertex=settings.vertex), body)

    def answer(self, body: bytes) -> Converted:
        """Return the images in OpenAI's form."""
        found = gemini_images.read_answer(body, self._model)
        return Converted(status=200, body=images.write_answer(found, self._request), usage=found.usage)


class GeminiImageEdits(GeminiImages):
    """OpenAI's image edits by Gemini's models: the images go before the prompt."""

    read = staticmethod(images.read_edit)


class GeminiSpeech(Whole):
    """OpenAI's speech by Gemini's models for it."""

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._request = speech.read_request(ask.fields)

    def write(self, settings: Settings) -> Upstream:
        """Return the request."""
        body, self.dropped = gemini_speech.write_request(
            self._request, settings.model, strict=settings.strict, vertex=settings.vertex
        )
        return Upstream(model_path(settings.model, "generateContent", vertex=settings.vertex), body)

    def answer(self, body: bytes) -> Converted:
        """Return the audio."""
        sound, media_type, usage = gemini_speech.read_answer(body, self._request)
        return Converted(status=200, body=sound, media_type=media_type, usage=usage)
