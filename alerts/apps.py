from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "alerts"
    verbose_name = "Govern"

    def ready(self) -> None:
        from alerts import delivery, manifests, signals  # noqa: F401 - they add themselves
        from batches import notices  # needs loaded models, too

        notices.send_to_channel = delivery.send
