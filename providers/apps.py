from django.apps import AppConfig


class ProvidersConfig(AppConfig):
    name = "providers"
    verbose_name = "Where answers come from"

    def ready(self) -> None:
        from providers import checks  # noqa: F401 - registers the system checks, which need loaded models
