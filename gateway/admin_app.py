"""Makes the console's own site Django's ``admin.site``. Apart from ``gateway.apps``, which may hold one app only."""

from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AdminConfig):
    default_site = "gateway.console.ConsoleSite"
