import Apus
import ApusGRPC
import GRPCCore
import GRPCProtobuf

/// Echoes the payload.
struct EchoService: Bench_Echo.SimpleServiceProtocol {
    func unary(request: Bench_Payload, context: ServerContext) async throws -> Bench_Payload { request }

    static func declare(on routes: Routes, usesGRPCCore: Bool) {
        if usesGRPCCore { routes.grpc(CoreEchoService()) } else { routes.grpc(EchoService()) }
    }
}

/// The same service registered manually, without the description that `protoc-gen-apus` generates.
private struct CoreEchoService: RegistrableRPCService {
    func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
        router.registerHandler(
            forMethod: Bench_Echo.Method.Unary.descriptor, deserializer: ProtobufDeserializer<Bench_Payload>(),
            serializer: ProtobufSerializer<Bench_Payload>()
        ) { request, context in
            try await EchoService().unary(request: request, context: context)
        }
    }
}
