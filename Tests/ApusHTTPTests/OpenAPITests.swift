import ApusCore
@testable import ApusHTTP
import ApusJSON
import FoundationEssentials
import HTTPTypes
import NIOCore
import Testing

private enum Shop {
    enum Color: String, Codable, CaseIterable { case red, green }
    enum Hidden: String, Codable { case first, second }

    struct Item: Codable, Sendable, ResponseConvertible, Validatable {
        typealias ID = Identifier<Item>

        var id: ID
        var name: String
        var price: Double
        var count: Int32
        var color: Color
        var hidden: Hidden
        var note: String?
        var limit: Int?
        var sold: Date?
        var tags: [String]
        var sizes: [String: Int]
        var parent: Parent?
        var placedAt: Date

        enum CodingKeys: String, CodingKey {
            case id, name, price, count, color, hidden, note, limit, sold, tags, sizes, parent
            case placedAt = "placed_at"
        }

        static let rules: [Rule<Item>] = [
            Rule("name", \.name, .length(1...80)), Rule("price", \.price, .range(0...1e6)),
            Rule("tags", \.tags, .count(0...5)), Rule("limit", \.limit, .range(1...9)),
            Rule("note", \.note, .email),
        ]
    }

    struct Parent: Codable, Sendable {
        var name: String
        var children: [Parent]
        var first: Parents?
    }

    final class Parents: Codable, Sendable {
        let all: [Parent]
        init(all: [Parent]) { self.all = all }
    }

    struct Plate: Codable, Sendable, SchemaDescribing {
        let text: String
        init?(_ text: String) { self.text = text }
        init(from decoder: any Decoder) throws {
            throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: ""))
        }
        static var schema: JSON.Value { ["type": "string", "pattern": "^[A-Z]+$"] }
        static var schemaExample: Plate { Plate("AB")! }
    }

    struct Car: Codable, Sendable {
        var plate: Plate
        var seats: UInt8
    }

    enum Vehicle: Codable, Sendable {
        case car(Car)
        case foot
    }

    struct Trip: Codable, Sendable {
        var vehicle: Vehicle
        var after: Int
    }

    class Base: Codable {
        var id = 0
    }

    final class Derived: Base {
        var name: String

        enum CodingKeys: CodingKey { case name }

        required init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            name = try container.decode(String.self, forKey: .name)
            try super.init(from: container.superDecoder())
        }
    }

    struct Tree: Decodable, Sendable {
        let children: [Tree]
        init(from decoder: any Decoder) throws {
            children = try decoder.singleValueContainer().decode([Tree].self)
        }
    }

    struct Forest: Decodable, Sendable {
        let oak: Tree
        let elm: Tree
    }

    struct Nested: Decodable, Sendable {
        var inner: Int
        enum Outer: CodingKey { case wrap, list }
        enum Inner: CodingKey { case inner }
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Outer.self)
            inner = try container.nestedContainer(keyedBy: Inner.self, forKey: .wrap).decode(Int.self, forKey: .inner)
            var list = try container.nestedUnkeyedContainer(forKey: .list)
            while !list.isAtEnd { _ = try list.decode(Bool.self) }
        }
    }
}

@Suite struct OpenAPITests {
    private func schema<Value>(of type: Value.Type) -> (JSON.Value?, SchemaRegistry) {
        let registry = SchemaRegistry()
        let schema = registry.schema(of: type)
        guard case .string(let reference)? = schema["$ref"] else { return (schema, registry) }
        return (registry.components[String(reference.split(separator: "/").last ?? "")], registry)
    }

    private func json(_ value: JSON.Value?) throws -> String {
        guard let value else { return "nil" }
        return String(buffer: try JSONCoding.encode(value))
    }

