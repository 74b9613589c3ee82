import ApusCore
import ApusHTTP
import FoundationEssentials
import HTTPTypes
import NIOCore
import Testing

private struct Address: Codable, Sendable, Equatable {
    var street: String
    var number: Int
}

private struct Person: Codable, Sendable, Equatable, ResponseConvertible, Validatable {
    var name: String
    var age: Int?
    var isMember: Bool
    var tags: [String]
    var address: Address?
    var born: Date?

    static let rules: [Rule<Person>] = [Rule("name", \.name, .length(1...10))]
}

@Suite struct FormTests {
    private static let form: RequestHeaders = [.contentType: "application/x-www-form-urlencoded"]

    private func post(_ form: String) async throws -> Response {
        try await respond(.post, "/p", headers: Self.form, body: form) { routes in
            routes.post("p", Body(Person.self, as: .json, .form)) { $0 }
        }
    }

    private func person(_ form: String) async throws -> Person {
        let response = try await post(form)
        return try JSONCoding.decode(Person.self, from: ByteBuffer(string: text(response)))
    }

    @Test func `Form fields are parsed according to their types`() async throws {
        #expect(
            try await person("name=Ada+L%C3%A9&age=36&isMember=on&tags=a&tags=b&born=1970-01-01T00:00:01Z")
                == Person(
                    name: "Ada Lé", age: 36, isMember: true, tags: ["a", "b"], address: nil,
                    born: Date(timeIntervalSince1970: 1)))
    }

    @Test func `Names with brackets form nested fields and lists`() async throws {
        let expected = Person(
            name: "A", age: nil, isMember: false, tags: ["x", "y"], address: Address(street: "S", number: 7))
        #expect(
            try await person("name=A&isMember=false&tags[]=x&tags[]=y&address[street]=S&address[number]=7") == expected)
        #expect(
            try await person("name=A&isMember=0&tags[1]=y&tags[0]=x&address%5Bstreet%5D=S&address[number]=7")
                == expected)
    }

    @Test func `An empty field that is not a string counts as missing, and a missing list is empty`() async throws {
        #expect(
            try await person("name=A&age=&isMember=true&born=")
                == Person(name: "A", age: nil, isMember: true, tags: [], address: nil))
    }

    @Test(arguments: [
        ("", "/name", "required"), ("name=A", "/isMember", "required"), ("name=A&isMember=maybe", "/isMember", "type"),
        ("name=A&isMember=1&age=x", "/age", "type"), ("name=A&isMember=1&age=99999999999999999999", "/age", "type"),
        ("name=&isMember=1", "/name", "length"), ("name[x]=A&isMember=1", "/name", "type"),
        ("name=A&isMember=1&address=x", "/address", "type"), ("name=A&isMember=1&tags[-1]=x", "/tags", "format"),
        ("name=A&isMember=1&tags[0]=x&tags[00]=y", "/tags", "format"),
        ("name=A&isMember=1&address[street]=x", "/address/number", "required"),
        ("name=A&isMember=1&age=&age=5", "/age", "format"), ("name=A&isMember=1&age=5&age=", "/age", "format"),
        ("name=A&isMember=1&address[]=x&address[street]=S&address[number]=7", "/address", "format"),
    ])
    func `Missing and invalid fields are answered with 422 and their pointers`(
        form: String, pointer: String, code: String
    ) async throws {
        let response = try await post(form)
        #expect(response.status == .unprocessableContent)
        let failure = try #require(try problem(response).errors?.first)
        #expect(failure.pointer == pointer)
        #expect(failure.code == code)
    }

    @Test(arguments: ["name=%", "name=%4", "name=%zz", "name=%FF", "%C3=1", "name=%C3%28"])
    func `Invalid percent-encoding or UTF-8 is answered with 400`(form: String) async throws {
        #expect(try await post(form).status == .badRequest)
    }

    @Test func `Too many or too deeply nested fields are rejected`() async throws {
        let rest = "name=A&isMember=1"
        #expect(try await post(rest + String(repeating: "&x=1", count: 998)).status == .ok)
        #expect(try await post(rest + String(repeating: "&x=1", count: 999)).status == .contentTooLarge)
        #expect(try await post("\(rest)&a" + String(repeating: "[b]", count: 7) + "=1").status == .ok)
        #expect(try await post("\(rest)&a" + String(repeating: "[b]", count: 8) + "=1").status == .badRequest)
        #expect(try await post("\(rest)&a" + String(repeating: "[b]", count: 100_000) + "=1").status == .badRequest)
        #expect(try await post("\(rest)&a[=1&b]=1&[c]=1&d[e]f=1&g[[h]]=1&=1&&").status == .ok)
    }

    @Test func `A route for JSON and forms accepts JSON and rejects other media types`() async throws {
        func post(_ type: String) async throws -> Response {
            try await respond(
                .post, "/p", headers: [.contentType: type], body: #"{"name":"A","isMember":true,"tags":[]}"#
            ) {
                $0.post("p", Body(Person.self, as: .json, .form)) { $0 }
            }
        }
        #expect(try await post("application/json").status == .ok)
        #expect(try await post("multipart/form-data; boundary=x").status == .unsupportedMediaType)
    }
}
