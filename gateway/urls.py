"""The whole public surface, a line per endpoint."""

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path, re_path, register_converter
from django.urls.converters import PathConverter
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView

from gateway.addresses import (
    ACCOUNT_PREFIX,
    API_PREFIX,
    AZURE_PREFIX,
    COHERE_RERANK,
    DEPLOYMENT_PREFIX,
    GOOGLE_PREFIX,
)
from gateway.endpoints import (
    audio,
    batches,
    chat,
    conversations,
    embeddings,
    files,
    fine_tuning,
    gemini,
    health,
    images,
    messages,
    model_shapes,
    models,
    moderations,
    proxy,
    queries,
    realtime,
    realtime_calls,
    rerank,
    resources,
    responses,
    stored_chat,
    uploads,
)
from gateway.openapi import generator

admin.autodiscover()


class Root(RedirectView):
    """Leads browsers to the console. A call that comes here has a wrong base URL; the answer says so."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        raise Http404


class ModelName(PathConverter):
    """A model's name in an address.

    What Gemini's clients do with a model (``gemini-2.5-pro:generateContent``) is not one.
    """

    regex = r"(?!.*:(?:generateContent|streamGenerateContent|countTokens|embedContent|batchEmbedContents|predict)$).+"


register_converter(ModelName, "model")


api: list[URLPattern | URLResolver] = [
    path("chat/completions", chat.ChatCompletions.as_view(), name="chat-completions"),
    path("chat/completions/<str:completion_id>", stored_chat.StoredCompletion.as_view(), name="stored-completion"),
    path("chat/completions/<str:completion_id>/messages", stored_chat.StoredMessages.as_view(), name="stored-messages"),
    path("completions", chat.Completions.as_view(), name="completions"),
    path("embeddings", embeddings.Embeddings.as_view(), name="embeddings"),
    path("rerank", rerank.Rerank.as_view(), name="rerank"),
    path("moderations", moderations.Moderations.as_view(), name="moderations"),
    path("images/generations", images.ImageGenerations.as_view(), name="images-generations"),
    path("images/edits", images.ImageEdits.as_view(), name="images-edits"),
    path("images/variations", images.ImageVariations.as_view(), name="images-variations"),
    path("audio/speech", audio.Speech.as_view(), name="audio-speech"),
    path("audio/transcriptions", audio.Transcriptions.as_view(), name="audio-transcriptions"),
    path("audio/translations", audio.Translations.as_view(), name="audio-translations"),
    path("messages", messages.Messages.as_view(), name="messages"),
    path("messages/count_tokens", messages.CountTokens.as_view(), name="messages-count-tokens"),
    *gemini.action_urls(),
    path("models", models.ModelList.as_view(), name="models"),
    path("models/<model:name>", models.ModelDetail.as_view(), name="model"),
    path("responses", responses.Responses.as_view(), name="responses"),
    path("responses/input_tokens", responses.InputTokens.as_view(), name="responses-input-tokens"),
    path("responses/compact", responses.Compact.as_view(), name="responses-compact"),
    path("responses/<str:response_id>", responses.Response.as_view(), name="response"),
    path("responses/<str:response_id>/cancel", responses.CancelResponse.as_view(), name="response-cancel"),
    path("responses/<str:response_id>/input_items", responses.InputItems.as_view(), name="response-input-items"),
    path("conversations", conversations.Conversations.as_view(), name="conversations"),
    path("conversations/<str:conversation_id>", conversations.Conversation.as_view(), name="conversation"),
    path("conversations/<str:conversation_id>/items", conversations.ConversationItems.as_view(), name="items"),
    path(
        "conversations/<str:conversation_id>/items/<str:item_id>", conversations.ConversationItem.as_view(), name="item"
    ),
    path("files", files.Files.as_view(), name="files"),
    path("files/<str:file_id>", files.File.as_view(), name="file"),
    path("files/<str:file_id>/content", files.FileContent.as_view(), name="file-content"),
    path("uploads", uploads.Uploads.as_view(), name="uploads"),
    path("uploads/<str:upload_id>/parts", uploads.UploadParts.as_view(), name="upload-parts"),
    path("uploads/<str:upload_id>/complete", uploads.CompleteUpload.as_view(), name="upload-complete"),
    path("uploads/<str:upload_id>/cancel", uploads.CancelUpload.as_view(), name="upload-cancel"),
    path("batches", batches.Batches.as_view(), name="batches"),
    path("batches/<str:batch_id>", batches.Batch.as_view(), name="batch"),
    path("batches/<str:batch_id>/cancel", batches.CancelBatch.as_view(), name="batch-cancel"),
    path("fine_tuning/jobs", fine_tuning.Jobs.as_view(), name="fine-tuning-jobs"),
    path("fine_tuning/jobs/<str:job_id>", fine_tuning.Job.as_view(), name="fine-tuning-job"),
    path("fine_tuning/jobs/<str:job_id>/cancel", fine_tuning.CancelJob.as_view(), name="fine-tuning-cancel"),
    path("fine_tuning/jobs/<str:job_id>/pause", fine_tuning.PauseJob.as_view(), name="fine-tuning-pause"),
    path("fine_tuning/jobs/<str:job_id>/resume", fine_tuning.ResumeJob.as_view(), name="fine-tuning-resume"),
    path("fine_tuning/jobs/<str:job_id>/events", fine_tuning.Events.as_view(), name="fine-tuning-events"),
    path(
        "fine_tuning/jobs/<str:job_id>/checkpoints", fine_tuning.Checkpoints.as_view(), name="fine-tuning-checkpoints"
    ),
    path("fine_tuning/checkpoints/<str:checkpoint>/permissions", fine_tuning.Permissions.as_view(), name="permissions"),
    path(
        "fine_tuning/checkpoints/<str:checkpoint>/permissions/<str:permission>",
        fine_tuning.Permissions.as_view(),
        name="permission",
    ),
    path("fine_tuning/alpha/graders/run", fine_tuning.RunGrader.as_view(), name="grader-run"),
    path("fine_tuning/alpha/graders/validate", fine_tuning.ValidateGrader.as_view(), name="grader-validate"),
    path("realtime/client_secrets", realtime.ClientSecrets.as_view(), name="client-secrets"),
    path("realtime/translations/client_secrets", realtime.TranslationSecrets.as_view(), name="translation-secrets"),
    path("realtime/sessions", realtime.Sessions.as_view(), name="realtime-sessions"),
    path("realtime/transcription_sessions", realtime.TranscriptionSessions.as_view(), name="transcription-sessions"),
    path("realtime/calls", realtime_calls.Calls.as_view(), name="realtime-calls"),
    path("realtime/calls/<str:call_id>/accept", realtime_calls.AcceptCall.as_view(), name="accept-call"),
    path("realtime/calls/<str:call_id>/reject", realtime_calls.RejectCall.as_view(), name="reject-call"),
    path("realtime/calls/<str:call_id>/refer", realtime_calls.ReferCall.as_view(), name="refer-call"),
    path("realtime/calls/<str:call_id>/hangup", realtime_calls.HangUpCall.as_view(), name="hang-up-call"),
    path("live/sessions", realtime.LiveCalls.as_view(), name="live-sessions"),
    path("live/sessions/<path:rest>", realtime.LiveCalls.as_view(), name="live-session"),
    *resources.resource_urls(),
    path("proxy/<path:rest>", proxy.ProxyView.as_view(), name="proxy"),
]

google: list[URLPattern | URLResolver] = [
    *gemini.action_urls(),
    path("models", model_shapes.GoogleModels.as_view(), name="google-models"),
    path("models/<model:name>", model_shapes.GoogleModel.as_view(), name="google-model"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    re_path(API_PREFIX, include(api)),
    re_path(ACCOUNT_PREFIX, include(api)),
    re_path(GOOGLE_PREFIX, include(google)),
    re_path(COHERE_RERANK, rerank.Rerank.as_view(), name="rerank-v2"),
    re_path(DEPLOYMENT_PREFIX, include(api)),
    re_path(AZURE_PREFIX, include(api)),
    path("healthz", health.Healthz.as_view(), name="healthz"),
    path("readyz", health.Readyz.as_view(), name="readyz"),
    path("api/svc/v1/gateway-feedback", queries.GatewayFeedback.as_view(), name="gateway-feedback"),
    path("api/svc/v1/spans/query", queries.SpansQuery.as_view(), name="spans-query"),
    path("api/svc/v1/llm-gateway/metrics/query", queries.MetricsQuery.as_view(), name="metrics-query"),
    path("api/schema/", generator.SchemaView.as_view(), name="schema"),
    path("api/docs/", generator.DocsView.as_view(), name="docs"),
    path("admin/sign-in/", include("console.urls")),
    path("admin/", admin.site.urls),
    path("", csrf_exempt(Root.as_view(pattern_name="admin:index")), name="root"),
]

handler400 = "console.errors.bad_request"
handler403 = "console.errors.forbidden"
handler404 = "console.errors.not_found"
handler500 = "console.errors.failed"