    @Test func `The schema of a type has its keys, optional properties and validation rules`() throws {
        let (schema, registry) = schema(of: Shop.Item.self)
        let properties = schema?["properties"]
        #expect(try json(properties?["id"]) == #"{"type":"string","format":"uuid"}"#)
        #expect(try json(properties?["name"]) == #"{"type":"string","minLength":1,"maxLength":80}"#)
        #expect(try json(properties?["price"]) == #"{"type":"number","format":"double","minimum":0,"maximum":1000000}"#)
        #expect(
            try json(properties?["count"])
                == #"{"type":"integer","format":"int32","minimum":-2147483648,"maximum":2147483647}"#)
        #expect(try json(properties?["color"]) == ##"{"$ref":"#/components/schemas/Shop.Color"}"##)
        #expect(try json(properties?["hidden"]) == #"{"type":"string"}"#)
        #expect(try json(properties?["note"]?["type"]) == #"["string","null"]"#)
        #expect(try json(properties?["note"]?["format"]) == #""email""#)
        #expect(try json(properties?["limit"]?["minimum"]) == "1")
        #expect(try json(properties?["sold"]) == #"{"type":["string","null"],"format":"date-time"}"#)
        #expect(
            try json(properties?["tags"]) == #"{"type":"array","items":{"type":"string"},"minItems":0,"maxItems":5}"#)
        #expect(try json(properties?["sizes"]?["additionalProperties"]?["type"]) == #""integer""#)
        #expect(
            try json(properties?["parent"])
                == ##"{"anyOf":[{"$ref":"#/components/schemas/Shop.Parent"},{"type":"null"}]}"##)
        #expect(
            try json(schema?["required"])
                == #"["id","name","price","count","color","hidden","tags","sizes","placed_at"]"#)
        #expect(try json(registry.components["Shop.Color"]) == #"{"type":"string","enum":["red","green"]}"#)
        #expect(registry.unknownTypes.isEmpty)
    }

    @Test func `Recursive types refer to themselves`() throws {
        let (schema, registry) = schema(of: Shop.Parent.self)
        #expect(
            try json(schema?["properties"]?["children"])
                == ##"{"type":"array","items":{"$ref":"#/components/schemas/Shop.Parent"}}"##)
        #expect(registry.components.keys.sorted() == ["Shop.Parent", "Shop.Parents"])
    }

    @Test func `A recursive type that is encoded as a single value is a component, to which it refers`() throws {
        let (schema, registry) = schema(of: Shop.Forest.self)
        let reference = ##"{"$ref":"#/components/schemas/Shop.Tree"}"##
        #expect(try json(schema?["properties"]?["oak"]) == reference)
        #expect(try json(schema?["properties"]?["elm"]) == reference)
        #expect(try json(registry.components["Shop.Tree"]) == #"{"type":"array","items":\#(reference)}"#)
        #expect(registry.unknownTypes.isEmpty)
    }

    @Test func `The bounds of an integer are those of its type, or left out if they do not fit`() throws {
        #expect(try json(schema(of: UInt64.self).0) == #"{"type":"integer","format":"uint64","minimum":0}"#)
        #expect(
            try json(schema(of: UInt32.self).0)
                == #"{"type":"integer","format":"uint32","minimum":0,"maximum":4294967295}"#)
        #expect(
            try json(schema(of: Int64.self).0)
                == #"{"type":"integer","format":"int64","minimum":-9223372036854775808,"maximum":9223372036854775807}"#)
    }

    @Test func `A generated name of a path parameter differs from the declared ones`() throws {
        let routes = Routes()
        routes.get("a/:rest/**") { _ in Response(status: .ok) }
        routes.get("b/:segment3/*/:segment3_") { _ in Response(status: .ok) }
        routes.get("c/{x}/*") { _ in Response(status: .ok) }
        routes.get("d/:\u{301}e") { _ in Response(status: .ok) }
        let document = OpenAPI.document(of: try Router(routes), title: "T", version: "1").document
        func names(_ path: String) throws -> String { try json(document["paths"]?[path]?["get"]?["parameters"]) }
        let rest = try names("/a/{rest}/{rest_}")
        #expect(rest.contains(#""name":"rest""#) && rest.contains(#""name":"rest_""#))
        let segment = try names("/b/{segment3}/{segment3__}/{segment3_}")
        #expect(segment.contains(#""name":"segment3__""#))
        #expect(try names("/c/%7Bx%7D/{segment3}").contains(#""name":"segment3""#))
        #expect(try names("/d/{\u{301}e}") != "nil")
    }

