"""The gRPC interoperability test cases with grpcio.

Usage: grpc_interop.py PORT GENERATED_CODE [CERTIFICATE]

With a certificate, the calls use TLS, where ALPN must select h2.
"""
import sys, threading, time, traceback

sys.path.insert(0, sys.argv[2])
import grpc
import interop_pb2 as pb
import interop_pb2_grpc
from google.protobuf import empty_pb2
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from google.protobuf.descriptor_pool import DescriptorPool

address = f"localhost:{sys.argv[1]}"
certificate = open(sys.argv[3], "rb").read() if len(sys.argv) > 3 else None
CASES = []


def connect(options):
    if certificate is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(certificate), options=options)


def case(body):
    CASES.append(body)
    return body


def expect(actual, wanted):
    assert actual == wanted, f"expected {wanted!r}, got {actual!r}"


def fails(call):
    try:
        result = call()
        list(result) if hasattr(result, "__iter__") else None
    except grpc.RpcError as error:
        return error
    raise AssertionError("The call did not fail.")


def simple(**fields):
    return pb.SimpleRequest(**fields)


def output(*sizes, **fields):
    return pb.OutputRequest(response_parameters=[pb.ResponseParameters(size=size) for size in sizes], **fields)


SIZES = [31415, 9, 2653, 58979]
INPUTS = [27182, 8, 1828, 45904]


@case
def empty_unary(stub, channel):
    expect(stub.EmptyCall(empty_pb2.Empty()), empty_pb2.Empty())


@case
def large_unary(stub, channel):
    answer = stub.UnaryCall(simple(response_size=314159, payload=pb.Payload(body=bytes(271828))))
    expect(len(answer.payload.body), 314159)


@case
def client_streaming(stub, channel):
    messages = (pb.InputRequest(payload=pb.Payload(body=bytes(size))) for size in INPUTS)
    expect(stub.StreamingInputCall(messages).aggregated_payload_size, sum(INPUTS))


@case
def empty_client_stream(stub, channel):
    expect(stub.StreamingInputCall(iter([])).aggregated_payload_size, 0)


@case
def server_streaming(stub, channel):
    expect([len(answer.payload.body) for answer in stub.StreamingOutputCall(output(*SIZES))], SIZES)


@case
def ping_pong(stub, channel):
    """Sends each message after the response to the previous one has arrived."""
    next_message = threading.Semaphore(1)

    def messages():
        for size, answer in zip(INPUTS, SIZES):
            next_message.acquire()
            yield output(answer, payload=pb.Payload(body=bytes(size)))

    received = []
    for answer in stub.FullDuplexCall(messages()):
        received.append(len(answer.payload.body))
        next_message.release()
    expect(received, SIZES)


@case
def empty_stream(stub, channel):
    expect(list(stub.FullDuplexCall(iter([]))), [])


@case
def large_bidirectional_stream(stub, channel):
    """Exceeds all flow-control windows in both directions."""
    messages = (output(200_000, payload=pb.Payload(body=bytes(200_000))) for _ in range(100))
    expect(sum(len(answer.payload.body) for answer in stub.FullDuplexCall(messages)), 20_000_000)


@case
def cancel_after_begin(stub, channel):
    forever = threading.Event()

    def messages():
        forever.wait(10)
        yield pb.InputRequest()

    call = stub.StreamingInputCall.future(messages())
    call.cancel()
    expect(call.code(), grpc.StatusCode.CANCELLED)
    forever.set()


@case
def cancel_after_first_response(stub, channel):
    forever = threading.Event()

    def messages():
        yield output(31415)
        forever.wait(10)

    call = stub.FullDuplexCall(messages())
    expect(len(next(call).payload.body), 31415)
    call.cancel()
    expect(fails(lambda: call).code(), grpc.StatusCode.CANCELLED)
    forever.set()


