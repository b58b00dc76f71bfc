"""Gatehouse's settings: one flat file, read from the environment.

It starts with nothing set. Every variable is described in ``docs/settings.md``; a bad value fails here, at start, with
the variable's name and the fix.
"""

import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.config.database import database
from gateway.config.env import (
    address,
    assignments,
    choice,
    email_address,
    fail,
    flag,
    header_names,
    host_names,
    host_of,
    json_object,
    metadata_keys,
    metric_labels,
    names,
    networks,
    number,
    origins,
    patterns,
    port,
    several,
    signing_secret,
    text,
    web_address,
    web_addresses,
    whole,
)
from gateway.config.keyfiles import data_directory, key_from_file
from gateway.config.logging_of import logging_of
from gateway.config.openid import openid_app, openid_provider, password_sign_in
from providers.egress import parse_allow_list

# --- where state lives ------------------------------------------------------------------------------------------------
try:
    DATA_DIR = data_directory(text("GATEHOUSE_DATA_DIR") or "./data")
except (OSError, ValueError) as error:
    why = getattr(error, "strerror", None) or error
    raise fail("GATEHOUSE_DATA_DIR", f"can't be made or entered ({why}).", "Name a writable folder.") from None


def kept_key(name: str) -> str:
    """Return the key in the file ``name`` of the data folder, made there by the first start."""
    try:
        return key_from_file(DATA_DIR / name)
    except OSError as error:
        why = f"{DATA_DIR / name} can't be read or made ({error.strerror})."
        raise fail("GATEHOUSE_DATA_DIR", why, "Name a folder that this user may write.") from None
    except ValueError as error:
        raise fail("GATEHOUSE_DATA_DIR", f"{error}", "Without the old key stored secrets stay unreadable.") from None


# Uploads and other large bodies wait in files, which must not need a writable system folder.
try:
    TEMP_DIR = data_directory(str(DATA_DIR / "tmp"))
except OSError as error:
    raise fail(
        "GATEHOUSE_DATA_DIR", f"{DATA_DIR / 'tmp'} can't be made ({error.strerror}).", "Name a writable folder."
    ) from None
