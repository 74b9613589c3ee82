import ApusCore
import FoundationEssentials
import GRPCCore
import SwiftProtobuf

/// Says what the server serves, to tools such as grpcurl (grpc.reflection.v1).
struct ReflectionService: Grpc_Reflection_V1_ServerReflection.SimpleServiceProtocol {
    typealias Request = Grpc_Reflection_V1_ServerReflectionRequest
    typealias Response = Grpc_Reflection_V1_ServerReflectionResponse

    let directory: FileDirectory

    func serverReflectionInfo(
        request: RPCAsyncSequence<Request, any Error>, response: RPCWriter<Response>, context: ServerContext
    ) async throws {
        for try await question in request { try await response.write(answer(question)) }
    }

    func answer(_ request: Request) -> Response {
        .with {
            $0.validHost = request.host
            $0.originalRequest = request
            $0.messageResponse = answer(request.messageRequest)
        }
    }

    private func answer(_ request: Request.OneOf_MessageRequest?) -> Response.OneOf_MessageResponse {
        switch request {
        case .fileByFilename(let name): files(directory.files(named: name), "file \(name)")
        case .fileContainingSymbol(let symbol): files(directory.files(declaring: symbol), "symbol \(symbol)")
        case .fileContainingExtension(let wanted):
            files(
                directory.files(extending: wanted.containingType, number: wanted.extensionNumber),
                "extension \(wanted.extensionNumber) of \(wanted.containingType)")
        case .allExtensionNumbersOfType(let type):
            directory.extensionNumbers(of: type).map { numbers in
                .allExtensionNumbersResponse(
                    .with {
                        $0.baseTypeName = type
                        $0.extensionNumber = numbers
                    })
            } ?? Self.problem(.notFound, "No type \(type) is known here.")
        case .listServices:
            .listServicesResponse(
                .with { $0.service = directory.services.map { name in .with { $0.name = name } } })
        case nil: Self.problem(.invalidArgument, "The request asks for nothing that is known here.")
        }
    }

    private func files(_ found: [Data]?, _ what: String) -> Response.OneOf_MessageResponse {
        guard let found else { return Self.problem(.notFound, "No \(what) is known here.") }
        return .fileDescriptorResponse(.with { $0.fileDescriptorProto = found })
    }

    private static func problem(_ code: StatusCode, _ message: String) -> Response.OneOf_MessageResponse {
        .errorResponse(
            .with {
                $0.errorCode = Int32(code.rawValue)
                $0.errorMessage = String(message.prefix(512))
            })
    }
}

/// The same under its first name, which older tools ask for: the messages have the same bytes.
struct AlphaReflectionService: Grpc_Reflection_V1alpha_ServerReflection.SimpleServiceProtocol {
    let service: ReflectionService

    func serverReflectionInfo(
        request: RPCAsyncSequence<Grpc_Reflection_V1alpha_ServerReflectionRequest, any Error>,
        response: RPCWriter<Grpc_Reflection_V1alpha_ServerReflectionResponse>, context: ServerContext
    ) async throws {
        for try await question in request {
            let bytes: [UInt8] = try question.serializedBytes()
            let answer: [UInt8] = try service.answer(.init(serializedBytes: bytes)).serializedBytes()
            try await response.write(.init(serializedBytes: answer))
        }
    }
}
