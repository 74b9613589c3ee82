import Foundation
import SwiftProtobuf
import SwiftProtobufPluginLibrary
import Testing

@testable import protoc_gen_apus

@Suite struct ServiceCodeTests {
    /// Returns the descriptor of a file with one service, as protoc passes it.
    private func file(
        _ methods: [Google_Protobuf_MethodDescriptorProto],
        _ change: (inout Google_Protobuf_FileDescriptorProto) -> Void = { _ in }
    ) throws -> FileDescriptor {
        var proto = Google_Protobuf_FileDescriptorProto.with {
            $0.name = "shop/orders.proto"
            $0.package = "shop.v1"
            $0.syntax = "proto3"
            $0.messageType = [
                .with {
                    $0.name = "Order"
                    $0.field = [
                        .field("name", 1, .string), .field("tags", 2, .string, .repeated),
                        .field("inner", 3, .message, typeName: ".shop.v1.Order"),
                    ]
                }
            ]
            $0.service = [
                .with {
                    $0.name = "Orders"
                    $0.method = methods
                }
            ]
        }
        change(&proto)
        return try #require(DescriptorSet(protos: [proto]).files.first)
    }

    private func code(
        _ methods: [Google_Protobuf_MethodDescriptorProto], options: [(key: String, value: String)] = [],
        _ change: (inout Google_Protobuf_FileDescriptorProto) -> Void = { _ in }
    ) throws -> String {
        try ServiceCode(file(methods, change), Options(options)).text
    }

    @Test(
        arguments: [
            ("Place", "place"), ("place", "place"), ("PlaceOrder", "placeOrder"), ("GetURL", "getURL"),
            ("URLOf", "urlOf"), ("ID", "id"), ("place_order", "place_order"), ("V2Place", "v2Place"),
        ])
    func `Methods have the names that grpc-swift generates`(name: String, function: String) throws {
        #expect(try code([.unary(name)]).contains("try await self.\(function)(request: request"))
    }

    @Test func `Streaming methods are registered but not called directly`() throws {
        var method = Google_Protobuf_MethodDescriptorProto.unary("Watch")
        method.serverStreaming = true
        let text = try code([method])
        #expect(text.contains("forMethod: Shop_V1_Orders.Method.Watch.descriptor"))
        #expect(!text.contains("service.unary"))
    }

