"""A job server with one job, by Ray's own paths and answers (ray 2.60), that can be killed and started again on its port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler


class JobServer:
    """`log` is sent whole to each that follows; the job ends once `status` says so. With a `token` it wants that."""

    def __init__(self) -> None:
        self.name, self.log, self.status, self.port, self.token = "j", "", "RUNNING", 0, ""
        self.on_connect: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> str:
        """Its URL, the same each time."""
        is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(is_up,), daemon=True)
        self._thread.start()
        assert is_up.wait(10)
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """All connections break."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self, is_up: threading.Event) -> None:
        loop = self._loop = asyncio.new_event_loop()
        runner = web.AppRunner(self._app(), shutdown_timeout=0.01)
        loop.run_until_complete(runner.setup())
        loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True).start())
        self.port = runner.addresses[0][1]
        is_up.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._door])
        routes = {"/api/version": self._version, "/api/jobs/": self._jobs, "/api/jobs/{name}": self._job}
        app.add_routes([web.get(path, answer) for path, answer in routes.items()])
        app.add_routes([web.get("/api/jobs/{name}/logs/tail", self._tail)])
        return app

    @web.middleware
    async def _door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401, text="Unauthorized: Missing authentication token")
        return await handler(request)

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "4", "ray_version": "2.60.0", "ray_commit": "x", "session_name": "s"})

    async def _jobs(self, request: web.Request) -> web.Response:
        return web.json_response([self._details()])

    async def _job(self, request: web.Request) -> web.Response:
        if request.match_info["name"] != self.name:
            return web.Response(status=404, text=f"Job {request.match_info['name']} does not exist")
        return web.json_response(self._details())

    async def _tail(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(self.log)
        self.on_connect()
        while self.status == "RUNNING":
            await asyncio.sleep(0.02)
        await socket.send_str("the end\n")
        await socket.close()
        return socket

    def _details(self) -> dict[str, object]:
        return {
            "type": "SUBMISSION",
            "submission_id": self.name,
            "status": self.status,
            "entrypoint": "x",
            "message": "",
            "driver_exit_code": 0,
        }
