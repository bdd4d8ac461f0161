"""Python's `websockets` as the other end of the examples.

peer.py client ECHO_SERVER [OPTION...]    starts the server and checks it from outside
peer.py server ECHO_CLIENT [OPTION...]    listens and checks the client, which it starts
"""

import asyncio
import contextlib
import os
import signal
import sys

from websockets.asyncio.client import connect as websockets_connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate

SECONDS = 20  # the most that one check may take
MULTIBYTE = "Grüße, 世界 🐟"
# What compresses well, beside what does not; each refers back to the ones before where the context is kept.
ALIKE = [
    message
    for number in range(40)
    for text in ['{"fish":"Grüße, 世界 🐟","weight":%d}' % number * number]
    for message in [text, text.encode(), os.urandom(number * 50), ""]
]


async def main():
    role, *command = sys.argv[1:]
    await {"client": check_server, "server": check_client}[role](command)


async def check(what, coroutine, peer="websockets client"):
    try:
        await asyncio.wait_for(coroutine, SECONDS)
    except Exception as error:
        print(f"FAILED {peer}: {what}: {' '.join(repr(error).split())}", flush=True)
    else:
        print(f"ok {peer}: {what}", flush=True)


def expect(seen, expected):
    if seen != expected:
        raise AssertionError(f"expected {shorten(expected)}, seen {shorten(seen)}")


def shorten(value):
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}… ({len(value)} long)"


# As a client of echo_server


async def check_server(command):
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        line = (await asyncio.wait_for(server.stdout.readline(), SECONDS)).decode()
        if not line.startswith("listening on ws://"):
            sys.exit(f"the server's first line is {line!r}")
        url = line.removeprefix("listening on ").strip()
        for what, message in [
            ("text", "hello"),
            ("multibyte text", MULTIBYTE),
            ("binary", bytes(range(256))),
            ("empty text", ""),
            ("empty binary", b""),
            *((f"{size} bytes", os.urandom(size)) for size in [125, 126, 65535, 65536]),
            ("8 MiB of text", "0123456789abcdef" * (8 << 16)),
            ("8 MiB of binary", os.urandom(8 << 20)),
        ]:
            await check(what, echoed(url, message))
        await check("1000 messages at once, answers in order", pipelined(url))
        await check("text in fragments", fragmented(url, ["Grü", "", "ße"]))
        await check("binary in fragments", fragmented(url, [b"abc", b"", bytes(70000)]))
        await check("a ping between fragments", ping_between_fragments(url))
        await check("a ping with a payload", pinged(url, b"x" * 125))
        await check("a close code and reason echoed", closed(url, 4321, "Grüße"))
        for what, offer in [
            ("compression", Deflate()),
            ("compression with windows of 9 bits", Deflate(server_max_window_bits=9, client_max_window_bits=9)),
            ("compression without the server's context", Deflate(server_no_context_takeover=True)),
            ("compression without the client's context", Deflate(client_no_context_takeover=True)),
        ]:
            await check(what, compressed(url, offer, agreed="--no-deflate" not in command))
        await check("an Origin elsewhere is refused with 403", refused(url, "https://elsewhere.example"))
        await check("the Origin of the same host", echoed(url, "hello", origin=url.replace("ws:", "http:")))
        await check("header names in lower case", lower_case(url), peer="bare socket")
        await check("SIGINT closes everyone with 1001", interrupted(url, server))
        await check("exit code 0 after SIGINT", exits(server))
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()


def connect(url, **options):
    return websockets_connect(url, max_size=None, proxy=None, **options)


async def echoed(url, message, **options):
    async with connect(url, **options) as ws:
        await ws.send(message)
        expect(await ws.recv(), message)


async def pipelined(url):
    messages = [f"message {number}" for number in range(1000)]
    async with connect(url) as ws:
        for message in messages:
            await ws.send(message)
        expect([await ws.recv() for _ in messages], messages)


async def fragmented(url, fragments):
    async with connect(url) as ws:
        await ws.send(fragments)
        expect(await ws.recv(), fragments[0][:0].join(fragments))


