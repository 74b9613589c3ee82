import ApusCore
import FoundationEssentials
import GRPCCore
import SwiftProtobuf

/// The server reflection service (grpc.reflection.v1), which tools such as grpcurl use.
struct ReflectionService: Grpc_Reflection_V1_ServerReflection.SimpleServiceProtocol {
    typealias Request = Grpc_Reflection_V1_ServerReflectionRequest
    typealias Response = Grpc_Reflection_V1_ServerReflectionResponse

    let directory: FileDirectory

    func serverReflectionInfo(
        request: RPCAsyncSequence<Request, any Error>, response: RPCWriter<Response>, context: ServerContext
    ) async throws {
        for try await message in request { try await response.write(answer(message)) }
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
        case .fileContainingExtension(let target):
            files(
                directory.files(extending: target.containingType, number: target.extensionNumber),
                "extension \(target.extensionNumber) of \(target.containingType)")
        case .allExtensionNumbersOfType(let type):
            directory.extensionNumbers(of: type).map { numbers in
                .allExtensionNumbersResponse(
                    .with {
                        $0.baseTypeName = type
                        $0.extensionNumber = numbers
                    })
            } ?? Self.error(.notFound, "Unknown type \(type).")
        case .listServices:
            .listServicesResponse(
                .with { $0.service = directory.services.map { name in .with { $0.name = name } } })
        case nil: Self.error(.invalidArgument, "The request is empty or of an unsupported kind.")
        }
    }

    private func files(_ found: [Data]?, _ subject: String) -> Response.OneOf_MessageResponse {
        guard let found else { return Self.error(.notFound, "Unknown \(subject).") }
        return .fileDescriptorResponse(.with { $0.fileDescriptorProto = found })
    }

    private static func error(_ code: StatusCode, _ message: String) -> Response.OneOf_MessageResponse {
        .errorResponse(
            .with {
                $0.errorCode = Int32(code.rawValue)
                $0.errorMessage = String(message.prefix(512))
            })
    }
}

/// The same service under its original name, which older tools use. The messages are wire-compatible.
struct AlphaReflectionService: Grpc_Reflection_V1alpha_ServerReflection.SimpleServiceProtocol {
    let service: ReflectionService

    func serverReflectionInfo(
        request: RPCAsyncSequence<Grpc_Reflection_V1alpha_ServerReflectionRequest, any Error>,
        response: RPCWriter<Grpc_Reflection_V1alpha_ServerReflectionResponse>, context: ServerContext
    ) async throws {
        for try await message in request {
            let bytes: [UInt8] = try message.serializedBytes()
            let answer: [UInt8] = try service.answer(.init(serializedBytes: bytes)).serializedBytes()
            try await response.write(.init(serializedBytes: answer))
        }
    }
}
