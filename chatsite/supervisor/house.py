"""The whole product on one machine: brings the parts up in order, keeps them, takes them down."""

from __future__ import annotations

import os
import queue
import secrets
import signal
import time
from pathlib import Path
from queue import SimpleQueue

from django.conf import settings

from chatsite.hosts import is_loopback
from chatsite.supervisor import address, broker, parts, pids, preparation, reach, sockets
from chatsite.supervisor.keeper import Died, Event, Keeper, Ready, Stop, words
from chatsite.supervisor.parts import Part
from chatsite.supervisor.terminal import BAD, BOLD, GOOD, WARN, Terminal
from chatsite.supervisor.trouble import Trouble


class House:
    """Runs in the thread that owns it: signals and watchers only put events into its queue."""

    def __init__(
        self,
        data: Path,
        manage: Path,
        listener: address.Listener,
        terminal: Terminal,
        *,
        works: bool = True,
    ) -> None:
        """`works`: whether models run here, too, or on other machines alone."""
        self.data = data
        self.manage = manage
        self.listener = listener
        self.terminal = terminal
        self.events: SimpleQueue[Event] = SimpleQueue()
        self.keepers: list[Keeper] = []
        self.socket = None if settings.OWN_REDIS else sockets.broker(data)
        self.redis_url: str = settings.REDIS_URL
        self.env = os.environ | pids.mark(data)
        self.env |= {
            "CHATSITE_DATA_DIR": str(data),
            "CHATSITE_BIND": listener.host,
            "REDIS_URL": self.redis_url,
            "PYTHONUNBUFFERED": "1",
        }
        self.needed = {"web", "worker"} if works else {"web"}
        self.welcomed = False
        self.token = ""
        self.fresh = False

    def run(self) -> None:
        listen_to_signals(self.events)
        try:
            self.open()
            while not self.step():
                pass
        finally:
            self.close()

    def open(self) -> None:
        if self.socket:
            broker.make_folder(self.socket)
            self.start(parts.valkey(self.data, self.socket))
            self.await_broker()
        else:
            reach.check_broker(self.redis_url)
        reach.check_database()
        # The engine room knows no database: it need not wait for the tables.
        if "worker" in self.needed:
            self.start(parts.worker(self.redis_url))
        self.fresh = not preparation.prepare(self.terminal)
        if self.fresh and address.others_come(self.listener.host):
            self.token = secrets.token_urlsafe(16)
            self.env["CHATSITE_SETUP_TOKEN"] = self.token
        self.start(parts.web(self.listener))
        self.start(parts.steward(self.manage))

    def await_broker(self) -> None:
        """Everything else needs the broker, so its events are handled before the others start."""
        until = time.monotonic() + 60
        while not broker.answers(self.redis_url):
            if time.monotonic() > until:
                raise Trouble("broker", f"Valkey does not start. See {self.keepers[0].log}.")
            self.step(0.02)

    def start(self, part: Part) -> None:
        keeper = Keeper(part, self.data, self.env, self.events)
        self.keepers.append(keeper)
        self.launch(keeper, "started")

    def launch(self, keeper: Keeper, verb: str) -> None:
        self.terminal.part(keeper.part.name, f"{verb}, process {keeper.start()}")

    def step(self, longest: float | None = None) -> bool:
        """Handle one event or start what is due. True when it is time to end."""
        pauses = [
            keeper.due - time.monotonic() for keeper in self.keepers if keeper.due is not None
        ]
        pauses += [longest] if longest is not None else []
        try:
            event = self.events.get(timeout=max(0.0, min(pauses)) if pauses else None)
        except queue.Empty:
            self.restart()
            return False
        match event:
            case Ready(keeper):
                self.note_ready(keeper)
            case Died(keeper, code):
                self.note_death(keeper, code)
            case Stop(number):
                self.terminal.say()
                self.terminal.say(f"Stopping ({signal.Signals(number).name}) ...")
                return True
        return False

    def restart(self) -> None:
        for keeper in self.keepers:
            if keeper.due is not None and keeper.due <= time.monotonic():
                self.launch(keeper, "started again")

    def note_ready(self, keeper: Keeper) -> None:
        if keeper.process is None:
            return
        keeper.ready_at = time.monotonic()
        self.terminal.part(keeper.part.name, "ready", GOOD)
        names = {keeper.part.name for keeper in self.keepers if keeper.ready_at is not None}
        if not self.welcomed and self.needed <= names:
            self.welcomed = True
            self.welcome()

    def note_death(self, keeper: Keeper, code: int) -> None:
        if keeper.process is None:
            return
        pause = keeper.bury()
        text = words(code)
        if pause:
            text += f"; starting it again in {pause:.0f} s. See {keeper.log}"
        self.terminal.part(keeper.part.name, text, BAD if pause else WARN)
        if keeper.part.name == "valkey" and keeper.ready_at is None and pause:
            self.mend_broker(keeper)

    def mend_broker(self, keeper: Keeper) -> None:
        kept = broker.set_aside(self.data, keeper.log)
        if kept:
            keeper.due = time.monotonic()
            text = f"its file was damaged; it starts with an empty one. The old one is {kept}"
            self.terminal.part("valkey", text, BAD)

    def welcome(self) -> None:
        loopback = is_loopback(self.listener.host)
        hosts = [self.listener.host] if loopback else address.reachable(self.listener.host)
        path = "/"
        if self.fresh:
            path = f"/setup?token={self.token}" if self.token else "/setup"
        say = self.terminal.say
        say()
        say("Your site is ready:", BOLD)
        for host in hosts:
            say(f"  {address.url(host, self.listener.port, path)}", GOOD)
        say()
        if self.fresh:
            say("Open it in a browser and make the first account; it will be the admin.")
        else:
            say("Open it in a browser and log in.")
        if loopback:
            say("Only this machine can reach it. For the others on your network: --host 0.0.0.0")
        if "worker" not in self.needed:
            say("No worker runs here: models answer when one has joined from another machine.")
        say(f"Everything is kept in {self.data}. Ctrl-C stops the site.")
        say()

    def close(self) -> None:
        """In the order in which they need one another; a second Ctrl-C does not wait for any."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.hurry)
        self.listener.socket.close()
        order = ("web", "worker", "steward", "valkey")
        for keeper in sorted(self.keepers, key=lambda keeper: order.index(keeper.part.name)):
            kindly = keeper.stop()
            self.terminal.part(keeper.part.name, "stopped" if kindly else "had to be killed")
        pids.reap(self.data)
        if self.socket:
            broker.remove_folder(self.socket)

    def hurry(self, *_: object) -> None:
        for keeper in self.keepers:
            keeper.signal(signal.SIGKILL)


def listen_to_signals(events: SimpleQueue[Event]) -> None:
    """Ctrl-C, a service manager's stop, a closed terminal (unless it was to be outlived)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: events.put(Stop(number)))
