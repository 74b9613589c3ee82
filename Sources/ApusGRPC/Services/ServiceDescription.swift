public import ApusCore
public import GRPCCore
public import NIOCore
import Synchronization
public import SwiftProtobuf

/// What generated code says of a service beside what gRPC asks of it: its methods as functions that can be called directly.
///
/// Calls of one message each way go from the bytes to the service's own method then, without GRPCCore's machinery for
/// streams. Code that `protoc-gen-apus` makes uses this; there is nothing to write by hand.
public struct ServiceDescription {
    /// The methods that can be called directly, by their full names.
    var methods: [String: DirectMethod] = [:]
    /// How they are called over HTTP with JSON.
    var rules: [(method: MethodDescriptor, rule: HTTPRule)] = []
    /// The file that declares the service and all that it imports: `google.protobuf.FileDescriptorProto` in base64.
    public var files: [String] = []

    /// Says it, if someone wants to know.
    public static func describe(_ body: (inout ServiceDescription) -> Void) {
        guard let collector else { return }
        var description = ServiceDescription()
        body(&description)
        collector.description.withLock {
            $0.methods.merge(description.methods) { $1 }
            $0.rules += description.rules
            $0.files += description.files
        }
    }

    /// A method with one message each way.
    ///
    /// Inlined, so that it is compiled for the messages of each: generic code looks their types up for every call.
    @inlinable
    public mutating func unary<Input: SwiftProtobuf.Message, Output: SwiftProtobuf.Message>(
        _ method: MethodDescriptor,
        _ call: @escaping @Sendable (ServerRequest<Input>, ServerContext) async throws -> ServerResponse<Output>
    ) {
        let direct = DirectMethod(
            name: method.method, inputName: Input.protoMessageName, outputName: Output.protoMessageName
        ) { bytes, metadata, context in
            let request = ServerRequest(metadata: metadata, message: try Self.decode(Input.self, bytes))
            let contents = try await call(request, context).accepted.get()
            let message: MessageBytes = try contents.message.serializedBytes()
            return UnaryReply(
                message: message, metadata: contents.metadata, trailingMetadata: contents.trailingMetadata)
        } callJSON: { json, metadata, context in
            let request = ServerRequest(metadata: metadata, message: try Self.decode(Input.self, json: json))
            let contents = try await call(request, context).accepted.get()
            let bytes: [UInt8] = try contents.message.jsonUTF8Bytes()
            return JSONReply(
                message: ByteBuffer(bytes: bytes), metadata: contents.metadata,
                trailingMetadata: contents.trailingMetadata)
        }
        add(direct, method)
    }

    @usableFromInline
    mutating func add(_ direct: DirectMethod, _ method: MethodDescriptor) {
        methods[method.fullyQualifiedMethod] = direct
    }

    /// Says that a method of one message each way is called over HTTP with JSON, too.
    public mutating func http(_ method: MethodDescriptor, _ rules: HTTPRule...) {
        self.rules += rules.map { (method, $0) }
    }

    @inlinable
    static func decode<Input: SwiftProtobuf.Message>(_ type: Input.Type, json: ByteBuffer) throws -> Input {
        do {
            return try Input(jsonUTF8Bytes: Array(json.readableBytesView))
        } catch {
            throw AppError(
                .invalidArgument, "The request cannot be read as \(Input.protoMessageName): \(error).", cause: error)
        }
    }

    @inlinable
    static func decode<Input: SwiftProtobuf.Message>(_ type: Input.Type, _ bytes: MessageBytes) throws -> Input {
        do {
            return try Input(serializedBytes: bytes)
        } catch {
            throw RPCError(
                code: .invalidArgument, message: "The message cannot be read as \(Input.protoMessageName).",
                cause: error)
        }
    }

    /// What services say of themselves while `body` runs.
    static func collecting(_ body: () -> Void) -> ServiceDescription {
        let collector = Collector()
        $collector.withValue(collector) { body() }
        return collector.description.withLock { $0 }
    }

    private final class Collector: Sendable {
        let description = Mutex(ServiceDescription())
    }

    @TaskLocal private static var collector: Collector?
}

extension ServiceDescription: Sendable {}

/// A method with one message each way, as a function over bytes.
@usableFromInline
struct DirectMethod: Sendable {
    @usableFromInline
    typealias Call = @Sendable (MessageBytes, Metadata, ServerContext) async throws -> UnaryReply
    @usableFromInline
    typealias JSONCall = @Sendable (ByteBuffer, Metadata, ServerContext) async throws -> JSONReply

    /// Without its service.
    let name: String
    /// The full names of its messages.
    let inputName: String
    let outputName: String
    let call: Call
    /// The same with messages as JSON.
    let callJSON: JSONCall

    @usableFromInline
    init(name: String, inputName: String, outputName: String, call: @escaping Call, callJSON: @escaping JSONCall) {
        self.name = name
        self.inputName = inputName
        self.outputName = outputName
        self.call = call
        self.callJSON = callJSON
    }
}

/// What a call with one message answers.
@usableFromInline
struct UnaryReply: Sendable {
    let message: MessageBytes
    let metadata: Metadata
    let trailingMetadata: Metadata

    @usableFromInline
    init(message: MessageBytes, metadata: Metadata, trailingMetadata: Metadata) {
        self.message = message
        self.metadata = metadata
        self.trailingMetadata = trailingMetadata
    }
}

/// What a call over HTTP with JSON answers.
@usableFromInline
struct JSONReply: Sendable {
    let message: ByteBuffer
    let metadata: Metadata
    let trailingMetadata: Metadata

    @usableFromInline
    init(message: ByteBuffer, metadata: Metadata, trailingMetadata: Metadata) {
        self.message = message
        self.metadata = metadata
        self.trailingMetadata = trailingMetadata
    }
}
