from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "batches"
    verbose_name = "Observe"

    def ready(self) -> None:
        from batches import signals  # noqa: F401 - connects the receivers, which needs loaded models
