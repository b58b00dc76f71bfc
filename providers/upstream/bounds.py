"""What is checked before an account's connections are opened, whichever client opens them."""

from providers import egress
from providers.headers import UNSENDABLE, unsendable
from providers.origins import Origin
from providers.snapshot import AccountSnapshot
from providers.upstream.failures import EgressRefused, SecretsMisbound, UnsendableHeaders


def check_account(account: AccountSnapshot) -> None:
    """Raise an ``UpstreamFailure`` when the account as it is stored can't be called at all."""
    fault = egress.url_fault(account.url)
    if fault:  # the operator's list may have changed since the account was saved
        raise EgressRefused(fault)
    if account.fault:
        raise SecretsMisbound(account.fault)
    field = unsendable(account.headers, account.vendor.auth_header)
    if field:  # stored before it was checked, or written past the checks
        raise UnsendableHeaders(f"The account {account.name!r} can't be called: its {field} {UNSENDABLE}")


def check_origin(bound_to: Origin | None, scheme: str, host: str, port: int) -> None:
    """Raise ``SecretsMisbound`` for a connection to another origin than the one that an account's secrets are for."""
    if bound_to is not None and bound_to != (scheme, host, port):
        raise SecretsMisbound(
            f"The call leads to {host}, and the account's key was entered for {bound_to.host}: nothing was sent."
        )