tempfile.tempdir = str(TEMP_DIR)
os.environ.setdefault("SQLITE_TMPDIR", str(TEMP_DIR))  # read when sqlite3 is imported: before the first connection
BASE_DIR = Path(__file__).resolve().parents[1]
ENVIRONMENT = choice("GATEHOUSE_ENV", "production", ("production", "development"))
DEBUG = flag("DEBUG", False)
SECRET_KEY = text("SECRET_KEY") or kept_key("secret_key")
# The first key encrypts, all of them decrypt: put a new one in front to rotate.
FERNET_KEYS = names("GATEHOUSE_ENCRYPTION_KEYS") or [kept_key("encryption_key")]
DATABASE_URL = text("DATABASE_URL")
REDIS_URL = address("REDIS_URL", "a Redis server", ("redis", "rediss", "unix"), "redis://HOST:PORT/0")
DATABASES = {"default": database(DATABASE_URL, DATA_DIR, pooler=flag("GATEHOUSE_DATABASE_POOLER", False))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- who may reach us, and under which name ---------------------------------------------------------------------------
PORT = port("PORT", 8000)
PUBLIC_URL = web_address("GATEHOUSE_PUBLIC_URL", "https://ai.example.com").rstrip("/")
# Behind a proxy, everything may live below a path: /ai of https://example.com/ai, stripped by the proxy or not.
BASE_PATH = urlsplit(PUBLIC_URL).path.rstrip("/")
FORCE_SCRIPT_NAME = BASE_PATH or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{BASE_PATH}/"
CORS_ORIGINS = origins("GATEHOUSE_CORS_ORIGINS")
ALLOWED_HOSTS = host_names("GATEHOUSE_ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]", ".localhost"]
if PUBLIC_URL:
    ALLOWED_HOSTS.append(host_of(PUBLIC_URL))
    CSRF_TRUSTED_ORIGINS = ["/".join(PUBLIC_URL.split("/", 3)[:3])]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "console.errors.csrf_failure"
BEHIND_PROXY = flag("GATEHOUSE_BEHIND_PROXY", False)
TRUSTED_PROXIES = networks("GATEHOUSE_TRUSTED_PROXIES")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_HSTS_SECONDS = 31_536_000 if SESSION_COOKIE_SECURE else 0

# --- what may be connected to, and within which bounds ----------------------------------------------------------------
EGRESS_ALLOW = names("GATEHOUSE_EGRESS_ALLOW")
parse_allow_list(EGRESS_ALLOW)  # fails here, at start
MEDIA_ALLOW = names("GATEHOUSE_MEDIA_ALLOW")
parse_allow_list(MEDIA_ALLOW)
MEDIA_FILE_BYTES = int(number("GATEHOUSE_MEDIA_MAX_MB", 20, least=0.01, most=1024) * 2**20)
MEDIA_CACHE_BYTES = int(number("GATEHOUSE_MEDIA_CACHE_MB", 64, least=0, most=65_536) * 2**20)
MEDIA_SECONDS = number("GATEHOUSE_MEDIA_TIMEOUT_S", 20, least=0.1, most=600)
MAX_BODY_BYTES = int(number("GATEHOUSE_MAX_BODY_MB", 25, least=0.01, most=1024) * 2**20)
MAX_UPLOAD_BYTES = int(number("GATEHOUSE_MAX_UPLOAD_MB", 512, least=0.01, most=65_536) * 2**20)
MAX_CALLS_IN_FLIGHT = whole("GATEHOUSE_MAX_CALLS_IN_FLIGHT", 4000, least=1, most=1_000_000)
MAX_CALLS_PER_CALLER = whole("GATEHOUSE_MAX_CALLS_PER_CALLER", 2000, least=1, most=1_000_000)
MAX_BYTES_IN_FLIGHT = int(number("GATEHOUSE_MAX_BYTES_IN_FLIGHT_MB", 512, least=1, most=1_048_576) * 2**20)
MAX_BYTES_PER_CALLER = int(number("GATEHOUSE_MAX_BYTES_PER_CALLER_MB", 256, least=1, most=1_048_576) * 2**20)
SSE_HEARTBEAT_SECONDS = number("GATEHOUSE_SSE_HEARTBEAT_S", 0, least=0, most=3600)
BODY_TIMEOUT = number("GATEHOUSE_BODY_TIMEOUT_S", 60, least=1, most=3600)
UPLOAD_MAX_SECONDS = number("GATEHOUSE_UPLOAD_MAX_SECONDS", 1800, least=1, most=86_400)
CALL_MAX_SECONDS = number("GATEHOUSE_CALL_MAX_SECONDS", 3600, least=1, most=86_400)
MAX_ANSWER_BYTES = int(number("GATEHOUSE_MAX_ANSWER_MB", 256, least=1, most=4096) * 2**20)
IDEMPOTENCY_ANSWER_BYTES = int(number("GATEHOUSE_IDEMPOTENCY_ANSWER_MB", 8, least=0.01, most=256) * 2**20)
IDEMPOTENCY_TOTAL_BYTES = int(number("GATEHOUSE_IDEMPOTENCY_TOTAL_MB", 1024, least=1, most=1_048_576) * 2**20)
FORWARD_HEADERS = header_names("GATEHOUSE_FORWARD_HEADERS")
DRAIN_SECONDS = number("GATEHOUSE_DRAIN_SECONDS", 30, least=0, most=3600)
CHANGE_POLL_SECONDS = number("GATEHOUSE_CHANGE_POLL_SECONDS", 0.25, least=0.05, most=5)
USAGE_FLUSH_SECONDS = number("GATEHOUSE_USAGE_FLUSH_SECONDS", 0.5, least=0.05, most=60)
USAGE_SPOOL_MAX_BYTES = int(number("GATEHOUSE_USAGE_SPOOL_MAX_MB", 1024, least=1, most=1_048_576) * 2**20)
USAGE_RETENTION_DAYS = whole("GATEHOUSE_USAGE_RETENTION_DAYS", 400, least=1, most=36_500)
USAGE_METADATA_KEYS = metadata_keys("GATEHOUSE_USAGE_METADATA_KEYS")
OBJECT_RETENTION_DAYS = whole("GATEHOUSE_OBJECT_RETENTION_DAYS", 60, least=1, most=36_500)
JOB_FRESH_SECONDS = number("GATEHOUSE_JOB_FRESH_S", 5, least=0, most=3600)
JOB_POLL_SECONDS = number("GATEHOUSE_JOB_POLL_S", 5, least=0.1, most=3600)
JOB_POLL_MAX_SECONDS = number("GATEHOUSE_JOB_POLL_MAX_S", 60, least=0.1, most=86_400)
JOB_SWEEP_SECONDS = number("GATEHOUSE_JOB_SWEEP_S", 2, least=0.1, most=3600)
JOB_LEASE_SECONDS = number("GATEHOUSE_JOB_LEASE_S", 60, least=1, most=3600)
DISCOVER_SECONDS = number("GATEHOUSE_DISCOVER_SECONDS", 3600, least=0, most=604_800)
JOB_WEBHOOK_URL = web_address("GATEHOUSE_JOB_WEBHOOK_URL", "https://HOST/PATH")
JOB_WEBHOOK_SECRET = signing_secret("GATEHOUSE_JOB_WEBHOOK_SECRET", required=bool(JOB_WEBHOOK_URL))
UPSTREAM_CLIENT = choice("GATEHOUSE_UPSTREAM_CLIENT", "lean", ("lean", "aiohttp"))
BACKGROUND_POLL_SECONDS = number("GATEHOUSE_BACKGROUND_POLL_SECONDS", 2, least=0, most=3600)
REALTIME_MAX_SECONDS = number("GATEHOUSE_REALTIME_MAX_SECONDS", 3600, least=1, most=86_400)
REALTIME_IDLE_SECONDS = number("GATEHOUSE_REALTIME_IDLE_SECONDS", 900, least=1, most=86_400)
REALTIME_SESSIONS_PER_SUBJECT = whole("GATEHOUSE_REALTIME_SESSIONS_PER_SUBJECT", 200, least=0, most=100_000)
REALTIME_SESSIONS_PER_ACCOUNT = whole("GATEHOUSE_REALTIME_SESSIONS_PER_ACCOUNT", 1000, least=0, most=100_000)
WORKERS = whole("GATEHOUSE_WORKERS", 1, least=1, most=1024)
UNPRICED_CALLS = choice("GATEHOUSE_UNPRICED_CALLS", "refuse", ("refuse", "allow", "assume"))
ASSUMED_PRICE = number("GATEHOUSE_ASSUMED_PRICE", 100, least=0, most=1_000_000)
BUDGET_OUTPUT_TOKENS = whole("GATEHOUSE_BUDGET_OUTPUT_TOKENS", 4096, least=1, most=10_000_000)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

# --- alerts -----------------------------------------------------------------------------------------------------------
ALERT_SECONDS = number("GATEHOUSE_ALERT_SECONDS", 30, least=1, most=3600)
EMAIL_HOST = text("GATEHOUSE_SMTP_HOST")
EMAIL_PORT = port("GATEHOUSE_SMTP_PORT", 587)
EMAIL_HOST_USER = text("GATEHOUSE_SMTP_USER")
EMAIL_HOST_PASSWORD = text("GATEHOUSE_SMTP_PASSWORD")
SMTP_SECURITY = choice("GATEHOUSE_SMTP_SECURITY", "starttls", ("starttls", "tls", "none"))
EMAIL_USE_TLS, EMAIL_USE_SSL = SMTP_SECURITY == "starttls", SMTP_SECURITY == "tls"
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = email_address("GATEHOUSE_EMAIL_FROM", "gatehouse@localhost")

# --- metrics --------------------------------------------------------------------------------------------------------
METRICS_PORT = whole("GATEHOUSE_METRICS_PORT", 0, least=0, most=65_535)
METRICS_HOST = text("GATEHOUSE_METRICS_HOST") or "127.0.0.1"
METRICS_TOKEN = text("GATEHOUSE_METRICS_TOKEN")
METRICS_NAMES = several("GATEHOUSE_METRICS_NAMES", ("ai_gateway", "gen_ai", "gatehouse"))
METRICS_LABELS = metric_labels("GATEHOUSE_METRICS_LABELS")
METRICS_MAX_ROWS = whole("GATEHOUSE_METRICS_MAX_ROWS", 1000, least=10, most=100_000)

# --- request log ------------------------------------------------------------------------------------------------------
REQUEST_LOG = choice("GATEHOUSE_REQUEST_LOG", "never", ("never", "always", "header_controlled"))
REQUEST_LOG_DEFAULT = flag("GATEHOUSE_REQUEST_LOG_DEFAULT", False)
REQUEST_LOG_MAX_BYTES = int(number("GATEHOUSE_REQUEST_LOG_MAX_KB", 64, least=1, most=4096) * 2**10)
REQUEST_LOG_BUFFER_BYTES = int(number("GATEHOUSE_REQUEST_LOG_BUFFER_MB", 64, least=1, most=4096) * 2**20)
REQUEST_LOG_RETENTION_DAYS = whole("GATEHOUSE_REQUEST_LOG_RETENTION_DAYS", 30, least=1, most=36_500)
REQUEST_LOG_REDACT = several("GATEHOUSE_REQUEST_LOG_REDACT", ("secret", "email", "card", "iban"))
REQUEST_LOG_PATTERNS = patterns("GATEHOUSE_REQUEST_LOG_PATTERNS")

# --- traces: OpenTelemetry's own variables where it has one -----------------------------------------------------------
OTLP_ENDPOINTS = web_addresses("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
OTLP_PROTOCOL = choice("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", ("http/protobuf", "grpc"))
OTLP_HEADERS = assignments("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
OTLP_COMPRESSION = choice("OTEL_EXPORTER_OTLP_COMPRESSION", "none", ("none", "gzip"))
OTEL_TRACES_EXPORTER = choice("OTEL_TRACES_EXPORTER", "otlp", ("otlp", "none"))
OTEL_METRICS_EXPORTER = choice("OTEL_METRICS_EXPORTER", "none", ("otlp", "none"))
OTEL_METRIC_EXPORT_MS = number("OTEL_METRIC_EXPORT_INTERVAL", 60_000, least=100, most=3_600_000)
OTEL_TRACES_RATIO = number("OTEL_TRACES_SAMPLER_ARG", 1, least=0, most=1)
OTEL_SERVICE_NAME = text("OTEL_SERVICE_NAME") or "gatehouse"
OTEL_RESOURCE_ATTRIBUTES = assignments("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=production")
OTEL_SEMCONV_OPT_IN = names("OTEL_SEMCONV_STABILITY_OPT_IN")
TRACE_NAMES = several("GATEHOUSE_TRACE_NAMES", ("gen_ai", "tfy", "gatehouse"))
TRACE_SLOW_MS = number("GATEHOUSE_TRACE_SLOW_MS", 10_000, least=0, most=3_600_000)

# --- Django -----------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "console.apps.AdminSiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
    "providers",
    "usage",
    "rules",
    "gateway",
    "batches",
    "alerts",
    "console",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "console.middleware.ContentSecurityPolicy",
    "console.slim.Slim",
    "console.middleware.few_sign_ins",
    "console.middleware.RefuseNul",
    "console.middleware.RefuseUnstorable",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "console.middleware.TooManySignIns",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "gateway.urls"
ASGI_APPLICATION = "gateway.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["accounts.hashing.PatientHasher"]
SIGN_IN_TRIES = whole("GATEHOUSE_SIGN_IN_TRIES", 5, least=1, most=1000)
SIGN_IN_PAUSE_MINUTES = whole("GATEHOUSE_SIGN_IN_PAUSE_MINUTES", 15, least=1, most=1440)
AXES_HANDLER = "accounts.sign_in.SignIns"
AXES_CLIENT_IP_CALLABLE = "accounts.client_address.client_address"
AXES_LOCKOUT_CALLABLE = "console.errors.locked_out"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_FORM_FIELD = "username"
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
OIDC_ISSUER = web_address("GATEHOUSE_OIDC_ISSUER", "https://login.example.com").rstrip("/")
OIDC_CLIENT_ID = text("GATEHOUSE_OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = text("GATEHOUSE_OIDC_CLIENT_SECRET")
OIDC_NAME = text("GATEHOUSE_OIDC_NAME") or "single sign-on"
OIDC_DOMAINS = [name.lower().removeprefix("@") for name in names("GATEHOUSE_OIDC_DOMAINS")]
OIDC_TRUST_EMAIL = flag("GATEHOUSE_OIDC_TRUST_EMAIL", False)
OIDC_PROVIDER = openid_provider(OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET)
PASSWORD_SIGN_IN = password_sign_in(flag("GATEHOUSE_PASSWORD_SIGN_IN", True), OIDC_PROVIDER)
REQUIRE_TWO_FACTOR = flag("GATEHOUSE_REQUIRE_TWO_FACTOR", False)
SOCIALACCOUNT_PROVIDERS = openid_app(OIDC_PROVIDER, OIDC_NAME, OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET)
SOCIALACCOUNT_ADAPTER = "accounts.openid.OpenId"
SOCIALACCOUNT_LOGIN_ON_GET = True  # a form could not lead elsewhere: the pages' policy forbids it
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_REQUESTS_TIMEOUT = 10
ACCOUNT_ADAPTER = "accounts.entering.Entering"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False  # accounts.sign_in has the bounds
MFA_ADAPTER = "accounts.two_factor.Adapter"
MFA_TOTP_ISSUER = "Gatehouse"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "console.formats"
USE_TZ = True
STATIC_URL = f"{BASE_PATH}/static/"
STATIC_ROOT = text("GATEHOUSE_STATIC_ROOT") or None
FOLDER_STORAGE = "django.core.files.storage.FileSystemStorage"
FILE_STORAGE = text("GATEHOUSE_FILE_STORAGE") or FOLDER_STORAGE
REQUEST_LOG_STORAGE = text("GATEHOUSE_REQUEST_LOG_STORAGE")
EXPORT_STORAGE = text("GATEHOUSE_EXPORT_STORAGE")
EXPORT_FORMATS = several("GATEHOUSE_EXPORT_FORMATS", ("jsonl", "csv", "focus", "parquet"), default=("jsonl",))
EXPORT_DAYS = whole("GATEHOUSE_EXPORT_DAYS", 7, least=1, most=400)
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": FOLDER_STORAGE},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    # Files that Gatehouse keeps itself. Several hosts share them through a backend of django-storages.
    "files": {
        "BACKEND": FILE_STORAGE,
        "OPTIONS": json_object(
            "GATEHOUSE_FILE_STORAGE_OPTIONS", {"location": DATA_DIR / "files"} if FILE_STORAGE == FOLDER_STORAGE else {}
        ),
    },
}
if REQUEST_LOG_STORAGE:
    STORAGES["bodies"] = {
        "BACKEND": REQUEST_LOG_STORAGE,
        "OPTIONS": json_object("GATEHOUSE_REQUEST_LOG_STORAGE_OPTIONS", {}),
    }
if EXPORT_STORAGE:
    STORAGES["exports"] = {
        "BACKEND": EXPORT_STORAGE,
        "OPTIONS": json_object("GATEHOUSE_EXPORT_STORAGE_OPTIONS", {}),
    }
MANAGED_CONCURRENCY = whole("GATEHOUSE_MANAGED_CONCURRENCY", 8, least=1, most=256)
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
SILENCED_SYSTEM_CHECKS: list[str] = []
APPEND_SLASH = True

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Gatehouse",
    "SITE_HEADER": "Gatehouse",
    "SITE_SUBHEADER": "AI gateway",
    "SITE_SYMBOL": "door_open",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "console.site.icon"}],
    "STYLES": ["console.site.stylesheet"],
    "SCRIPTS": ["console.site.script", "console.site.find_script"],
    "COLORS": {"primary": "console.site.accent"},
    "ACCOUNT": {"navigation": "console.site.own_links"},
    "DASHBOARD_CALLBACK": "console.pages.overview.overview",
    "SIDEBAR": {"show_search": True, "navigation": "console.site.navigation"},
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Gatehouse",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # validatorUrl: else the page would send the description's address to a service outside.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "docExpansion": "none", "validatorUrl": None},
}

# --- what runs beside the calls ---------------------------------------------------------------------------------------
CACHES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
BROKERS = ("redis", "rediss", "redis+socket", "amqp", "amqps", "pyamqp", "memory")
CELERY_BROKER_URL = (
    address(
        "GATEHOUSE_CELERY_BROKER_URL", "a broker", BROKERS, "redis://HOST:PORT/0 or amqp://USER:PASSWORD@HOST:PORT//"
    )
    or REDIS_URL
    or "memory://localhost/"  # kombu warns of an address without a host
)

# --- logs -------------------------------------------------------------------------------------------------------------
LOG_FORMAT = choice("GATEHOUSE_LOG_FORMAT", "text", ("text", "json"))
LOG_LEVEL = choice("GATEHOUSE_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = logging_of(LOG_FORMAT, LOG_LEVEL)
