"""ComfyUI's page as a person sees it: what can be opened, pressed and read. Every look retries."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).resolve().parents[2] / "example_workflows"
START_MS = 90_000
OF_TYPE = "one => one.comfyClass === type"
STRIP = """node => [...(node?.widgets?.find(one => one.name === "kling_once_strip")?.element
     .querySelectorAll(".kling-once-strip-line > span") ?? [])].map(line => line.textContent)"""
"""Returns the lines of a node's strip, also while nothing shows it."""
OURS = re.compile(r"kling[-_]once", re.IGNORECASE)


@dataclass
class Screen:
    """One tab of the browser."""

    context: Any
    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)
    """Errors, and warnings that name our files."""

    @classmethod
    def open(
        cls,
        browser: Any,
        url: str,
        *,
        size: tuple[int, int] = (1280, 720),
        settings: dict[str, Any] | None = None,
    ) -> Screen:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="en-GB")
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        screen = cls(context, page, url)
        page.on("console", screen._heard)
        page.on("pageerror", lambda error: screen.complaints.append(str(error)))
        wanted = {"Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": "1.49.6"} | (settings or {})
        for name, value in wanted.items():
            context.request.post(f"{url}/settings/{name}", data=json.dumps(value))
        screen.load()
        return screen

    def _heard(self, message: Any) -> None:
        place = message.location.get("url", "")
        if "net::ERR_" in message.text:
            return  # the test stopped the server under the page
        if message.type in {"error", "warning"} and (OURS.search(place) or OURS.search(message.text)):
            self.complaints.append(f"{message.type}: {message.text} ({place})")

    def load(self) -> None:
        """Load the page and wait until our extension has set itself up."""
        self.page.goto(self.url, timeout=START_MS)
        self.page.wait_for_selector("#graph-canvas", timeout=START_MS)
        ready = "() => window.app?.extensionManager?.getSidebarTabs?.().some(tab => tab.id === 'kling-once')"
        self.page.wait_for_function(ready, timeout=START_MS)

    def command(self, name: str) -> None:
        self.page.evaluate("name => window.app.extensionManager.command.execute(name)", name)

    def browse_templates(self) -> TemplateBrowser:
        """Open the template browser, unless ComfyUI has opened it for a newcomer."""
        return TemplateBrowser(self)

    def open_template(self, name: str) -> None:
        """Load one of our examples without the template browser."""
        workflow = json.loads((TEMPLATES / f"{name}.json").read_text(encoding="utf-8"))
        settled = (
            "() => window.app.extensionManager.workflow?.activeWorkflow && window.app.graph.nodes.length > 0"
        )
        self.page.wait_for_function(settled, timeout=START_MS)
        ours = "() => window.app.graph.nodes.some(one => one.comfyClass?.startsWith('KlingOnce_'))"
        load = "workflow => window.app.loadGraphData(workflow)"
        self.page.evaluate(load, workflow)
        if not self.page.evaluate(ours):  # a page that has just started may open its last workflow over it
            self.page.evaluate(load, workflow)
        self.page.wait_for_function(ours)

    def keep_draft(self) -> None:
        """Let ComfyUI see what a script has changed, and save it in its draft, values and all."""
        self.page.evaluate(
            "() => window.app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState()"
        )
        self.page.wait_for_function(
            """() => {
                 const values = nodes => JSON.stringify(nodes
                   .map(({ id, widgets_values }) => [id, widgets_values]).sort(([a], [b]) => a - b));
                 const now = values(window.app.graph.nodes.map(node => node.serialize()));
                 return Object.keys(localStorage)
                   .filter(name => name.startsWith("Comfy.Workflow.Draft."))
                   .map(name => JSON.parse(JSON.parse(localStorage[name]).data).nodes)
                   .some(nodes => values(nodes) === now);
               }"""
        )

    def reload(self) -> None:
        """Load the page anew with the graph as it is."""
        self.keep_draft()
        self.load()

    def look_at(self, node_type: str = "KlingOnce_MotionControl", scale: float = 0.9) -> None:
        """Bring a node into view; at the usual scale it is large enough to be read."""
        self.page.evaluate(
            """([type, scale]) => {
                 const node = window.app.graph.nodes.find(one => one.comfyClass === type);
                 const { ds } = window.app.canvas;
                 ds.scale = scale;
                 ds.offset[0] = 640 / ds.scale - node.pos[0];
                 ds.offset[1] = 130 / ds.scale - node.pos[1];
                 window.app.canvas.setDirty(true, true);
               }""",
            [node_type, scale],
        )

    def widget(self, node_type: str, name: str, value: Any) -> None:
        """Change a widget as its own callback would."""
        self.page.evaluate(
            """([type, name, value]) => {
                 const node = window.app.graph.nodes.find(one => one.comfyClass === type);
                 const widget = node.widgets.find(one => one.name === name);
                 widget.value = value;
                 widget.callback?.(value);
                 document.dispatchEvent(new Event("change"));
               }""",
            [node_type, name, value],
        )

    def strip(self, node_type: str = "KlingOnce_MotionControl") -> list[str]:
        """Return the lines of a node's strip."""
        return self.page.evaluate(f"type => ({STRIP})(window.app.graph.nodes.find({OF_TYPE}))", node_type)

    def wait_for_strip(self, text: str, node_type: str = "KlingOnce_MotionControl") -> None:
        """Wait for a line that begins like this pattern."""
        self.page.wait_for_function(
            f"""([type, text]) => ({STRIP})(window.app.graph.nodes.find({OF_TYPE}))
                 .some(line => RegExp("^" + text).test(line))""",
            arg=[node_type, text],
            timeout=30_000,
        )

    def select(self, *node_types: str) -> None:
        """Select the first node of each of these types, and no other."""
        self.page.evaluate(
            """types => {
                 const nodes = types.map(type => window.app.graph.nodes.find(one => one.comfyClass === type));
                 window.app.canvas.deselectAll();
                 window.app.canvas.selectItems(nodes);
               }""",
            list(node_types),
        )

    def said(self, text: str) -> Any:
        """Wait for a toast with this text and return it."""
        toast = self.page.locator(".p-toast-message").filter(has_text=text).first
        toast.wait_for()
        return toast

    def run(self) -> None:
        self.command("Comfy.QueuePrompt")

    def tasks(self) -> Tasks:
        """Open our sidebar tab."""
        self.command("kling_once.openTasks")
        self.page.wait_for_selector(".kling-once-panel")
        return Tasks(self.page)

    def keys(self) -> Keys:
        """Open our group of the settings dialog."""
        self.command("Comfy.ShowSettingsDialog")
        self.page.get_by_text("Kling Once", exact=True).last.click()
        self.page.wait_for_selector(".kling-once-keys")
        return Keys(self.page)


