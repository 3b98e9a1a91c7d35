"""A page in a headless Chromium, over the DevTools protocol: what a person sees of it, in Python."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_S, STEP_S = 20.0, 10.0
ARGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0", "--no-first-run")


class Page:
    """`requests` are the URLs that the page asked for, `errors` what its console holds of errors and exceptions."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number, self._session = socket, 0, ""
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.requests: list[str] = []
        self.errors: list[str] = []

    async def call(self, method: str, **params: Any) -> Any:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        session = {"sessionId": self._session} if self._session else {}
        await self._socket.send_str(json.dumps({"id": self._number, "method": method, "params": params, **session}))
        return await asyncio.wait_for(answer, STEP_S)

    async def listen(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told.get("result", {}))
            elif told["method"] == "Network.requestWillBeSent":
                self.requests.append(told["params"]["request"]["url"])
            elif told["method"] == "Runtime.exceptionThrown":
                self.errors.append(str(told["params"]["exceptionDetails"]))
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.errors.append(told["params"]["entry"]["text"])
            elif told["method"] == "Runtime.consoleAPICalled" and told["params"]["type"] == "error":
                self.errors.append(str(told["params"]["args"]))

    async def open(self, url: str) -> None:
        target = await self.call("Target.createTarget", url="about:blank")
        self._session = (await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True))["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.resize(1280, 900)
        await self.call("Page.navigate", url=url)

    async def resize(self, width: int, height: int, *, is_phone: bool = False) -> None:
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone)

    async def evaluate(self, script: str) -> Any:
        found = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str) -> Any:
        """What the script gives once that is something."""
        end = asyncio.get_running_loop().time() + STEP_S
        while asyncio.get_running_loop().time() < end:
            if found := await self.evaluate(script):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"never true: {script}; console: {self.errors}")

    async def point_at(self, x: float, y: float) -> None:
        await self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    async def screenshot(self, path: Path, *, whole: bool = False) -> None:
        found = await self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))


@contextlib.asynccontextmanager
async def page(url: str, profile: Path) -> AsyncIterator[Page]:
    """The page in a browser of its own, whose files lie in `profile`."""
    assert CHROMIUM is not None
    process = subprocess.Popen([CHROMIUM, *ARGS, f"--user-data-dir={profile}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        async with aiohttp.ClientSession() as http, http.ws_connect(await _address(profile), max_msg_size=0) as socket:
            found = Page(socket)
            listening = asyncio.create_task(found.listen())
            await found.open(url)
            yield found
            listening.cancel()
    finally:
        process.terminate()
        process.wait()


async def _address(profile: Path) -> str:
    """Chromium writes it when it listens: the port and the path."""
    file, end = profile / "DevToolsActivePort", asyncio.get_running_loop().time() + START_S
    while asyncio.get_running_loop().time() < end:
        if file.exists() and len(lines := file.read_text().split()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        await asyncio.sleep(0.05)
    raise AssertionError("chromium did not start")