    @Test func `Types have the prefix that the file specifies, or none`() throws {
        #expect(try code([.unary("Place")]) { $0.options.swiftPrefix = "Acme" }.contains("extension AcmeOrders.Serv"))
        #expect(
            try code([.unary("Place", message: ".Order")]) {
                $0.package = ""
                $0.messageType[0].field.removeLast()
            }.contains("extension Orders.ServiceProtocol"))
    }

    @Test func `Imports have access levels if requested`() throws {
        let plain = try code([.unary("Place")])
        #expect(plain.contains("\nimport ApusGRPC\nimport GRPCCore\nimport GRPCProtobuf\n"))
        let open = try code(
            [.unary("Place")],
            options: [
                ("Visibility", "Public"), ("UseAccessLevelOnImports", "true"), ("ExtraModuleImports", "Shop"),
            ])
        #expect(
            open.contains(
                "\ninternal import ApusGRPC\npublic import GRPCCore\ninternal import GRPCProtobuf\ninternal import Shop\n"
            ))
        #expect(open.contains("    public func registerMethods"))
    }

    @Test func `An HTTP rule is generated`() throws {
        let text = try code([
            .unary("Place") {
                $0.post = "/v1/{name=shops/*}/orders/**:now"
                $0.body = "inner"
                $0.responseBody = "name"
                $0.additionalBindings = [
                    .with {
                        $0.custom.kind = "PURGE"
                        $0.custom.path = "/v1/orders"
                    }
                ]
            }
        ])
        #expect(
            text.contains(
                """
                ApusGRPC.HTTPRule("POST", [.text("v1"), .text("shops"), .any, .text("orders"), .rest], \
                parameters: ["name": 1..<3], verb: "now", body: "inner", responseBody: "name"), \
                ApusGRPC.HTTPRule("PURGE", [.text("v1"), .text("orders")])
                """))
    }

    private static let invalidRules: [(String, Google_Api_HttpRule)] = [
        ("a body without a pattern", .with { $0.body = "*" }),
        ("a malformed path", .with { $0.get = "v1" }),
        ("an unknown field in the path", .with { $0.get = "/v1/{nothing}" }),
        ("a repeated field in the path", .with { $0.get = "/v1/{tags}" }),
        ("a message in the path", .with { $0.get = "/v1/{inner}" }),
        ("a field of a scalar in the path", .with { $0.get = "/v1/{name.x}" }),
        ("an unknown body", .with { ($0.post, $0.body) = ("/v1", "nothing") }),
        ("a nested field as the body", .with { ($0.post, $0.body) = ("/v1", "inner.name") }),
        ("an unknown response body", .with { ($0.get, $0.responseBody) = ("/v1", "nothing") }),
        ("a wildcard method", .with { ($0.custom.kind, $0.custom.path) = ("*", "/v1") }),
        ("a method with a quote", .with { ($0.custom.kind, $0.custom.path) = ("A\"", "/v1") }),
        (
            "nested additional bindings",
            .with {
                $0.get = "/v1"
                $0.additionalBindings = [.with { $0.additionalBindings = [.with { $0.get = "/v3" }] }]
            }
        ),
    ]

    @Test(arguments: invalidRules)
    func `An invalid rule is rejected, and the error names the method`(defect: String, rule: Google_Api_HttpRule) {
        let problem = #expect(throws: MethodRules.Problem.self) { try code([.unary("Place") { $0 = rule }]) }
        #expect(problem?.description.contains("shop.v1.Orders.Place") == true, "\(defect)")
    }

    /// The generated code of the test service includes the descriptors of the files it was generated from.
    @Test func `The committed code is what the generator produces`() throws {
        let url = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "InteropService/Generated/interop.apus.swift")
        let committed = try String(contentsOf: url, encoding: .utf8)
        let protos = try committed.split(separator: "\n").compactMap { line -> Google_Protobuf_FileDescriptorProto? in
            guard line.hasPrefix("    \""), line.hasSuffix("\","),
                let data = Data(base64Encoded: String(line.dropFirst(5).dropLast(2)))
            else { return nil }
            return try Google_Protobuf_FileDescriptorProto(
                serializedBytes: data, extensions: Google_Api_Annotations_Extensions)
        }
        #expect(protos.count > 3)
        // `DescriptorSet` expects a file after the files that it imports.
        let file = try #require(DescriptorSet(protos: protos.reversed()).files.last)
        let options = try Options([("Visibility", "Package"), ("UseAccessLevelOnImports", "true")])
        #expect(try ServiceCode(file, options).text == committed)
    }
}

extension Google_Protobuf_FieldDescriptorProto {
    fileprivate static func field(
        _ name: String, _ number: Int32, _ type: TypeEnum, _ label: Label = .optional, typeName: String = ""
    ) -> Self {
        .with {
            $0.name = name
            $0.number = number
            $0.type = type
            $0.label = label
            $0.jsonName = name
            $0.typeName = typeName
        }
    }
}

extension Google_Protobuf_MethodDescriptorProto {
    fileprivate static func unary(
        _ name: String, message: String = ".shop.v1.Order", rule: (inout Google_Api_HttpRule) -> Void = { _ in }
    ) -> Self {
        .with {
            $0.name = name
            $0.inputType = message
            $0.outputType = message
            var option = Google_Api_HttpRule()
            rule(&option)
            if option != Google_Api_HttpRule() { $0.options.Google_Api_http = option }
        }
    }
}
