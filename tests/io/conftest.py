"""Fixtures for the tests of both drivers."""

import pytest

from tests.io.kit import AioFace, BlockingFace, Server, echo


@pytest.fixture
def serve():
    servers = []

    def start(handler=echo, **options):
        servers.append(Server(handler, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(params=[BlockingFace, AioFace], ids=["blocking", "aio"])
def face(request):
    faces = []

    def make(endpoint, **options):
        faces.append(request.param(endpoint, **options))
        return faces[-1]

    make.name = request.param.name
    yield make
    for each in faces:
        each.close()
