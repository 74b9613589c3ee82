import Apus
import ApusCore
import ApusHTTP
import ApusTesting
import HTTPTypes
import InteropService
import NIOCore
import Testing

@testable import ApusGRPC

/// Calls over HTTP with JSON according to the `google.api.http` option.
@Suite(.timeLimit(.minutes(10))) struct TranscodingTests {
    private struct OrderModule: Module {
        func configure(_ app: inout AppBuilder) { app.grpc.add(OrderService()) }
    }

    private func send(_ method: HTTPRequest.Method, _ target: String, _ body: String? = nil) async throws
        -> ClientResponse
    {
        try await App("orders") { OrderModule() }.test(settings: ["docs.enabled": "true"]) { app in
            try await app.client.send(
                method, target, headers: body == nil ? [:] : [.contentType: "application/json"],
                body: body.map { ByteBuffer(string: $0) })
        }
    }

    @Test(
        arguments: [
            (.get, "/v1/orders/7", nil, #"{"name":"7","cents":"1250","placedAt":"2023-11-14T22:13:20Z"}"#),
            (
                .get, "/v1/shops/1/orders/a%20b", nil,
                #"{"name":"shops/1/orders/a b","cents":"1250","placedAt":"2023-11-14T22:13:20Z"}"#
            ),
            (
                .post, "/v1/shops/9/orders", #"{"name":"x","shop":{"id":"1"},"cents":"5","counts":{"a":1}}"#,
                #"{"name":"x","shop":{"id":"9"},"cents":"5","counts":{"a":1}}"#
            ),
            (.post, "/v1/shops/9/orders", nil, #"{"shop":{"id":"9"}}"#),
            (
                .patch, "/v1/orders/7?is_urgent=true", #"{"items":["a"],"name":"other"}"#,
                #"{"name":"7","items":["a","urgent"]}"#
            ),
            (.patch, "/v1/orders/7?isUrgent=false", #"{"state":"OPEN"}"#, #"{"name":"7","state":"OPEN"}"#),
            (.post, "/v1/orders/7:cancel", nil, #""CANCELLED""#),
            (.post, "/v1/orders/new:cancel", nil, #""ORDER_STATE_UNSPECIFIED""#),
            (.get, "/v1/orders?page_size=2", nil, #"[{"name":"0"},{"name":"1"}]"#),
            (.get, "/v1/orders?unknown=1", nil, "[]"),
            (
                .post, "/v1/orders:search", #"{"pageSize":3,"states":["OPEN",2],"isOpen":true,"shop":{"id":"é"}}"#,
                #"{"request":{"pageSize":3,"isOpen":true,"states":["OPEN","CANCELLED"],"shop":{"id":"é"}}}"#
            ),
            (.get, "/v1/files/a/b/c.txt", nil, #"{"name":"a/b/c.txt"}"#),
            (.post, "/v1/orders/7:refund", nil, #"{"name":"refunded 7"}"#),
            (.post, "/v1/orders/a:b:refund", nil, #"{"name":"refunded a:b"}"#),
            (.post, "/v1/users/1/config:reset", nil, #"{"name":"users/1/config"}"#),
            (.init("PURGE")!, "/v1/orders/7", nil, #"{"name":"purged 7"}"#),
            // An encoded slash stays encoded in a field of several segments, and is decoded in a field of one.
            (.get, "/v1/files/a%2Fb/c%2f%20d", nil, #"{"name":"a%2Fb/c%2f d"}"#),
            (.post, "/v1/orders/a%2Fb:refund", nil, #"{"name":"refunded a/b"}"#),
            (
                .post, "/v1/moves/7/8",
                #"{"order_name":"evil","newPlace":{"shop_id":"evil","name":"x"},"hourLimit":5}"#,
                #"{"orderName":"7","newPlace":{"shopId":"8","name":"x"},"hourLimit":5}"#
            ),
            (.post, "/v1/moves/7/8", #"{"newPlace":null}"#, #"{"orderName":"7","newPlace":{"shopId":"8"}}"#),
            (.patch, "/v1/orders/7?order.cents=9&is_urgent=true", "{}", #"{"name":"7","items":["urgent"]}"#),
            (
                .get, "/v1/nodes?value=a&next.next.value=b&number=7&isLast=true", nil,
                #"{"next":{"next":{"value":"b"}},"value":"a","number":7,"isLast":true}"#
            ),
            // Deeper than the maximum depth: ignored like an unknown parameter.
            (.get, "/v1/nodes?" + String(repeating: "next.", count: 2_000) + "value=x", nil, "{}"),
        ] as [(HTTPRequest.Method, String, String?, String)])
    func `A request is assembled from path, query and body, and the response is JSON`(
        method: HTTPRequest.Method, target: String, body: String?, answer: String
    ) async throws {
        let response = try await send(method, target, body)
        #expect(response.status == .ok)
        #expect(response.headers[.contentType] == "application/json")
        #expect(response.text == answer)
    }

    @Test(arguments: [
        "page_size=x", "page_size=1&page_size=2", "is_open=yes", "shop=1", "states=NOTHING", "since=yesterday",
        "cursor=%21",
        "page_size=99999999999", "page_size=1&pageSize=2", "shop=x",
    ])
    func `A query parameter that is invalid for its field is rejected`(query: String) async throws {
        let response = try await send(.get, "/v1/orders?" + query)
        #expect(response.status == .badRequest)
        #expect(response.headers[.contentType] == "application/problem+json")
    }

    @Test(arguments: [
        ("page_size=x", "pageSize"), ("page_size=99999999999", "pageSize"), ("is_open=yes", "isOpen"),
        ("states=NOTHING", "states"), ("since=yesterday", "since"), ("cursor=%21", "cursor"), ("shop=x", "shop"),
        ("shop.id=1&shop.id=2", "shop.id"), ("page_size=1&page_size=2", "pageSize"),
    ])
    func `The error for a query parameter names its field`(query: String, field: String) async throws {
        let response = try await send(.get, "/v1/orders?" + query)
        #expect(response.status == .badRequest)
        #expect(response.text.contains("\(field) "))
    }

    @Test func `The error for a path parameter names its field`() {
        let rule = HTTPRule("GET", [.text("shops"), .any], parameters: ["shop.id": 1..<2])
        let error = #expect(throws: AppError.self) { _ = try rule.value(of: "shop.id", 1..<2, in: ["shops", "%ZZ"]) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.hasPrefix("shop.id ") == true)
    }

    @Test func `Path parameters are read by bytes, even before combining marks`() throws {
        let rule = HTTPRule("GET", [.text("files"), .rest], parameters: ["name": 1..<2], verb: "undo")
        // A combining mark after `%2F`, `:` and `/` does not hide them.
        let path = ["files", "a%2F\u{301}b", "\u{301}c:\u{301}undo:undo"].map { Substring($0) }
        let matched = try #require(rule.match(path))
        let value = try rule.value(of: "name", 1..<2, in: matched)
        #expect(Array(value.utf8) == Array("a%2F\u{301}b/\u{301}c:\u{301}undo".utf8))
        #expect(rule.match(["files", "a:undo\u{301}"]) == nil)
    }

    @Test(arguments: [
        "states=OPEN&states=2", "since=2024-01-01T00:00:00Z", "shop.id=7", "cursor=AAE=", "isOpen=true",
        "shop.nothing=1",
    ])
    func `Query parameters set fields of many types`(query: String) async throws {
        #expect(try await send(.get, "/v1/orders?" + query).status == .ok)
    }

    @Test(arguments: ["{", "[]", "7", #"{"nothing":1}"#, #"{"name":5}"#, #"{"cents":"x"}"#])
    func `A body that does not match the message is rejected`(body: String) async throws {
        #expect(try await send(.post, "/v1/shops/9/orders", body).status == .badRequest)
        #expect(try await send(.post, "/v1/orders:search", body).status == .badRequest)
    }

    @Test(arguments: [
        #"{"orderName":"evil","order_name":"evil"}"#, #"{"newPlace":{"shopId":"a","shop_id":"b"}}"#,
        #"{"newPlace":{},"new_place":{"shop_id":"b"}}"#, #"{"newPlace":[]}"#, #"{"newPlace":"x"}"#,
    ])
    func `A body cannot override path parameters through a field's other name`(body: String) async throws {
        #expect(try await send(.post, "/v1/moves/7/8", body).status == .badRequest)
    }

    @Test func `A group's path is not prepended to method paths, and its input is required`() async throws {
        struct GroupModule: Module {
            func configure(_ app: inout AppBuilder) {
                app.routes { routes in
                    routes.group("api", Header(.init("x-key")!, as: String.self)) { routes in
                        routes.grpc(OrderService())
                    }
                }
            }
        }
        try await App("group") { GroupModule() }.test(settings: ["docs.enabled": "true"]) { app in
            let answer = try await app.client.send(.get, "/v1/files/a/b", headers: [.init("x-key")!: "1"])
            #expect(answer.text == #"{"name":"a/b"}"#)
            #expect(try await app.client.get("/v1/files/a/b").status == .badRequest)
            #expect(try await app.client.get("/api/v1/files/a/b").status == .notFound)
            #expect(try await app.client.get("/openapi.json").text.contains(#""name":"x-key","in":"header""#))
        }
    }

    @Test func `A malformed binary header is a bad request`() async throws {
        try await App("orders") { OrderModule() }.test { app in
            let answer = try await app.client.send(.get, "/v1/files/a", headers: [.init("x-key-bin")!: "!"])
            #expect(answer.status == .badRequest)
        }
    }

    @Test func `A body nested too deeply is rejected`() async throws {
        let body = String(repeating: #"{"shop":"#, count: 10_000)
        #expect(try await send(.post, "/v1/orders:search", body).status == .badRequest)
    }

    @Test func `A body with an unsupported media type is rejected`() async throws {
        try await App("orders") { OrderModule() }.test { app in
            let response = try await app.client.send(
                .post, "/v1/orders:search", headers: [.contentType: "text/plain"], body: ByteBuffer(string: "{}"))
            #expect(response.status == .unsupportedMediaType)
        }
    }

    @Test func `Errors are problem documents, and unknown verbs are not found`() async throws {
        let missing = try await send(.get, "/v1/orders/none")
        #expect(missing.status == .notFound)
        #expect(missing.text.contains("NO_ORDER"))
        #expect(try await send(.post, "/v1/orders/7:nothing").status == .notFound)
        #expect(try await send(.post, "/v1/orders/7%3Arefund").status == .notFound)
        #expect(try await send(.post, "/v1/orders/:refund").status == .notFound)
        #expect(try await send(.get, "/v1/files/%ZZ").status == .badRequest)
        #expect(try await send(.post, "/v1/orders/7").status == .notFound)
        #expect(try await send(.delete, "/v1/orders/7").status == .methodNotAllowed)
    }

    @Test func `Transcoded methods also accept gRPC calls and appear in the OpenAPI document`() async throws {
        try await App("orders") { OrderModule() }.test(settings: ["docs.enabled": "true"]) { app in
            let call = try await app.client.send(
                .post, "/apus.test.Orders/File", headers: [.contentType: "application/grpc"],
                body: ByteBuffer(bytes: [0, 0, 0, 0, 3, 0x0A, 1, 0x61]))
            #expect(Array(call.body.readableBytesView) == [0, 0, 0, 0, 3, 0x0A, 1, 0x61])
            #expect(call.trailers[.init("grpc-status")!] == "0")
            let document = try await app.client.get("/openapi.json").text
            for part in [
                #""/v1/shops/{shop.id}/orders""#, #""/v1/orders/{name}""#, #""name":"pageSize","in":"query""#,
                #""/v1/orders/{name}:cancel""#, #""/v1/orders/{name}:refund""#,
                #""/v1/shops/{name_1}/orders/{name_2}""#,
                #""/v1/users/{name_1}/config:reset""#, #""operationId":"Orders_Get""#, #""operationId":"Orders_Get2""#,
                ##""$ref":"#/components/schemas/apus.test.Node""##,
                #""enum":["ORDER_STATE_UNSPECIFIED","OPEN","CANCELLED"]"#, #""format":"date-time""#,
            ] {
                #expect(document.contains(part), "\(part)")
            }
        }
    }
}
