from django.apps import AppConfig


class ProvidersConfig(AppConfig):
    name = "providers"
    verbose_name = "Settings"

    def ready(self) -> None:
        from accounts import token_limits  # needs loaded models, as those below
        from providers import access, checks  # noqa: F401 - registers the system checks, which need loaded models

        token_limits.register(access.knows_limit, access.limit_names)