async def ping_between_fragments(url):
    async with connect(url) as ws:

        async def fragments():
            yield "before, "
            await (await ws.ping())
            yield "after"

        await ws.send(fragments())
        expect(await ws.recv(), "before, after")


async def pinged(url, payload):
    async with connect(url) as ws:
        await (await ws.ping(payload))


async def closed(url, code, reason):
    async with connect(url) as ws:
        await ws.close(code, reason)
    received = ws.protocol.close_rcvd
    expect((received.code, received.reason), (code, reason))


async def compressed(url, offer, agreed):
    async with connect(url, compression=None, extensions=[offer]) as ws:
        expect(len(ws.protocol.extensions), int(agreed))
        for message in ALIKE:
            await ws.send(message)
        expect([await ws.recv() for _ in ALIKE], ALIKE)
        await ws.send(ALIKE[:1] * 500)
        expect(await ws.recv(), ALIKE[0] * 500)


async def refused(url, origin):
    try:
        async with connect(url, origin=origin):
            raise AssertionError("accepted")
    except InvalidStatus as error:
        expect(error.response.status_code, 403)


async def lower_case(url):
    authority = url.removeprefix("ws://")
    host, port = authority.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = [
        "GET / HTTP/1.1",
        f"host: {authority}",
        "upgrade: websocket",
        "connection: keep-alive, upgrade",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    writer.write(("\r\n".join(request) + "\r\n\r\n").encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    expect(head.startswith("HTTP/1.1 101 "), True)
    expect("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, True)
    # The unmasked "Hello" of RFC 6455, section 5.7, answers the masked one.
    writer.write(bytes.fromhex("818537fa213d7f9f4d5158"))
    expect(await reader.readexactly(7), b"\x81\x05Hello")
    writer.close()


async def interrupted(url, server):
    async with connect(url) as idle, connect(url) as busy:
        await busy.send("hello")
        await busy.recv()
        server.send_signal(signal.SIGINT)
        for ws in [idle, busy]:
            try:
                await ws.recv()
            except ConnectionClosed as error:
                expect(error.rcvd and error.rcvd.code, 1001)
            else:
                raise AssertionError("a message after SIGINT")


async def exits(process):
    expect(await process.wait(), 0)


# As a server of echo_client


async def check_client(command):
    connected = asyncio.get_running_loop().create_future()

    async def echo(ws):
        connected.set_result(ws)
        async for message in ws:
            half = len(message) // 2
            await ws.send([message[:half], message[half:]] if message == MULTIBYTE else message)

    async def in_time(what, coroutine):
        await check(what, coroutine, peer="websockets server")

    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        pipe = asyncio.subprocess.PIPE
        client = await asyncio.create_subprocess_exec(*command, f"ws://127.0.0.1:{port}", stdin=pipe, stdout=pipe, limit=1 << 20)
        try:
            await in_time("a line comes back", line_echoed(client, "hello"))
            await in_time("a multibyte line, answered in fragments", line_echoed(client, MULTIBYTE))
            await in_time("a ping answered", server_ping(connected))
            await in_time("an empty line", line_echoed(client, ""))
            await in_time("a line of 70000 bytes", line_echoed(client, "x" * 70000))
            await in_time("compression", agrees(connected, "--no-deflate" not in command))
            for number in range(20):
                line = '{"fish":"Grüße, 世界 🐟","weight":%d}' % number * 10
                await in_time(f"a line much like the one before, {number}", line_echoed(client, line))
            await in_time("close 1000 at the end of input", ends(client, connected))
            await in_time("exit code 0", exits(client))
        finally:
            with contextlib.suppress(ProcessLookupError):
                client.kill()


async def line_echoed(client, line):
    client.stdin.write(f"{line}\n".encode())
    expect((await client.stdout.readline()).decode(), f"{line}\n")


async def server_ping(connected):
    await (await (await connected).ping())


async def agrees(connected, agreed):
    expect(len((await connected).protocol.extensions), int(agreed))


async def ends(client, connected):
    client.stdin.close()
    ws = await connected
    await ws.wait_closed()
    expect(ws.protocol.close_rcvd and ws.protocol.close_rcvd.code, 1000)


asyncio.run(main())