    @Test func `A type can provide its own schema, to which other schemas refer`() throws {
        let (schema, registry) = schema(of: Shop.Car.self)
        #expect(try json(schema?["properties"]?["plate"]) == ##"{"$ref":"#/components/schemas/Shop.Plate"}"##)
        #expect(try json(schema?["properties"]?["seats"]?["maximum"]) == "255")
        #expect(registry.unknownTypes.isEmpty)
    }

    @Test func `A type whose schema cannot be determined is reported by its name`() throws {
        let (_, registry) = schema(of: Shop.Trip.self)
        #expect(registry.unknownTypes == ["Shop.Vehicle"])
        struct Written: Encodable {}
        #expect(self.schema(of: Written.self).1.unknownTypes.count == 1)
    }

    @Test func `Nested containers become objects and arrays`() throws {
        let (schema, _) = schema(of: Shop.Nested.self)
        #expect(try json(schema?["properties"]?["wrap"]?["required"]) == #"["inner"]"#)
        #expect(try json(schema?["properties"]?["list"]) == #"{"type":"array","items":{"type":"boolean"}}"#)
    }

    @Test func `A superclass that is decoded from a super decoder is an object under the key super`() throws {
        let (schema, _) = schema(of: Shop.Derived.self)
        #expect(try json(schema?["required"]) == #"["name","super"]"#)
        #expect(try json(schema?["properties"]?["super"]?["required"]) == #"["id"]"#)
    }

    @Test func `The document describes the inputs and responses of the routes`() throws {
        let routes = Routes()
        routes.group("v1/items") { routes in
            routes.get(":id", Path("id", as: Shop.Item.ID.self), Query("full", as: Bool.self, default: false)) { _, _ in
                NoContent()
            }.summary("One item.", "A longer description.").errorResponse(.notFound, "Item not found.")
            routes.post("", Body(Shop.Item.self, as: .json, .form)) { Created($0, at: "/") }.tags("writing")
                .deprecated()
            routes.get("", Query("tag", as: [String].self), Header(.age), Cookie("c", as: Int.self)) { _, _, _ in "text"
            }
        }
        routes.get("secret/*/**") { _ in Response(status: .ok) }
        routes.get("hidden") { "x" }.hidden()
        let (document, unknown) = OpenAPI.document(of: try Router(routes), title: "T", version: "1.2")
        #expect(unknown.isEmpty)
        #expect(try json(document["openapi"]) == #""3.1.0""#)
        #expect(try json(document["info"]) == #"{"title":"T","version":"1.2"}"#)
        let show = document["paths"]?["/v1/items/{id}"]?["get"]
        #expect(
            try json(show?["parameters"])
                == #"[{"name":"id","in":"path","required":true,"schema":{"type":"string","format":"uuid"}},"#
                + #"{"name":"full","in":"query","required":false,"schema":{"type":"boolean"}}]"#)
        #expect(try json(show?["operationId"]) == #""getV1ItemsById""#)
        #expect(try json(show?["summary"]) == #""One item.""#)
        #expect(try json(show?["tags"]) == #"["items"]"#)
        #expect(try json(show?["responses"]?["204"]?["description"]) == #""No Content""#)
        #expect(
            show?["responses"]?["404"] != nil && show?["responses"]?["400"] != nil
                && show?["responses"]?["default"] != nil)
        let post = document["paths"]?["/v1/items"]?["post"]
        #expect(post?["requestBody"]?["content"]?["application/json"] != nil)
        #expect(post?["requestBody"]?["content"]?["application/x-www-form-urlencoded"] != nil)
        #expect(try json(post?["deprecated"]) == "true")
        #expect(post?["responses"]?["201"]?["headers"]?["Location"] != nil)
        let list = document["paths"]?["/v1/items"]?["get"]
        #expect(try json(list?["parameters"]).contains(#""name":"Age","in":"header","required":false"#))
        #expect(document["paths"]?["/secret/{segment2}/{rest}"]?["get"]?["responses"]?["200"] == nil)
        #expect(document["paths"]?["/hidden"] == nil)
        #expect(document["components"]?["schemas"]?["ProblemDetails"] != nil)
    }
}
