"""The console's pages for batches, fine-tuning jobs and files: their progress, their cost, and what can be done."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from unfold.decorators import action, display

from accounts import audit
from accounts.scoped_admin import VIEW_ONLY, Scope, ScopedAdmin
from accounts.words import counted
from batches import steering
from batches.charging import batch_key
from batches.models import Job, StoredFile
from gateway.jobs.upstream import AccountGone, upstream_of
from gateway.managed import files as own_files
from gateway.objects.files import FILE
from gateway.objects.job_kinds import BATCH, STEERED
from providers.upstream.sync_client import Refused, Unreachable

NOTHING = "–"
STATE_COLOURS = {
    "completed": "success",
    "succeeded": "success",
    "failed": "danger",
    "expired": "danger",
    "cancelled": "warning",
    "cancelling": "warning",
    "paused": "warning",
}


class OwnedAdmin(ScopedAdmin):
    """Records of one's accounts; no one edits them."""

    rights = VIEW_ONLY
    superuser_rights = VIEW_ONLY
    kinds: tuple[str, ...] = ()
    ordering = ("-id",)
    show_full_result_count = False
    list_disable_select_all = True

    def concerns(self, scope: Scope) -> bool:
        return bool(scope.accounts)

    def narrow(self, queryset: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
        return queryset.filter(account_name__in=scope.accounts.values())

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(kind__in=self.kinds)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        return super().render_change_form(request, {**context, "show_history": False}, **kwargs)

    def seen_or_404(self, request: HttpRequest, object_id: str) -> Any:
        """Return the record with this id if the person may see it; raise ``Http404`` otherwise."""
        found = self.get_object(request, object_id)
        if found is None or not self.has_view_permission(request, found):
            raise Http404
        return found

    def back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return to a record's page."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return HttpResponseRedirect(reverse(name, args=[object_id]))


@admin.register(Job)
class JobAdmin(OwnedAdmin):
    """Batches and fine-tuning jobs, newest first."""

    kinds = tuple(STEERED)
    list_display = (
        "object_id",
        "kind",
        "account_name",
        "owner_name",
        "model_name",
        "status",
        "done",
        "made",
        "trouble",
    )
    list_filter = ("kind", "state", "account_name")
    search_fields = ("=object_id", "=owner_name")
    search_help_text = "Id or owner, whole"
    actions = ("poll_selected",)
    actions_detail = ("poll_now", "cancel_job", "download_output")
    reading_actions = ("output",)
    fieldsets = (
        ("Job", {"fields": ("object_id", "kind", "account_name", "model_name", "owner_name", "metadata")}),
        ("Progress", {"fields": ("status", "done", "states", "faults", "trouble", "next_poll")}),
        ("Files and model", {"fields": ("files", "made_model")}),
        ("Cost", {"fields": ("cost",)}),
    )

    @display(description="status", label=STATE_COLOURS)
    def status(self, job: Job) -> str:
        return job.state or NOTHING

    @display(description="lines done")
    def done(self, job: Job) -> str:
        done, failed, total = steering.progress(job)
        if not total:
            return NOTHING
        return f"{done:,} of {total:,}" + (f" ({failed:,} failed)" if failed else "")

    @display(description="made", ordering="id")
    def made(self, job: Job) -> str:
        return f"{timezone.localtime(job.created_at):%m-%d %H:%M:%S}"

    @display(description="trouble")
    def trouble(self, job: Job) -> str:
        return job.fault or NOTHING

    @display(description="states")
    def states(self, job: Job) -> str:
        moments = ((f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S}", state) for state, when in steering.history(job))
        return format_html_join("", "{} {}<br>", moments) or NOTHING

    @display(description="errors")
    def faults(self, job: Job) -> str:
        return format_html_join("", "{}<br>", ((text,) for text in steering.errors(job)[:50])) or NOTHING

    @display(description="next poll")
    def next_poll(self, job: Job) -> str:
        return f"{timezone.localtime(job.due_at):%m-%d %H:%M:%S}" if job.due_at else "none: all is done"

    @display(description="files")
    def files(self, job: Job) -> str:
        names = ("input_file_id", "output_file_id", "error_file_id", "training_file", "validation_file")
        return format_html_join("", "{}: {}<br>", ((n, job.body[n]) for n in names if job.body.get(n))) or NOTHING

    @display(description="model")
    def made_model(self, job: Job) -> str:
        return job.body.get("fine_tuned_model") or NOTHING

    @display(description="cost")
    def cost(self, job: Job) -> str:
        if job.kind != BATCH.kind:
            return "The vendor bills training to the account; it is in no usage record."
        known = steering.costs_of([job]).get(job.pk)
        if known is None:
            return "no line is in the billing yet" if job.due_at else "nothing"
        link = f"{reverse('admin:usage_usagerecord_changelist')}?{urlencode({'batch_key': batch_key(job)})}"
        unpriced = f", {known['unpriced']:,} unpriced" if known["unpriced"] else ""
        return format_html(
            '${} for {}{} (<a href="{}" class="text-primary-600">usage records</a>)',
            f"{known['cost']:.6f}",
            counted(known["lines"], "line"),
            unpriced,
            link,
        )

    @admin.action(description="Poll the selected jobs now", permissions=["view"])
    def poll_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        count = steering.poll_now(queryset.values_list("pk", flat=True))
        messages.success(request, f"{counted(count, 'job')} will be polled in a moment.")

    @action(description="Poll now", url_path="poll", icon="refresh")
    def poll_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if self.scope(request).audits:
            raise PermissionDenied
        job = self.seen_or_404(request, object_id)
        steering.poll_now([job.pk])
        messages.success(request, "It will be polled in a moment.")
        return self.back(request, object_id)

    @action(description="Cancel", url_path="cancel", icon="cancel")
    def cancel_job(self, request: HttpRequest, object_id: str) -> HttpResponse:
        job = self.seen_or_404(request, object_id)
        if STEERED[job.kind].is_over(job.state):
            messages.warning(request, f"It is over: {job.state}.")
            return self.back(request, object_id)
        if request.method != "POST":
            return self._ask(request, job)
        try:
            changed = steering.cancel(job)
        except (AccountGone, Unreachable, Refused) as error:
            messages.error(request, f"It can't be cancelled: {error}.")
        else:
            audit.note(job, "cancelled a job", account=job.account_name)
            messages.success(request, f"The upstream says: {changed.state}.")
        return self.back(request, object_id)

    def _ask(self, request: HttpRequest, job: Job) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"Cancel {job.object_id}",
            "opts": self.opts,
            "question": f"Cancel {job.object_id} of {job.owner_name}? What is done by then is paid for.",
            "button": "Cancel the job",
            "back": reverse("admin:batches_job_change", args=[job.pk]),
        }
        return TemplateResponse(request, "console/confirm.html", context)

    @action(description="Download output", url_path="output", icon="download")
    def download_output(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        job = self.seen_or_404(request, object_id)
        file_id = job.body.get("output_file_id")
        if not file_id:
            messages.warning(request, "It has no output.")
            return self.back(request, object_id)
        audit.note(job, f"downloaded the output {file_id}", account=job.account_name)
        return download(job.account_name, file_id)


@admin.register(StoredFile)
class StoredFileAdmin(OwnedAdmin):
    """Files, newest first."""

    kinds = (FILE,)
    list_display = ("object_id", "filename", "purpose", "size", "account_name", "owner_name", "created_at")
    list_filter = ("account_name",)
    search_fields = ("=object_id", "=owner_name", "=parent_id")
    search_help_text = "Id, owner or batch, whole"
    fieldsets = (
        ("File", {"fields": ("object_id", "filename", "purpose", "size", "account_name", "owner_name", "parent_id")}),
        ("Life", {"fields": ("created_at", "expires_at", "deleted_at")}),
    )

    @display(description="name")
    def filename(self, file: StoredFile) -> str:
        return file.body.get("filename") or NOTHING

    @display(description="purpose")
    def purpose(self, file: StoredFile) -> str:
        return file.body.get("purpose") or NOTHING

    @display(description="bytes")
    def size(self, file: StoredFile) -> str:
        size = file.body.get("bytes")
        return f"{size:,}" if isinstance(size, int) else NOTHING


def download(account_name: str, file_id: str) -> HttpResponseBase:
    """Answer a file's lines as they come from the upstream."""
    headers = {"Content-Disposition": f'attachment; filename="{file_id}.jsonl"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(_lines(account_name, file_id), content_type="application/jsonl", headers=headers)


def _lines(account_name: str, file_id: str) -> Iterator[bytes]:
    if own_files.is_own(file_id):
        for line in own_files.lines(file_id):
            yield line + b"\n"
        return
    with upstream_of(account_name) as upstream:
        for line in upstream.lines(f"files/{file_id}/content"):
            yield line + b"\n"
