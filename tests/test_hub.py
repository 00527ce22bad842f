"""Facts about a hub that is not there: it is asked once, and what was downloaded before is used."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from demograd import hub
from demograd.errors import UserError
from demograd.models import load_model
from demograd.models.load import load_tokenizer
from demograd.tasks import load_task


class Deaf:
    """A server that takes a connection and never answers; or, with `answer`, says that and nothing else."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.connections = answer, 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.open: list[socket.socket] = []
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:  # closed
                return
            self.connections += 1
            self.open.append(connection)
            if self.answer:
                connection.recv(10_000)
                connection.sendall(self.answer)
                connection.close()


@pytest.fixture
def deaf(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deaf]:
    """Such a server in the hub's place, with downloads on."""
    server = Deaf(getattr(request, "param", b""))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "ANSWERS_WITHIN", 0.2)
    monkeypatch.setattr(hub, "_silent_since", {})
    yield server
    server.socket.close()
    for connection in server.open:
        connection.close()


_BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("deaf", [b"", _BROKEN], indirect=True, ids=["silent", "broken"])
@pytest.mark.parametrize("load", [load_model, load_tokenizer])
def test_a_hub_that_does_not_answer_is_asked_once_and_named(deaf: Deaf, load: object) -> None:
    with pytest.raises(UserError, match=rf"'nobody/nothing' cannot be loaded.*{deaf.address}, does not answer"):
        load("nobody/nothing")  # type: ignore[operator]
    with pytest.raises(UserError, match="does not answer"):  # soon after the first time
        load("nobody/something")  # type: ignore[operator]
    assert deaf.connections == 1
    hub._silent_since[deaf.address] -= hub.ASKED_AGAIN_AFTER
    with pytest.raises(UserError, match="does not answer"):
        load("nobody/something")  # type: ignore[operator]
    assert deaf.connections == 2


@pytest.mark.parametrize("deaf", [b"", _BROKEN], indirect=True, ids=["silent", "broken"])
def test_so_it_is_of_a_data_set(deaf: Deaf) -> None:
    with pytest.raises(UserError, match=rf"data set nobody/nothing is not on this machine.*{deaf.address}, does not"):
        load_task("hub:nobody/nothing", template="{text} is", label_words=["bad", "good"])
    assert deaf.connections == 1


def test_what_no_data_set_can_be_called_is_refused_without_asking(deaf: Deaf) -> None:
    with pytest.raises(UserError, match="no data set of the hub can be called"):
        load_task("hub:no body/no--thing", template="{text} is", label_words=["bad", "good"])
    assert deaf.connections == 0


def test_where_downloads_are_off_nothing_is_asked(deaf: Deaf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="'nobody/nothing' cannot be loaded"):
        load_model("nobody/nothing")
    assert deaf.connections == 0


@pytest.mark.parametrize(
    "name", ["a b/c", "owner/name/more", "owner/-name", "owner/na--me", "öwner/name", "x" * 200, "owner/", "a\0b"]
)
def test_what_no_model_of_a_hub_can_be_called_is_refused_without_asking(name: str, deaf: Deaf) -> None:
    with pytest.raises(UserError, match="no model of the hub can have this name") as refused:
        load_model(name)
    assert deaf.connections == 0 and len(str(refused.value)) < 1000
