import SwiftProtobuf
import SwiftProtobufPluginLibrary

/// The protoc plugin that tells Apus of a service what `protoc-gen-grpc-swift-2` does not: which methods can be called
/// without the machinery for streams, and what the service's files say of it.
///
/// It adds `name.apus.swift` to the `name.pb.swift` and `name.grpc.swift` of the other two, and takes the options of the
/// latter that have a meaning here: see ``Options``.
@main
struct ProtocGenApus: CodeGenerator {
    var supportedFeatures: [Google_Protobuf_Compiler_CodeGeneratorResponse.Feature] {
        [.proto3Optional, .supportsEditions]
    }
    var supportedEditionRange: ClosedRange<Google_Protobuf_Edition> { .proto2 ... .edition2024 }

    var customOptionExtensions: [any AnyMessageExtension] { [Google_Api_Extensions_http] }

    func generate(
        files: [FileDescriptor], parameter: any CodeGeneratorParameter, protoCompilerContext: any ProtoCompilerContext,
        generatorOutputs outputs: any GeneratorOutputs
    ) throws {
        let options = try Options(parameter.parsedPairs)
        for file in files where !file.services.isEmpty {
            let code = try ServiceCode(file, options)
            try outputs.add(fileName: options.outputName(of: file.name), contents: code.text)
        }
    }
}
