"""Tests the four kinds of calls with grpclib, which is not based on the gRPC C core.

Usage: grpc_grpclib.py PORT GENERATED_CODE
"""
import asyncio
import sys

sys.path.insert(0, sys.argv[2])
import interop_pb2 as pb
from google.protobuf.empty_pb2 import Empty
from google.rpc import error_details_pb2  # Registers the types of error details.
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.health.v1.health_grpc import HealthStub
from grpclib.health.v1.health_pb2 import HealthCheckRequest
from interop_grpc import InteropStub


def output(*sizes):
    return pb.OutputRequest(response_parameters=[pb.ResponseParameters(size=size) for size in sizes])


async def main():
    channel = Channel("127.0.0.1", int(sys.argv[1]))
    stub = InteropStub(channel)
    assert await stub.EmptyCall(Empty()) == Empty()
    assert len((await stub.UnaryCall(pb.SimpleRequest(response_size=314159))).payload.body) == 314159
    payload = pb.Payload(body=bytes(1000))
    assert (await stub.StreamingInputCall([pb.InputRequest(payload=payload)] * 70)).aggregated_payload_size == 70000
    assert [len(message.payload.body) for message in await stub.StreamingOutputCall(output(3, 0, 70000))] == [3, 0, 70000]
    async with stub.FullDuplexCall.open(metadata={"x-echo-initial": "there", "x-echo-trailing-bin": b"\0\xff"}) as stream:
        for size in (1, 100000, 0):
            await stream.send_message(output(size))
            assert len((await stream.recv_message()).payload.body) == size
        await stream.end()
        assert await stream.recv_message() is None
    assert stream.initial_metadata["x-echo-initial"] == "there"
    assert stream.trailing_metadata["x-echo-trailing-bin"] == b"\0\xff"
    try:
        await stub.UnaryCall(pb.SimpleRequest(failure="app"))
        raise AssertionError("The call did not fail.")
    except GRPCError as error:
        assert error.status is Status.ABORTED and error.message == "Another driver took this order."
        assert any(getattr(detail, "reason", "") == "ORDER_TAKEN" for detail in error.details or [])
    try:
        await stub.UnaryCall(pb.SimpleRequest(sleep_ms=60000), timeout=0.1)
        raise AssertionError("The call did not fail.")
    except (GRPCError, asyncio.TimeoutError) as error:
        assert not isinstance(error, GRPCError) or error.status is Status.DEADLINE_EXCEEDED
    assert (await HealthStub(channel).Check(HealthCheckRequest(service="apus.test.Interop"))).status == 1
    channel.close()
    print("grpclib: all four kinds of calls, metadata, error details, deadline and health passed")


asyncio.run(main())