@case
def timeout_on_sleeping_server(stub, channel):
    error = fails(lambda: stub.FullDuplexCall(iter([
        pb.OutputRequest(response_parameters=[pb.ResponseParameters(size=1, interval_us=5_000_000)])]), timeout=0.05))
    expect(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    error = fails(lambda: stub.UnaryCall(simple(sleep_ms=5000), timeout=0.05))
    expect(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)


@case
def status_code_and_message(stub, channel):
    status = pb.EchoStatus(code=2, message="test status message")
    for error in [fails(lambda: stub.UnaryCall(simple(response_status=status))),
                  fails(lambda: stub.FullDuplexCall(iter([output(response_status=status)])))]:
        expect((error.code(), error.details()), (grpc.StatusCode.UNKNOWN, "test status message"))


@case
def special_status_message(stub, channel):
    message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    error = fails(lambda: stub.UnaryCall(simple(response_status=pb.EchoStatus(code=2, message=message))))
    expect((error.code(), error.details()), (grpc.StatusCode.UNKNOWN, message))


@case
def custom_metadata(stub, channel):
    sent = [("x-echo-initial", "test_initial_metadata_value"), ("x-echo-trailing-bin", b"\xab\xab\xab\x00")]

    def check(call):
        expect(dict(call.initial_metadata()).get("x-echo-initial"), "test_initial_metadata_value")
        expect(dict(call.trailing_metadata()).get("x-echo-trailing-bin"), b"\xab\xab\xab\x00")

    _, call = stub.UnaryCall.with_call(simple(response_size=10), metadata=sent)
    check(call)
    call = stub.FullDuplexCall(iter([output(10)]), metadata=sent)
    expect(len(list(call)), 1)
    check(call)


@case
def repeated_metadata_keys(stub, channel):
    sent = [("x-echo-initial", "one"), ("x-echo-initial", "two"), ("x-echo-trailing-bin", b""),
            ("x-echo-trailing-bin", b"\x00"), ("x-echo-trailing-bin", b"\xff" * 100)]
    _, call = stub.UnaryCall.with_call(simple(), metadata=sent)
    expect([value for name, value in call.initial_metadata() if name == "x-echo-initial"], ["one", "two"])
    values = [value for name, value in call.trailing_metadata() if name == "x-echo-trailing-bin"]
    expect(values, [b"", b"\x00", b"\xff" * 100])


@case
def unimplemented_method(stub, channel):
    expect(fails(lambda: stub.UnimplementedCall(empty_pb2.Empty())).code(), grpc.StatusCode.UNIMPLEMENTED)
    error = fails(lambda: channel.unary_unary("/apus.test.Interop/Nothing")(b""))
    expect(error.code(), grpc.StatusCode.UNIMPLEMENTED)
    assert "/apus.test.Interop/Nothing" in error.details(), error.details()


@case
def unimplemented_service(stub, channel):
    error = fails(lambda: channel.unary_unary("/apus.test.Nobody/Nothing")(b""))
    expect(error.code(), grpc.StatusCode.UNIMPLEMENTED)


@case
def client_compressed_unary(stub, channel):
    answer = stub.UnaryCall(simple(response_size=314159, payload=pb.Payload(body=bytes(271828))),
                            compression=grpc.Compression.Gzip)
    expect(len(answer.payload.body), 314159)


@case
def unsupported_client_compression(stub, channel):
    error = fails(lambda: stub.UnaryCall(simple(payload=pb.Payload(body=bytes(1000))),
                                         compression=grpc.Compression.Deflate))
    expect(error.code(), grpc.StatusCode.UNIMPLEMENTED)


@case
def client_compressed_streaming(stub, channel):
    messages = (pb.InputRequest(payload=pb.Payload(body=bytes(size))) for size in [27182, 45904])
    answer = stub.StreamingInputCall(messages, compression=grpc.Compression.Gzip)
    expect(answer.aggregated_payload_size, 73086)


@case
def server_compressed(stub, channel):
    for compressed in [True, False]:
        answer = stub.UnaryCall(simple(response_size=314159, response_compressed=compressed))
        expect(len(answer.payload.body), 314159)
    wanted = [pb.ResponseParameters(size=31415, compressed=True), pb.ResponseParameters(size=92653)]
    answers = stub.StreamingOutputCall(pb.OutputRequest(response_parameters=wanted))
    expect([len(answer.payload.body) for answer in answers], [31415, 92653])


@case
def message_over_limit(stub, channel):
    error = fails(lambda: stub.UnaryCall(simple(payload=pb.Payload(body=bytes(5_000_000)))))
    expect(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
    error = fails(lambda: stub.StreamingInputCall(iter([pb.InputRequest(payload=pb.Payload(body=bytes(5_000_000)))])))
    expect(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)


@case
def compressed_message_over_limit(stub, channel):
    error = fails(lambda: stub.UnaryCall(simple(payload=pb.Payload(body=bytes(50_000_000))),
                                         compression=grpc.Compression.Gzip))
    expect(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)


@case
def app_error_details(stub, channel):
    error = fails(lambda: stub.UnaryCall(simple(failure="app")))
    expect((error.code(), error.details()), (grpc.StatusCode.ABORTED, "Another driver took this order."))
    status = rpc_status.from_call(error)
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    details = {detail.TypeName(): detail for detail in status.details}
    assert details["google.rpc.ErrorInfo"].Unpack(info) and details["google.rpc.RetryInfo"].Unpack(retry)
    expect((info.reason, info.domain, dict(info.metadata)), ("ORDER_TAKEN", "interop-server", {"order": "7"}))
    expect(retry.retry_delay.seconds, 2)
    request = error_details_pb2.RequestInfo()
    details["google.rpc.RequestInfo"].Unpack(request)
    expect(dict(error.initial_metadata() + error.trailing_metadata()).get("x-request-id"), request.request_id)


@case
def validation_error_details(stub, channel):
    error = fails(lambda: stub.UnaryCall(simple(failure="fields")))
    expect(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
    bad = error_details_pb2.BadRequest()
    assert [True for detail in rpc_status.from_call(error).details if detail.Unpack(bad)]
    violation = bad.field_violations[0]
    expect((violation.field, violation.description, violation.reason),
           ("items[0].name", "must have 1 to 80 characters", "TOO_SHORT"))


@case
def rpc_error_metadata(stub, channel):
    error = fails(lambda: stub.UnaryCall(simple(failure="lost")))
    expect((error.code(), error.details()), (grpc.StatusCode.DATA_LOSS, "lost"))
    metadata = dict(error.trailing_metadata())
    expect((metadata.get("x-reason"), metadata.get("x-bytes-bin")), ("because", b"\x01\x02"))


@case
def unknown_errors_are_not_disclosed(stub, channel):
    error = fails(lambda: stub.UnaryCall(simple(failure="unknown")))
    expect(error.code(), grpc.StatusCode.INTERNAL)
    assert "hunter2" not in str(error), error


@case
def concurrent_calls(stub, channel):
    calls = [stub.UnaryCall.future(simple(response_size=size)) for size in range(1000)]
    expect([len(call.result().payload.body) for call in calls], list(range(1000)))


@case
def concurrent_streams(stub, channel):
    streams = [stub.FullDuplexCall(iter([output(1000), output(2000)])) for _ in range(90)]
    for stream in streams:
        expect([len(answer.payload.body) for answer in stream], [1000, 2000])


@case
def health(stub, channel):
    health = health_pb2_grpc.HealthStub(channel)
    for name in ["", "apus.test.Interop"]:
        expect(health.Check(health_pb2.HealthCheckRequest(service=name)).status, health_pb2.HealthCheckResponse.SERVING)
    error = fails(lambda: health.Check(health_pb2.HealthCheckRequest(service="unknown")))
    expect(error.code(), grpc.StatusCode.NOT_FOUND)
    watch = health.Watch(health_pb2.HealthCheckRequest(service=""))
    expect(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
    watch.cancel()
    watch = health.Watch(health_pb2.HealthCheckRequest(service="unknown"))
    expect(next(watch).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
    watch.cancel()


@case
def reflection(stub, channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    services = sorted(database.get_services())
    for name in ["apus.test.Interop", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                 "grpc.reflection.v1alpha.ServerReflection"]:
        assert name in services, services
    pool = DescriptorPool(database)
    service = pool.FindServiceByName("apus.test.Interop")
    expect(len(service.methods), 6)
    expect(pool.FindMessageTypeByName("apus.test.SimpleRequest").fields_by_name["failure"].number, 5)
    expect(pool.FindFileByName("google/protobuf/empty.proto").package, "google.protobuf")
    try:
        pool.FindMessageTypeByName("apus.test.Nothing")
        raise AssertionError("Reflection found an undeclared message.")
    except KeyError:
        pass


failed = 0
for body in CASES:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with connect(options) as channel:
        try:
            body(interop_pb2_grpc.InteropStub(channel), channel)
            print("ok  ", body.__name__)
        except BaseException:
            failed += 1
            print("FAIL", body.__name__)
            traceback.print_exc(limit=3, file=sys.stdout)
print(f"{len(CASES)} cases, {failed} failed")
sys.exit(1 if failed else 0)
