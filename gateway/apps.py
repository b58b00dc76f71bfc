from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created

from gateway.config.database import bound_statements


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = "Gateway"

    def ready(self) -> None:
        from providers.account import account_renamed  # needs loaded apps

        connection_created.connect(bound_statements, dispatch_uid="gatehouse_bound_statements")
        account_renamed.connect(objects_follow, dispatch_uid="gatehouse_objects_follow")


def objects_follow(sender: Any, old: str, new: str, **kwargs: Any) -> None:
    """Let objects go with their account when it is renamed."""
    from gateway.models import OwnedObject  # models can't be imported before all apps are there

    OwnedObject.objects.all().follow(old, new)
