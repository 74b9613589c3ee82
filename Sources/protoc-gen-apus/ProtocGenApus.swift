import SwiftProtobuf
import SwiftProtobufPluginLibrary

/// The protoc plugin that generates the service descriptions of Apus, which `protoc-gen-grpc-swift-2` does not: the
/// methods that can be called without support for streams, their HTTP rules, and the file descriptors of the service.
///
/// It adds `name.apus.swift` to the `name.pb.swift` and `name.grpc.swift` of the other two plugins. It takes the
/// options of the latter that apply here; see ``Options``.
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
