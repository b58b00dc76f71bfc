from django.apps import AppConfig
from django.db.backends.signals import connection_created

from gateway.config.database import bound_statements


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = "The edge"

    def ready(self) -> None:
        connection_created.connect(bound_statements, dispatch_uid="gatehouse_bound_statements")