@dataclass
class TemplateBrowser:
    """ComfyUI's template browser."""

    screen: Screen

    def choose(self, name: str) -> None:
        page = self.screen.page
        pack = page.get_by_text("kling-once", exact=True)
        if not pack.count():
            self.screen.command("Comfy.BrowseTemplates")
        pack.first.click()
        page.get_by_text(name, exact=True).first.click()
        page.wait_for_function(
            "() => window.app.graph.nodes.some(one => one.comfyClass?.startsWith('KlingOnce_'))"
        )


@dataclass
class Tasks:
    """Our sidebar tab."""

    page: Any

    @property
    def rows(self) -> Any:
        return self.page.locator(".kling-once-row[data-key]")

    def row(self, state: str) -> Any:
        return self.page.locator(f'.kling-once-row[data-state="{state}"]')

    def wait_for(self, state: str, timeout_ms: float = 60_000) -> Any:
        row = self.row(state).first
        row.wait_for(timeout=timeout_ms)
        return row

    def open(self, row: Any) -> Any:
        row.click()
        task = self.page.locator(".kling-once-task")
        task.wait_for()
        return task

    def show(self, view: str) -> None:
        self.page.locator(f'.kling-once-tab[data-view="{view}"]').click()

    def press(self, text: str) -> None:
        self.page.locator(".kling-once-panel").get_by_role("button", name=text, exact=True).first.click()


@dataclass
class Keys:
    """Our group of the settings dialog."""

    page: Any

    def state(self, profile: str) -> str:
        row = self.page.locator(f'.kling-once-profiles li[data-profile="{profile}"]')
        row.wait_for()
        return row.locator(".kling-once-key-state").inner_text()

    @property
    def form(self) -> Any:
        return self.page.locator(".kling-once-keys-form")

    def row(self, profile: str) -> Any:
        return self.page.locator(f'.kling-once-profiles li[data-profile="{profile}"]')

    def save(self, profile: str, key: str, secret: str = "") -> None:
        """Save an API key, or an access key and its secret."""
        self.form.get_by_label("Profile").fill(profile)
        if secret:
            self.form.get_by_label("Kind of key").select_option("pair")
            self.form.get_by_label("Access key", exact=True).fill(key)
            self.form.get_by_label("Secret key", exact=True).fill(secret)
        else:
            self.form.locator("input[type=password]").first.fill(key)
        self.form.get_by_role("button", name="Save").click()

    @property
    def said(self) -> Any:
        return self.page.locator(".kling-once-said")
