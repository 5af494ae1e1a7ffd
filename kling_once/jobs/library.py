"""The element library of an account as people see it: listed, shown, deleted. Nothing here pays."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from ..api.download import Download, DownloadPolicy
from ..api.limits import PAGE_SIZE_MAX, is_element_id
from ..api.transport import read_again
from ..errors import InputRefused, InvalidValue, ResourceMissing, ResultGone, Violation
from ..order import realm_of
from ..origins import is_loopback
from ..results.pictures import keep_picture, picture_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..accounts.accounts import Account
    from ..api.elements import ElementClient
    from ..api.models import Answer, Element
    from ..order import Service
    from .services import Services

FRESH_SECONDS: Final = 30.0
"""How long a list that was read is shown again, unless something was made or deleted here."""
PICTURE_MAX_BYTES: Final = 60_000_000
PAGES_MAX: Final = 40
"""20,000 elements: a bound on a vendor whose list never ends."""

Kept = tuple[float, tuple["Element", ...]]


@dataclass
class Library:
    """The elements of every account that this process has looked at, and their small pictures."""

    services: Services = field(repr=False)
    _lists: dict[tuple[str, str, bool], Kept] = field(default_factory=dict)

    async def elements(
        self, service: Service, profile: str, *, presets: bool = False, is_fresh: bool = True
    ) -> tuple[Element, ...]:
        """Return the account's own elements, newest first, or the official ones; deleted ones are left out.

        Args:
            service: `kling` or `sandbox`.
            profile: whose account is asked.
            presets: the official ones.
            is_fresh: ask the vendor; else a list that was read just now may do.

        Raises:
            CredentialsError, ApiError, TransportError: the vendor could not be asked.
        """
        account = await self.services.account(service, profile)
        key = (account.origin, account.fingerprint, presets)
        now = self.services.clock.monotonic()
        kept = self._lists.get(key)
        if not is_fresh and kept is not None and now - kept[0] < FRESH_SECONDS:
            return kept[1]
        client = await self.services.elements(account)
        found = await (
            self._presets(client) if presets else self._own(client, realm_of(service, account.origin))
        )
        self._lists[key] = (now, found)
        return found

    def forget_lists(self) -> None:
        """Ask the vendor at the next look: something was made or deleted."""
        self._lists.clear()

    async def _presets(self, client: ElementClient) -> tuple[Element, ...]:
        pages = await self._pages(client, client.list_presets)
        return _usable(element for element in pages if not element.is_deleted)

    async def _own(self, client: ElementClient, realm: str) -> tuple[Element, ...]:
        ledger = self.services.ledger
        tasks = await self._pages(client, client.list_elements)
        listed = [task.element for task in tasks if task.element is not None]
        gone = [element.element_id for element in listed if element.is_deleted]
        if gone:
            await ledger.elements_gone(realm, gone)
        there = _usable(element for element in listed if not element.is_deleted)
        if self.services.settings.account_browse == "all":
            return there
        ours = await ledger.known_elements(realm, [element.element_id for element in there])
        return tuple(element for element in there if element.element_id in ours)

    async def _pages(
        self, client: ElementClient, read: Callable[[int, int], Awaitable[Answer[Any]]]
    ) -> list[Any]:
        found: list[Any] = []
        for page in range(1, PAGES_MAX + 1):
            answer = await read_again(
                lambda page=page: read(page, PAGE_SIZE_MAX),
                self.services.clock,
                pause_seconds=min(1.0, client.poll_seconds),
            )
            found += answer.value
            if len(answer.value) < PAGE_SIZE_MAX:
                break
        return found

    async def element(self, service: Service, profile: str, element_id: str) -> Element:
        """Return one of the account's own or of the official elements.

        Raises:
            InputRefused: the text is no element's id.
            ResultGone: neither has it.
        """
        _require_id(element_id)
        for presets in (False, True):
            for element in await self.elements(service, profile, presets=presets, is_fresh=False):
                if element.element_id == element_id:
                    return element
        raise ResultGone(
            f"This {service.value} account has no element {element_id}, and no official one is called so.",
            hint="'kling-once elements list' lists them.",
        )

    async def delete(self, service: Service, profile: str, element_id: str) -> None:
        """Delete an element of the account; one that is gone already counts as deleted.

        Raises:
            InputRefused: the text is no element's id.
            ResultGone: neither the ledger nor the account has such an element.
            ApiError, TransportError: it is not known whether it was deleted; it can be tried again.
        """
        _require_id(element_id)
        account = await self.services.account(service, profile)
        realm = realm_of(service, account.origin)
        client = await self.services.elements(account)
        ledger = self.services.ledger
        known = element_id in await ledger.known_elements(realm, [element_id])
        if self.services.settings.account_browse == "own" and not known:
            raise ResultGone(
                f"The ledger knows no element {element_id}, and only its own may be deleted.",
                hint="The operator may allow all with KLING_ONCE_ACCOUNT_BROWSE=all.",
            )
        try:
            await client.delete(element_id)
        except (InvalidValue, ResourceMissing) as error:
            if not known:
                raise ResultGone(f"Kling has no element {element_id} of yours: {error.message}") from None
        finally:
            self.forget_lists()
        await ledger.elements_gone(realm, [element_id])

    async def picture(self, service: Service, profile: str, element_id: str) -> Path:
        """Return the path of an element's small picture, fetched once.

        Raises:
            ResultGone: it has none: it was made of a clip, or does not exist.
            DownloadError: the picture could not be fetched.
        """
        _require_id(element_id)
        settings = self.services.settings
        account = await self.services.account(service, profile)
        realm = realm_of(service, account.origin)
        ours = (await self.services.ledger.known_elements(realm, [element_id])).get(element_id)
        name = blake3(f"element {realm} {element_id}".encode()).hexdigest()
        paths = [picture_path(settings.home, key) for key in (ours, f"e1{name}") if key]
        for path in paths:
            if await asyncio.to_thread(path.is_file):
                return path
        element = await self.element(service, profile, element_id)
        if not element.picture_url:
            raise ResultGone("There is no picture of this element.")
        await self._fetch(element.picture_url, f"e1{name}", account)
        if not await asyncio.to_thread(paths[-1].is_file):
            raise ResultGone("The picture of this element cannot be shown.")
        return paths[-1]

    async def _fetch(self, url: str, name: str, account: Account) -> None:
        settings = self.services.settings
        origin = await self.services.origin(account.origin)
        policy = DownloadPolicy(
            loopback_allowed=is_loopback(origin),
            allowed_hosts=settings.allow_hosts,
            max_bytes=PICTURE_MAX_BYTES,
        )
        with tempfile.TemporaryDirectory(prefix="kling-once-") as folder:
            part = Path(folder) / "picture"
            await Download(part, policy, self.services.clock).fetch(url)
            await asyncio.to_thread(keep_picture, part, name, settings.home)


def _usable(elements: Any) -> tuple[Element, ...]:
    """Return each element once, the first of an id."""
    found: dict[str, Element] = {}
    for element in elements:
        found.setdefault(element.element_id, element)
    return tuple(found.values())


def _require_id(text: str) -> None:
    if not is_element_id(text):
        message = f"{text[:40]!r} is not an element's number (1 to 19 digits)."
        raise InputRefused([Violation("element_id", "element_id.form", message)])


def searched(elements: Sequence[Element], search: str) -> list[Element]:
    """Return the elements whose name, description or id holds every word."""
    words = search.casefold().split()
    return [
        element
        for element in elements
        if all(
            word in f"{element.element_name} {element.element_description} {element.element_id}".casefold()
            for word in words
        )
    ]
